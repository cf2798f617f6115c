"""Documents to questions with answers and evidence: chunks, rolling windows, a writer, and checks."""

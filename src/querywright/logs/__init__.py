"""Access logs to kept calls: read, filter, sign, sample, validate."""

"""Work in the background: a table of jobs, the processes that work it, and how they hear of a job."""

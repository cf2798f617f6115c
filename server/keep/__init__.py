"""What is kept: answers, ratings, corrections and choices, in SQLite or PostgreSQL."""

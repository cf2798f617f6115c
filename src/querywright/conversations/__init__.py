"""Synthetic users who talk with several models at once: into files, judged, into databases and training data."""

"""Schemas: import and annotate."""

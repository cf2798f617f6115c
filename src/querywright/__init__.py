"""Querywright: from an API's request logs and schema to a local assistant that writes valid calls."""

__version__ = "0.1.0"

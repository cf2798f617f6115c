"""Sweep, score, report."""

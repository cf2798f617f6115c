"""Instruction/query pairs: write, verify, split, export."""

"""Strategies: prompts, retrieval, examples, constrained decoding."""

"""Conversations' events to examples: who answers next."""

"""From a sentence to a call: prompts (strategies), decoding, and the check of what came out."""

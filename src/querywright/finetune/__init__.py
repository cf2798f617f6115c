"""What torchtune needs from us; merge, GGUF, model cards."""

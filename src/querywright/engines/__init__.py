"""Text generation behind one seam: llama.cpp, transformers."""

"""Chat models in GGUF files, on llama.cpp."""

"""Kokoro-82M, on ONNX Runtime or torch."""

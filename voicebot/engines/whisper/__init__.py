"""Whisper, on faster-whisper."""

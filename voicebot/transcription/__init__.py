"""What was said in recordings, for `voicebot transcribe` and for the server."""

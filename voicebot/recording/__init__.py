"""Record conversations, so that `voicebot replay` can hold them again."""

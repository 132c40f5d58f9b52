"""Talk with voicebot from elsewhere: over HTTP and websockets, from one port."""

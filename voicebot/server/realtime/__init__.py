"""OpenAI's Realtime protocol, over websockets and WebRTC."""

"""`/v1/talk`: a conversation over one plain websocket."""

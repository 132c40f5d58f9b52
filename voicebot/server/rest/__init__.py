"""OpenAI's HTTP routes, and what validates and describes them."""

"""Engines behind servers that speak OpenAI's HTTP API."""

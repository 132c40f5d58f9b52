"""The user's documents, and a chat model that answers with them in view."""

"""What happened, and what it was done with: read from events and timelines, never in an engine."""

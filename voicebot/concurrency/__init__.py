"""How work overlaps, waits and stops."""

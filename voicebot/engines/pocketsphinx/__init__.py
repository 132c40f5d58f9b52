"""PocketSphinx, in a process of its own."""

"""What every HTTP route shares: bodies in, errors and streams out, ids, metrics, traces."""

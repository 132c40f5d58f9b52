"""Who may use the server, and how much: keys, proxies, rate limits."""

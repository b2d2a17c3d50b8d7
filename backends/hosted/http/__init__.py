"""The only door to the network: calls, retries, addresses, limits."""

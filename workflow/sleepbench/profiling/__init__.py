"""What a model costs: operation counts and latency."""

"""Which recordings train, validate and test."""

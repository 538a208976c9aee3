"""Faster arrangements of a network's arithmetic."""

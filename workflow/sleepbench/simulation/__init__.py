"""Recordings made up to look like real ones, and how near they come."""

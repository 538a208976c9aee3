"""Names of settings that trainings go by, told without what checks a configuration."""

STATEFUL = ("side_by_side", "stretches")
"""Arrangements of sequences in which a network's recurrent state is carried from batch to batch."""

"""Metrics of a run and verdicts on published claims."""

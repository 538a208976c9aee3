"""Predictions of others: checked against the hypnograms, scored as our own runs are, and kept apart from them."""

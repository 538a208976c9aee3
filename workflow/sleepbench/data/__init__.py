"""From EDF bytes to prepared recordings."""

"""How near a simulated cohort is to the real recordings: measured, and as a page."""

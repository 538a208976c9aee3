"""How like the real recordings a simulated cohort is."""

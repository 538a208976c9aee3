"""Statistics of runs, as CSV files."""

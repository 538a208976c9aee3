"""From a dataset's files to prepared recordings: epochs, quality, totals, and one index of them."""

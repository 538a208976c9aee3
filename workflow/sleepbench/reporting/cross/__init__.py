"""What networks of one dataset give on another: one set of statistics, tables, a figure and a page of them."""

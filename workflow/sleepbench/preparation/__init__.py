"""From a dataset's signals to prepared epochs."""

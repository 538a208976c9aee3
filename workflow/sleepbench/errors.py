"""The one exception that users are meant to read."""


class BenchmarkError(Exception):
    """Something a user can mend: the message names the file or key, what was found and expected, and what to do."""

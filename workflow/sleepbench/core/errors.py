"""The exception that users are meant to read, and the hint it gives on a misspelt name."""

import difflib
from collections.abc import Iterable


class BenchmarkError(Exception):
    """An error that a user can fix.

    The message names the file or key, what was found and expected, and what to do.
    """


def most_alike(name: object, known: Iterable[str], least: float = 0.0) -> str | None:
    """The known name that is most like `name`, or None.

    Its likeness is at least `least` (0 to 1); None where no known name reaches it.
    """
    found = difflib.get_close_matches(str(name), list(known), n=1, cutoff=least)
    return found[0] if found else None


def nearest(name: object, known: Iterable[str]) -> str:
    """A hint that names the known name most like `name`, and all known ones."""
    known = sorted(known)
    best = most_alike(name, known)
    return "none is known" if best is None else f"the nearest known name is '{best}' (known: {', '.join(known)})"

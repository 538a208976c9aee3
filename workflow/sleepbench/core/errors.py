"""The exception that users are meant to read, and the hint it gives on a misspelt name."""

import difflib
import re
from collections.abc import Iterable, Set

UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What moves a cursor, colours or hides text, turns its direction, or is no character; tabs and new lines may stay."""


def printable(text: object) -> str:
    """Text for a terminal: what a file or a server says cannot do anything there but be read."""
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode(), str(text))


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its type where it says nothing."""
    return printable(next(iter(str(error).splitlines()), type(error).__name__))


class BenchmarkError(Exception):
    """An error that a user can fix.

    The message names the file or key, what was found and expected, and what to do.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class UnusableError(BenchmarkError):
    """A recording cannot be used, whatever a user does: it lacks something, or contradicts itself.

    Where a dataset allows for that, the recording is left out, with this message as the reason.
    """


class MissingChannelError(UnusableError):
    """A file has no channel of the montage."""


class ConfigurationError(BenchmarkError):
    """What is asked for, in a file or on the command line, is wrong: nothing can start."""


def most_alike(name: object, known: Iterable[str], least: float = 0.0) -> str | None:
    """The known name that is most like `name`, or None.

    The first that begins with `name` is: "ulw" stands for the model, not for the shortest name of its variants. Else
    its likeness is at least `least` (0 to 1); None where no known name reaches it.
    """
    text, known = str(name), list(known)
    if text and (begun := next((one for one in known if one.startswith(text)), None)):
        return begun
    found = difflib.get_close_matches(text, known, n=1, cutoff=least)
    return found[0] if found else None


def nearest(name: object, known: Iterable[str]) -> str:
    """A hint that names the known name most like `name`, and all known ones."""
    known = sorted(known) if isinstance(known, Set) else list(known)
    best = most_alike(name, known)
    listed = ", ".join(sorted(known))
    return "none is known" if best is None else f"the nearest known name is '{best}' (known: {listed})"

"""Bounds on what files of other people may cost."""

import json
import math
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

DEEPEST, LONGEST_TEXT, LARGEST_NUMBER = 20, 2000, 2**63
"""Levels of a JSON document, characters of its texts, and its numbers."""


@contextmanager
def bounded_memory(n_bytes: int) -> Iterator[None]:
    """Let this process take at most so much more memory meanwhile: what wants more is a MemoryError.

    Where the system does not say what the process has, there is no bound.
    """
    before = resource.getrlimit(resource.RLIMIT_DATA)
    most = _data_bytes() + n_bytes
    if most > n_bytes and (before[0] == resource.RLIM_INFINITY or most < before[0]):
        resource.setrlimit(resource.RLIMIT_DATA, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def _data_bytes() -> int:
    """What the system counts as this process's data; 0 where it does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmData:")), 0)


def read_foreign_json(content: bytes) -> Any:
    """A JSON document of somebody else.

    ValueError for what is none, is nested deeper or has longer texts or larger numbers than anything of ours, has a key
    twice, numbers that are none, or characters that are not for a terminal.
    """
    try:
        document = json.loads(content.decode("utf-8"), object_pairs_hook=_mapping, parse_constant=_no_number)
        _require_plain(document)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return document


def plain_text(text: str) -> str:
    """The text; ValueError where it is too long, or has characters that are no line of text."""
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"a text of {len(text)} characters, expected at most {LONGEST_TEXT}")
    if not text.isprintable():
        raise ValueError(f"{text[:40]!a} has characters that cannot be printed")
    return text


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key is there twice")
    return document


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


def _require_plain(value: Any, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    if isinstance(value, str):
        plain_text(value)
    elif isinstance(value, int | float):
        if not math.isfinite(value) or abs(value) > LARGEST_NUMBER:
            raise ValueError("a number is too large")
    elif isinstance(value, dict):
        for key, one in value.items():
            plain_text(key)
            _require_plain(one, depth + 1)
    elif isinstance(value, list):
        for one in value:
            _require_plain(one, depth + 1)

"""Filling a page's template: one HTML file that opens offline, and the words that its parts have in common."""

import base64
import re
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def fill(template: str | Path, /, **values: Any) -> str:
    """A template, by its name beside this file or its path, filled.

    Every value is escaped, and one that is missing is an error.
    """
    path = Path(__file__).parent / template
    environment = Environment(
        loader=FileSystemLoader(path.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"duration": duration, "short": short, "sentences": sentences}
    return environment.get_template(path.name).render(**values)


def sentences(text: str) -> tuple[str, str]:
    """The first sentence of a text, and the others."""
    first, _, others = re.sub(r"(?<=[.!?]) +(?=[A-Z])", "\n", text, count=1).partition("\n")
    return first, others


def short(value: str) -> str:
    """A hash or commit by its first eight digits.

    What else a record holds ("unknown", "+" behind a commit) stays.
    """
    return re.sub(r"^([0-9a-f]{8})[0-9a-f]{8,}(\+?)$", r"\1\2", value)


def duration(seconds: float) -> str:
    """A duration in its two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes else f"{rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def slug(name: object) -> str:
    """A name as a part of an anchor."""
    return re.sub(r"[^a-z0-9]+", "-", str(name).lower()).strip("-")


def data_uri(content: bytes, media_type: str) -> str:
    """Content as a link of its own, so that a page needs no file beside it."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"

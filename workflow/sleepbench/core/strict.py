"""The base of all configuration models: strict types, no unknown keys, readable messages."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from sleepbench.core.errors import nearest


class Strict(BaseModel):
    """A mapping of the configuration; an unknown key is an error that names the nearest known one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        takes_others = cls.model_config["extra"] == "allow"
        if takes_others or not isinstance(values, Mapping):
            return values
        if unknown := [str(key) for key in values if key not in cls.model_fields]:
            known = [name for name, field in cls.model_fields.items() if not field.exclude]
            raise PydanticCustomError("unknown_keys", "unknown", {"unknown": unknown, "known": known})
        return values


RENAMED = {
    "window": "trimming",
    "recordings": "remainder (dropped or kept)",
    "folds": "n_folds",
    "channels": "inputs",
    "simulation": "reader: simulated, with its keys beside it",
    "subject_disjoint": "nothing: folds of the unit subject promise disjoint subjects by themselves",
    "channels_only_for": "an entry of experiments of its own",
}
"""Keys that had another name, and what took their place."""

EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "finite_number": "a finite number",
    "string": "a text",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "mapping": "a mapping",
}
"""What is expected, by the beginning of pydantic's names of errors of type."""

BOUNDS = {"ge": "at least", "gt": "a number above", "le": "at most", "lt": "a number below"}
"""What is expected of a number, by pydantic's names of bounds."""


def problems_in(error: ValidationError) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong, as people say it: the place of each key, and a sentence."""
    seen = set()
    errors = error.errors()
    errors = [one for one in errors if not _wants_a_word_of_a_list(one)] or errors
    for one in errors:
        place = tuple(part for part in one["loc"] if not _is_of_a_union(part))
        for inner, sentence in _sentences(place, one):
            # A value that may be of several types has an error for each: the first says it.
            if inner not in seen:
                seen.add(inner)
                yield inner, sentence


def _wants_a_word_of_a_list(error: ErrorDetails) -> bool:
    """Whether an error says that a word was expected where a list was found.

    Where a list is possible too, what is wrong with it as a list is more useful.
    """
    return isinstance(error["input"], list) and error["type"] in ("literal_error", "string_type")


def _is_of_a_union(part: str | int) -> bool:
    """Whether a part of a place is no key but pydantic's name of one type among several."""
    return (
        isinstance(part, str)
        and re.fullmatch(r"(list|str|constrained-\w+|function-.*|literal)(\[.*\])?", part) is not None
    )


def _sentences(place: tuple, error: ErrorDetails) -> Iterator[tuple[tuple, str]]:
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "unknown_keys":
        for name in context["unknown"]:
            now = f"; it is now {RENAMED[name]}" if name in RENAMED else f"; {nearest(name, context['known'])}"
            yield (*place, name), f"unknown key '{name}'{now}"
    elif kind == "missing":
        yield place, f"the key '{place[-1]}' is missing; add it"
    elif kind == "literal_error":
        known = re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]]
        yield place, f"found {found!r}; {nearest(found, known)}"
    elif kind in ("value_error", "assertion_error"):
        yield place, str(context.get("error", error["msg"]))
    elif expected := next(
        (text for start, text in EXPECTED.items() if kind.startswith(f"{start}_") or kind == start), ""
    ):
        yield place, f"found {found!r}, expected {expected}{_number_as_text(found, kind)}"
    elif bound := next((name for name in BOUNDS if name in context), ""):
        yield place, f"found {found!r}, expected {BOUNDS[bound]} {context[bound]:g}"
    else:
        yield place, f"found {found!r}: {error['msg'][0].lower()}{error['msg'][1:]}"


def _number_as_text(found: Any, kind: str) -> str:
    """What to write where YAML took a number for text, as it does with 1e-3."""
    if isinstance(found, str) and kind.startswith(("float", "int")):
        try:
            value = float(found)
        except ValueError:
            return ""
        mantissa, _, exponent = found.lower().partition("e")
        written = f"{mantissa if '.' in mantissa else f'{mantissa}.0'}e{exponent}" if exponent else f"{value:g}"
        if exponent and exponent[0] not in "+-":
            written = written.replace("e", "e+")
        return f"; YAML reads this as text: write {written}"
    return ""

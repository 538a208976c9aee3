"""What must be said of somebody else's predictions: a small YAML file beside their table."""

import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError

from sleepbench.core.errors import BenchmarkError, printable
from sleepbench.core.strict import Strict, problems_in


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", value):
        raise ValueError(f"found {value!r}, expected letters, digits, '-', '_' and '.' alone: it names a directory")
    return value


def _source(value: str) -> str:
    if not value.startswith(("http://", "https://", "doi:")):
        raise ValueError(f"found {value!r}, expected an address that starts with https://, http:// or doi:")
    return value


def _text(value: str) -> str:
    if printable(value) != value:
        raise ValueError(f"found {value[:80]!a}, which has characters that cannot be printed")
    return value


Text = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_text)]
MOST_BYTES = 2**16


class Description(Strict):
    """What a table of predictions is of.

    name : of its directory below results/imported
    title : of the network, as printed
    source, licence : where the predictions are from, and under which licence
    protocol : how they were made, as their authors state it
    dataset : the dataset of the configuration whose recordings they are of
    input : the channels, as stated; None: not stated
    remark : what else a reader must know
    epochs : what the table's `epoch` counts from 0: 30-s epochs from the beginning of the `night`, or those that the
        `standard` trimming keeps
    stages : whether the stages are `names` (W, N1, N2, N3, REM) or `numbers` (0 to 4, in that order)
    """

    name: Annotated[str, AfterValidator(_name)]
    title: Text
    source: Annotated[str, AfterValidator(_source)]
    licence: Text
    protocol: Text
    dataset: Text
    input: Text | None = None
    remark: Text | None = None
    epochs: Literal["night", "standard"] = "night"
    stages: Literal["names", "numbers"] = "names"


def read_description(path: Path) -> Description:
    """The description of a table; BenchmarkError lists every key that is missing, unknown or wrong."""
    needed = ", ".join(name for name, field in Description.model_fields.items() if field.is_required())
    try:
        content = yaml.load(_plain_yaml(path), yaml.SafeLoader)
    except FileNotFoundError as error:
        raise BenchmarkError(
            f"{path}: not found; say there what the table is of ({needed}), or name the file with --description"
        ) from error
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: a date that is none, or no UTF-8
        raise BenchmarkError(f"{path}: cannot be read as YAML ({error}); correct it") from error
    if not isinstance(content, dict):
        raise BenchmarkError(f"{path}: found {str(content)[:80]!r}, expected a mapping with the keys {needed}")
    try:
        return Description.model_validate(content)
    except ValidationError as error:
        said = "\n  ".join(f"{'.'.join(map(str, place))}: {text[:300]}" for place, text in problems_in(error))
        raise BenchmarkError(f"{path}: does not describe a table of predictions:\n  {said}") from error


def _plain_yaml(path: Path) -> str:
    """The text of a small YAML file without aliases, by which a short one could stand for an endless one."""
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    text = content.decode("utf-8")
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):  # as far as it is read: what is nested takes time as its square
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent) or depth > 2:
            raise ValueError("it is nested, or has an alias (*name), which no description needs")
    return text

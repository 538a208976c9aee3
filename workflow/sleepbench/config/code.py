"""Hashes of the code that decides a number: the number is stale when its hash changes.

No other change of the code makes it stale.

Adding a model, a dataset or a selection rule, or correcting a caption, makes no training stale.
"""

import functools
import re
from collections.abc import Iterable
from pathlib import Path

from sleepbench.core.files import sha256_of_json
from sleepbench.models import describe, model_sources

PACKAGE = Path(__file__).parents[1]

READING = ("core/stages.py", "signals/*.py", "signals/edf/*.py", "datasets/base.py")
PREPARING = (*READING, *(f"preparation/{name}.py" for name in ("prepare", "cut", "measure", "prepared", "rates")))
CODE = {
    "fetch": READING,
    "prepare": PREPARING,
    "index": ("preparation/index.py", "preparation/prepared.py", "datasets/base.py"),
    "totals": ("preparation/totals.py", "datasets/known_epochs.py"),
    "folds": ("protocols/folds.py", "protocols/audit.py"),
    "train": (
        *(*PREPARING, "protocols/folds.py", "evaluation/metrics.py", "config/recipe.py"),
        *("config/arrangements.py", "training/*.py"),
        *("models/base.py", "models/layers.py", "models/transformation.py"),
    ),
    "smooth": ("postprocessing/*.py",),
    "cross": ("cross/*.py", "config/crosses.py"),
    "profile": (
        *("profiling/profile.py", "profiling/latency.py", "profiling/operations.py"),
        *("profiling/inference.py", "profiling/load.py", "models/base.py", "models/layers.py", "models/as_onnx.py"),
        *("models/open_length.py", "models/kernels/*.py", "models/kernels/*.c"),
    ),
    "parity": ("profiling/parity.py", "models/base.py", "models/layers.py"),
}
"""Files of the package by what they decide, as patterns. The reader of a dataset and a model's files are added."""

IMPORTS = re.compile(r"^\s*(?:from (sleepbench[\w.]*) import (\([^)]*\)|[^\n]*)|import (sleepbench[\w.]*))", re.M)


@functools.cache
def code_sha256(kind: str, reader: str | None = None, model: str | None = None) -> str:
    """SHA-256 of the code of a kind in CODE, of what reads a dataset, and of a model's architecture.

    Of the model's entry in the registry goes in what decides its numbers.
    """
    files = {path for pattern in CODE[kind] for path in PACKAGE.glob(pattern)}
    if reader:
        files |= {path for path in imported_by(f"sleepbench.datasets.{reader}") if _decides_data(path, kind)}
    decided: list[object] = []
    if model:
        files |= set(model_sources(model))
        info = describe(model)
        decided = [info.architecture, info.kind, info.sequence_length, info.authors_batch, info.inference]
        decided.append(repr(info.input_transformation))
    return sha256_of_json([_contents(files), decided])


def _decides_data(path: Path, kind: str) -> bool:
    """Whether a file that a dataset's reader imports decides what is read; how it is fetched does not."""
    room = path.relative_to(PACKAGE).parts[0]
    return room == "simulation" if kind == "fetch" else room == "datasets" and path.name != "download.py"


@functools.cache
def module_sha256(module: str) -> str:
    """SHA-256 of a module and of all that it imports inside the package.

    The imports are found without importing anything.
    """
    return sha256_of_json(_contents(imported_by(module)))


@functools.cache
def imported_by(module: str) -> frozenset[Path]:
    """The files of a module and of all that it imports inside the package, directly or not."""
    found: set[Path] = set()
    waiting = [_file(module)]
    while waiting:
        file = waiting.pop()
        if file and file not in found:
            found.add(file)
            waiting += _imports(file)
    return frozenset(found)


def _contents(files: Iterable[Path]) -> list[list[str]]:
    return [[str(file.relative_to(PACKAGE)), _text(file)] for file in sorted(files)]


@functools.cache
def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _file(module: str) -> Path | None:
    place = PACKAGE.joinpath(*module.split(".")[1:])
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


@functools.cache
def _imports(file: Path) -> list[Path]:
    modules: list[str] = []
    for package, names, module in IMPORTS.findall(_text(file)):
        modules += [module] if module else [package, *(f"{package}.{name}" for name in re.findall(r"\w+", names))]
    return [path for name in dict.fromkeys(modules) if (path := _file(name))]

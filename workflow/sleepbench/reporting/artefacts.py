"""Artefacts: each table, figure or set of statistics is one file that declares itself.

A module of `reporting.tables`, `reporting.figures` or `reporting.statistics` holds one `ARTEFACT`. The rules that make
it, the report, the summary, `trace` and LaTeX all follow from the declaration.
"""

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sleepbench.core.errors import BenchmarkError, nearest
from sleepbench.core.files import replacing
from sleepbench.datasets.base import DataLabel
from sleepbench.reporting.declared import STATISTICS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from sleepbench.reporting.rendering import Column


@dataclass(frozen=True)
class Inputs:
    """What an artefact is built from.

    files : by name of the input; a list where there are several, such as one fold file per protocol
    settings : by name, what the configuration says; JSON values
    label : which data the numbers are of, for titles
    """

    files: Mapping[str, Path | list[Path]]
    settings: Mapping[str, Any]
    label: DataLabel

    def path(self, name: str) -> Path:
        """The one file of an input."""
        found = self.files[name]
        return found[0] if isinstance(found, list) else found

    def statistics(self, name: str) -> Path:
        """A file of statistics, which is the input "statistics/<name>"."""
        return self.path(STATISTICS + name)

    def paths(self, name: str) -> list[Path]:
        """All files of an input, in order."""
        found = self.files[name]
        return list(found) if isinstance(found, list) else [found]


@dataclass(frozen=True)
class Table:
    """A table: its CSV is what `build` returns, Markdown and LaTeX are rendered from that CSV alone.

    place : where it stands among the tables of the report
    caption, columns : or functions of the table, where they depend on it
    note : the text that a row's number leads to
    row_keys : columns of the CSV that tell its rows apart, by which `trace` finds one; none: rows cannot be traced
    in_summary : whether the terminal and summary.md show it
    """

    name: str
    place: int
    heading: str
    caption: "str | Callable[[pd.DataFrame], str]"
    inputs: tuple[str, ...]
    build: "Callable[[Inputs], pd.DataFrame]"
    columns: "tuple[Column, ...] | Callable[[pd.DataFrame], tuple[Column, ...]]"
    note: "Callable[[pd.Series], str]"
    row_keys: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    in_summary: bool = False


@dataclass(frozen=True)
class FigureArtefact:
    """A figure: `build` gives the numbers that are drawn, which are its CSV, `draw` the figure of them."""

    name: str
    place: int
    heading: str
    caption: str
    inputs: tuple[str, ...]
    build: "Callable[[Inputs], pd.DataFrame]"
    draw: "Callable[[pd.DataFrame, Inputs], Figure]"
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class StatisticsArtefact:
    """Files of statistics made together: `build` gives each one's content by its name."""

    name: str
    names: tuple[str, ...]
    inputs: tuple[str, ...]
    build: "Callable[[Inputs], dict[str, pd.DataFrame]]"
    settings: tuple[str, ...] = ()


Artefact = Table | FigureArtefact | StatisticsArtefact


@functools.cache
def tables() -> dict[str, Table]:
    """All tables by name, in the order of the report."""
    return _declared("tables")


@functools.cache
def figures() -> dict[str, FigureArtefact]:
    """All figures by name, in the order of the report."""
    return _declared("figures")


@functools.cache
def statistics() -> dict[str, StatisticsArtefact]:
    """All sets of statistics by name."""
    return _declared("statistics")


@functools.cache
def cross_tables() -> dict[str, Table]:
    """All tables of networks tested on other datasets."""
    return _declared("cross.tables")


@functools.cache
def cross_figures() -> dict[str, FigureArtefact]:
    """All figures of networks tested on other datasets."""
    return _declared("cross.figures")


def find(kind: Callable[[], Mapping[str, Artefact]], name: str) -> Artefact:
    """The artefact of this name; BenchmarkError with the nearest one where there is none."""
    if name not in kind():
        raise BenchmarkError(f"no {kind.__name__.removesuffix('s')} is called '{name}'; {nearest(name, kind())}")
    return kind()[name]


def _declared(room: str) -> dict[str, Any]:
    package = importlib.import_module(f"sleepbench.reporting.{room}")
    modules = [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    found = [module.ARTEFACT for module in modules if hasattr(module, "ARTEFACT")]
    return {one.name: one for one in sorted(found, key=lambda one: getattr(one, "place", 0))}


def make_statistics(artefact: StatisticsArtefact, inputs: Inputs, files: Mapping[str, str | Path]) -> None:
    """Compute statistics and write each file of them, `files` by name, when all of them are computed."""
    for name, content in artefact.build(inputs).items():
        with replacing(files[name]) as temporary:
            content.to_csv(temporary, index=False)

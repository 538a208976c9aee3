"""What figures share: what they read, how they call contenders, and how they arrange panels."""

import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from sleepbench.core.errors import BenchmarkError
from sleepbench.reporting import reading
from sleepbench.reporting.artefacts import STATISTICS, Inputs
from sleepbench.reporting.figures.style import PAGE_WIDTH, heading, new_figure
from sleepbench.reporting.reading import CONTENDER
from sleepbench.reporting.rendering import with_contenders

Contender = tuple[str, str, str]

INTERVAL = "bars: 95 % intervals over subjects"
SMALL_PANELS_PER_ROW = 5
MOST_CONTENDERS = 4
"""Of more contenders than these all panels are drawn small, and run on from one to the next in the same rows."""


# -------------------------------------------------------------------------------------------------------- what is read


def read_statistics(inputs: Inputs, name: str, columns: Sequence[str], may_be_empty: bool = False) -> pd.DataFrame:
    """Columns of a file of statistics; BenchmarkError if it lacks one or, unless it may, has no rows."""
    table = reading.read_statistics(inputs, name, columns)
    if table.empty and not may_be_empty:
        path = inputs.path(STATISTICS + name)
        raise BenchmarkError(f"{path}: has no rows, so there is nothing to draw; make the statistics again")
    return table[list(columns)]


def by_contender(table: pd.DataFrame) -> dict[Contender, pd.DataFrame]:
    """The rows of each contender, in the order of their first rows."""
    return dict(list(table.groupby(list(CONTENDER), sort=False)))


# --------------------------------------------------------------------------------------------------------------- names


def names_of(table: pd.DataFrame) -> dict[Contender, str]:
    """What each contender of a table is called: its title, as tables do.

    Input and recipe are added where there are several of the title.
    """
    named = with_contenders(table[list(CONTENDER)].drop_duplicates())
    keys = named[list(CONTENDER)].itertuples(index=False, name=None)
    return dict(zip(keys, named.contender, strict=True))


def short_lines(name: str, protocol: str | None = None, width: int = 18) -> str:
    """Title of a small panel in short lines: the contender, and the protocol where there are several."""
    lines = [name]
    if len(name) > width:
        title, _, trained = name.partition(" (")
        lines = [*textwrap.wrap(title, width, break_long_words=False), *([f"({trained}"] if trained else [])]
    return "\n".join([*lines, *([protocol] if protocol else [])])


def broken(name: str, width: int) -> str:
    """A name of the configuration in lines, broken after its underscores."""
    return textwrap.fill(name.replace("_", "_ "), width, break_long_words=False).replace("_ ", "_")


# -------------------------------------------------------------------------------------------------------------- panels


class Panel(NamedTuple):
    """What one panel shows: the rows of a contender under a protocol."""

    contender: Contender
    protocol: str
    rows: pd.DataFrame


def panels_by_contender(table: pd.DataFrame) -> list[list[Panel]]:
    """A panel for each contender and protocol of a table."""
    return [
        [Panel(contender, protocol, rows) for protocol, rows in mine.groupby("protocol", sort=False)]
        for contender, mine in by_contender(table).items()
    ]


def rows_of_panels(panels: Sequence[Sequence[tuple]], most: int) -> list[list[tuple]]:
    """Arrange panels, given by contender, one after another in evenly filled rows of at most `most`."""
    every = [panel for mine in panels for panel in mine]
    per_row = math.ceil(len(every) / math.ceil(len(every) / most))
    return [every[start : start + per_row] for start in range(0, len(every), per_row)]


def are_small(panels: Sequence[Sequence]) -> bool:
    """Whether panels, by contender, are of so many contenders that all are drawn small."""
    return len(panels) > MOST_CONTENDERS


def blocks(figure: Figure, names: Sequence[str]) -> list[SubFigure]:
    """A part of the figure for each contender, one below the other, under its name."""
    parts = list(np.atleast_1d(figure.subfigures(len(names), 1)))
    for part, name in zip(parts, names, strict=True):
        part.suptitle(name, fontsize=8, fontweight="bold")
    return parts


class Pair(NamedTuple):
    """Two panels of a contender side by side, and the line that each protocol has in both, 0 at the top."""

    left: Axes
    right: Axes
    lines: dict[str, int]


def paired_panels(
    table: pd.DataFrame, inches: float, inputs: Inputs, text: str, labels: tuple[str, str]
) -> tuple[Figure, dict[Contender, Pair]]:
    """A figure with a pair of panels per contender, with a line for each protocol that it was run under.

    Lines are `inches` high, protocols from top to bottom. All left panels have one x axis, and all right panels;
    `labels` are theirs. With one protocol alone, several contenders have lines in one pair of panels.
    """
    called, protocols = names_of(table), list(table.protocol.unique())
    contenders = list(called)
    if len(protocols) == 1 and len(contenders) > 1:
        text += f", protocol {protocols[0]}"
        figure = new_figure(PAGE_WIDTH, 1.1 + inches * len(contenders), heading(inputs, text))
        left, right = figure.subplots(1, 2, sharey=True)
        pairs = {contender: Pair(left, right, {protocols[0]: i}) for i, contender in enumerate(contenders)}
        lines = {left: list(called.values())}
    else:
        run = {contender: list(mine.protocol.unique()) for contender, mine in by_contender(table).items()}
        height = sum(0.4 + inches * len(mine) for mine in run.values())
        figure = new_figure(PAGE_WIDTH, 1.1 + height, heading(inputs, text))
        ratios = [len(mine) for mine in run.values()]
        grid = figure.subplots(len(run), 2, sharex="col", sharey="row", squeeze=False, height_ratios=ratios)
        pairs, lines = {}, {}
        for (left, right), (contender, mine) in zip(grid, run.items(), strict=True):
            left.set_title(called[contender], loc="left")
            pairs[contender] = Pair(left, right, {protocol: line for line, protocol in enumerate(mine)})
            lines[left] = mine
    for left, names in lines.items():
        left.set_yticks(range(len(names)), names)
        left.set_ylim(len(names) - 0.5, -0.5)
    for axes in figure.axes:
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", color="#E8E8E8", linewidth=0.4)
        axes.set_axisbelow(True)
    last = pairs[contenders[-1]]
    last.left.set_xlabel(labels[0])
    last.right.set_xlabel(labels[1])
    return figure, pairs

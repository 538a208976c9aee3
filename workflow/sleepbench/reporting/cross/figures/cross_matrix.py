"""Figure: accuracy by trained and tested dataset, and what is lost against networks of the tested dataset itself."""

import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sleepbench.datasets.base import DataLabel
from sleepbench.evaluation.people_model import LEAST_SUBJECTS
from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.cross.labels import ALL_OTHERS, marked
from sleepbench.reporting.cross.statistics import KEY, OWN
from sleepbench.reporting.figures.style import (
    BLACK,
    GREY,
    NETWORK_COLOURS,
    PAGE_WIDTH,
    SMALL,
    figure_of_nothing,
    heading,
    new_figure,
)
from sleepbench.reporting.reading import CONTENDER, read_statistics
from sleepbench.reporting.rendering import with_contenders

TITLE = "Networks tested on other datasets"
SHOWN = {OWN: "own networks", "as_is": "networks of others, each fold alone"}
PLACES = {OWN: 0, "as_is": 1}
MOST_CONTENDERS, MOST_COLUMNS = 3, 9
"""Of matrices beside each other, so that a cell has room for its interval."""
LINE = 0.16
"""Height in inches of a line beside the slopes."""
FEW = "*"
"""Beside a number that too few people are behind."""
DARK = 0.55
"""Accuracy above which print on a cell is dark."""


def numbers(inputs: Inputs) -> pd.DataFrame:
    """The accuracies that are drawn, of networks as they are and of each dataset's own."""
    columns = (*KEY, "metric", "estimate", "low", "high", "n_subjects", "change")
    statistics = read_statistics(inputs, "cross", columns)
    labels = {name: DataLabel(**label) for name, label in inputs.settings["labels"].items()}
    wanted = (statistics.metric == "accuracy") & statistics.way.isin(SHOWN) & (statistics.trained != ALL_OTHERS)
    table = with_contenders(statistics[wanted].reset_index(drop=True))
    for column in ("trained", "tested"):
        table[f"{column}_shown"] = [marked(name, labels) for name in table[column]]
    return table.drop(columns="metric")


def draw(table: pd.DataFrame, inputs: Inputs) -> Figure:
    """For each contender a matrix above, and below it a slope for each pair of datasets."""
    title = heading(inputs, TITLE)
    if table.empty:
        return figure_of_nothing(title, "no network was tested on another dataset")
    every = list(dict.fromkeys(map(tuple, table[list(CONTENDER)].itertuples(index=False))))
    shown = {row.tested: row.tested_shown for row in table.itertuples()}
    shown |= {row.trained: row.trained_shown for row in table.itertuples()}
    names = sorted(shown)
    contenders = every[: min(MOST_CONTENDERS, max(1, MOST_COLUMNS // len(names)))]
    pairs = table[table.way != OWN].groupby(list(CONTENDER)).size().max()
    heights = [0.5 + 0.45 * len(names), max(2.2, LINE * pairs)]
    figure = new_figure(PAGE_WIDTH, 1.6 + sum(heights), title)
    panels = figure.subplots(2, len(contenders), squeeze=False, height_ratios=heights)
    for i, contender in enumerate(contenders):
        mine = table[(table[list(CONTENDER)] == list(contender)).all(axis=1)]
        _draw_matrix(panels[0][i], mine, names, shown, 80 // (len(names) * len(contenders)), is_first=i == 0)
        panels[0][i].set_title("\n".join(textwrap.wrap(mine.contender.iloc[0], 70 // len(contenders))))
        _draw_slopes(panels[1][i], mine, is_first=i == 0)
    said = "\u2013: not tested, as the table of who was tested says."
    if (table.n_subjects < LEAST_SUBJECTS).any():
        said += f" {FEW}: fewer than {LEAST_SUBJECTS} people, from whom nothing is concluded."
    if len(contenders) < len(every):
        said += f" The first {len(contenders)} of {len(every)} contenders."
    figure.supxlabel(said, fontsize=SMALL, x=0.01, ha="left")
    return figure


def _draw_matrix(
    axes: Axes, table: pd.DataFrame, names: Sequence[str], shown: dict[str, str], width: int, *, is_first: bool
) -> None:
    """Rows are what was trained on, columns what was tested; the diagonal is a dataset's own networks.

    `width` is that of a column in characters.
    """
    places = {name: n for n, name in enumerate(names)}
    values = np.full((len(names), len(names)), np.nan)
    for row in table.itertuples():
        at = places[row.trained], places[row.tested]
        values[at] = row.estimate
        bounds = "" if pd.isna(row.low) else f"\n[{100 * row.low:.0f}, {100 * row.high:.0f}]"
        axes.text(
            *at[::-1],
            f"{100 * row.estimate:.1f}{FEW if row.n_subjects < LEAST_SUBJECTS else ''}{bounds}",
            ha="center",
            va="center",
            fontsize=SMALL,
            color=BLACK if row.estimate > DARK else "white",
            weight="bold" if row.trained == row.tested else "normal",
        )
    for at in zip(*np.nonzero(np.isnan(values)), strict=True):
        axes.text(*at[::-1], "\u2013", ha="center", va="center", color=GREY)
    axes.imshow(values, vmin=0, vmax=1, cmap="cividis", aspect="auto")
    across, down = (["\n".join(textwrap.wrap(shown[name], n)) for name in names] for n in (width, 18))
    axes.set_xticks(range(len(names)), across, fontsize=SMALL)
    axes.set_yticks(range(len(names)), down if is_first else [], fontsize=SMALL)
    axes.set_xlabel("tested on: accuracy (%)")
    if is_first:
        axes.set_ylabel("trained on")
    axes.tick_params(length=0)


def _draw_slopes(axes: Axes, table: pd.DataFrame, *, is_first: bool) -> None:
    """A line for each pair: from the own networks of the tested dataset to those of the other, on the same people.

    Its colour is the tested dataset's.
    """
    own = table[table.way == OWN].set_index("tested").estimate
    pairs = table[table.way != OWN]
    ends = []
    colours = {name: NETWORK_COLOURS[n % len(NETWORK_COLOURS)] for n, name in enumerate(sorted({*table.tested}))}
    for row in pairs.itertuples():
        colour = colours[row.tested]
        change = float(row.change) if not pd.isna(row.change) else np.nan
        start = row.estimate - change if not np.isnan(change) else np.nan
        axes.plot([0, 1], [100 * start, 100 * row.estimate], color=colour, marker="o", markersize=3.5)
        if not pd.isna(row.low):
            axes.vlines(1, 100 * row.low, 100 * row.high, color=colour, linewidth=1.2, alpha=0.6)
        ends.append((100 * row.estimate, f"{row.trained} \u2192 {row.tested}", colour))
    drawn = [*(100 * own), *(end for end, *_ in ends)]
    inches = axes.get_figure().get_figheight() / 3
    room = max(0.5, (max(drawn) - min(drawn)) * LINE / inches)
    ends.sort(key=lambda one: one[0])
    places = []
    for end, *_ in ends:
        places.append(max(end, places[-1] + room) if places else end)
    above = (places[-1] - ends[-1][0]) / 2  # as much beyond the highest end as beyond the lowest
    for (end, text, colour), place in zip(ends, places, strict=True):
        at = (1.08, place - above)
        axes.annotate(text, (1, end), at, fontsize=SMALL, color=colour, va="center", annotation_clip=False)
    axes.set_xlim(-0.15, 2.0)
    axes.set_xticks([0, 1], ["own\nnetworks", "other\nnetworks"])
    axes.margins(y=0.12)
    if is_first:
        axes.set_ylabel("accuracy (%)")


ARTEFACT = FigureArtefact(
    name="cross_matrix",
    place=10,
    heading=TITLE,
    caption=(
        "Above, pooled accuracy with its interval over the people of the tested dataset: on the diagonal the dataset's "
        "own networks under the protocol clean, beside it the networks of each fold of another, alone, averaged over "
        "folds. Below, the same people scored by own networks and by those of another dataset; the bars are intervals. "
        "Without own networks of the tested dataset there is no line, only its end."
    ),
    inputs=("statistics/cross",),
    settings=("labels",),
    build=numbers,
    draw=draw,
)

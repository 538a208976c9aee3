"""Figure: accuracy by fold beside another's re-run, and how the confusion matrices differ."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sleepbench.core.stages import STAGES
from sleepbench.evaluation.reruns import (
    ALL,
    CELL,
    FOLD,
    MEAN,
    OUTSIDE,
    OUTSIDE_HOLM,
    compare_with_reruns,
    load_reruns,
)
from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures.style import (
    BLUE,
    GREY,
    PAGE_WIDTH,
    VERMILION,
    figure_of_nothing,
    heading,
    key_below,
    new_figure,
)
from sleepbench.reporting.reading import read_runs

TITLE = "beside a re-run by others"


def compared(inputs: Inputs) -> pd.DataFrame:
    """The comparison with the re-run on this dataset; where there is none on it, why each is not compared."""
    table = compare_with_reruns(load_reruns(inputs.path("reruns")), read_runs(inputs), inputs.label)
    mine = table[table.dataset == inputs.label.dataset]
    return table if mine.empty else mine.reset_index(drop=True)


def draw(compared: pd.DataFrame, inputs: Inputs) -> Figure:
    """Folds on the left, differences of the confusion matrices on the right; or why nothing was compared."""
    if compared.ours.isna().all():
        first = compared[compared.part == ALL].iloc[0]
        return figure_of_nothing(heading(inputs, f"Folds {TITLE}"), textwrap.fill(f"{first.verdict}: {first.why}", 110))
    verdict = compared[compared.part == ALL].iloc[0]
    figure = new_figure(PAGE_WIDTH, 3.1, heading(inputs, f"{verdict.model}, protocol {verdict.protocol}, {TITLE}"))
    folds, cells = figure.subplots(1, 2, width_ratios=(1.35, 1))
    _draw_folds(folds, compared[compared.part.isin((FOLD, MEAN))], verdict.verdict)
    _draw_cells(cells, compared[compared.part == CELL])
    several = verdict.seeds > 1
    ours = f"ours, mean of {verdict.seeds} seeds; bar: 95 % for one further training" if several else "ours, one seed"
    keys = [(ours, BLUE, "o"), ("theirs", "black", "D"), *([("theirs, outside", VERMILION, "D")] if several else [])]
    key_below(
        figure, [Line2D([], [], color=c, marker=m, markersize=3.5, linestyle="none", label=text) for text, c, m in keys]
    )
    return figure


def _draw_folds(axes: Axes, rows: pd.DataFrame, verdict: str) -> None:
    place = np.arange(len(rows)) + 0.5 * (rows.part == MEAN).to_numpy()
    axes.errorbar(place - 0.1, rows.ours, yerr=rows.allowed.fillna(0), fmt="o", color=BLUE, markersize=3.5, linewidth=1)
    colours = np.where(rows.verdict.isin((OUTSIDE, OUTSIDE_HOLM)), VERMILION, "black")
    axes.scatter(place + 0.1, rows.theirs, c=colours, marker="D", s=11, zorder=3)
    names = [
        what.removeprefix("fold ") if part == FOLD else "mean" for what, part in zip(rows.what, rows.part, strict=True)
    ]
    axes.set_xticks(place, names)
    axes.set_xlabel("fold")
    axes.set_ylabel("accuracy (%)")
    axes.set_title(f"Accuracy by fold: {verdict}", loc="left")
    axes.grid(axis="y", color="#E8E8E8", linewidth=0.4)
    axes.set_axisbelow(True)


def _draw_cells(axes: Axes, rows: pd.DataFrame) -> None:
    n = len(STAGES)
    difference = rows.difference.to_numpy().reshape(n, n)
    most = max(1.0, float(np.nanmax(np.abs(difference))))
    axes.imshow(np.nan_to_num(difference), cmap="RdBu", vmin=-most, vmax=most)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks(range(n), STAGES)
    axes.set_yticks(range(n), STAGES)
    axes.set_xlabel("predicted stage")
    axes.set_ylabel("scored stage")
    axes.set_title("Ours minus theirs (points of the scored stage)", loc="left")
    for i, j in np.ndindex(n, n):
        colour = "white" if abs(difference[i, j]) > 0.6 * most else GREY if abs(difference[i, j]) < 0.05 else "black"
        axes.text(j, i, f"{difference[i, j]:+z.1f}", ha="center", va="center", color=colour)


ARTEFACT = FigureArtefact(
    name="reproduction",
    place=25,
    heading="A re-run by others, fold by fold",
    caption=(
        "Left: accuracy of each fold and their mean, in runs here and in an independent re-run of the released "
        "evaluation by others (secondary: one training a fold). Bars: 95 % prediction interval of one further training "
        "from the spread over our seeds; by chance one fold in twenty is outside. Right: the confusion matrices of all "
        "folds, ours (mean over seeds) minus theirs, in percentage points of the scored stage's epochs. Drawn only "
        "where whole real recordings were run under the same protocol; the table of the same name has the numbers and "
        "the rule of the verdict."
    ),
    inputs=("runs", "reruns"),
    build=compared,
    draw=draw,
)

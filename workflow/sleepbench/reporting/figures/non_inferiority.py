"""Figure: what the networks that claims are about lose against each rival, with bounds, margins and verdicts."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sleepbench.evaluation.non_inferiority import INFERIOR, NOT_INFERIOR
from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures import style
from sleepbench.reporting.figures.panels import read_statistics
from sleepbench.reporting.tables.non_inferiority import NO_PAIR, percent

PANEL = ("input", "recipe", "title")
COLUMNS = (
    *("protocol", *PANEL, "rival", "metric", "n_subjects", "difference", "low", "high", "smallest_margin"),
    *("margin", "verdict", "reason"),
)
COLOURS = {NOT_INFERIOR: style.BLUE, INFERIOR: style.VERMILION}
"""Of verdicts; others are grey."""
TITLE = "Accuracy lost or gained against each rival, over subjects"
LINE = 0.13
"""Height of a rival's line in inches."""


def differences(inputs: Inputs) -> pd.DataFrame:
    """The rows of statistics/non_inferiority.csv on accuracy, in its order."""
    found = read_statistics(inputs, "non_inferiority", COLUMNS, may_be_empty=True)
    return found[found.metric == "accuracy"].reset_index(drop=True)


def draw(table: pd.DataFrame, inputs: Inputs) -> Figure:
    """A panel per input and recipe, a line per rival, sorted by the difference; all panels have one x axis."""
    if table.empty:
        return style.figure_of_nothing(style.heading(inputs, TITLE), NO_PAIR.partition(": ")[2])
    panels = [rows for _, rows in table.groupby(list(PANEL), sort=False)]
    sizes = [rows.rival.nunique() for rows in panels]
    height = 0.9 + sum(0.45 + LINE * size for size in sizes)
    figure = style.new_figure(style.PAGE_WIDTH, height, style.heading(inputs, TITLE))
    # Verdicts have axes of their own: as texts beside those of the differences, each would be laid out.
    ratios = {"height_ratios": [size + 0.5 for size in sizes], "width_ratios": [5, 0.85 * table.margin.nunique()]}
    grid = figure.subplots(len(panels), 2, sharex="col", sharey="row", squeeze=False, gridspec_kw=ratios)
    for (axes, beside), rows in zip(grid, panels, strict=True):
        _draw_panel(axes, beside, rows)
    grid[-1, 0].set_xlabel("difference of accuracy (percentage points)")
    handles = [
        Line2D([], [], color="black", marker="o", markersize=3.5, label="mean over subjects, one-sided 95 % bounds"),
        Line2D([], [], color=style.GREY, linestyle="--", linewidth=0.8, label="margins"),
    ]
    style.key_below(figure, handles)
    return figure


def _draw_panel(axes: Axes, beside: Axes, rows: pd.DataFrame) -> None:
    """Lines from the largest gain down to the largest loss; those without a difference come last."""
    first, margins = rows.drop_duplicates("rival"), sorted(rows.margin.unique())
    ordered = first.sort_values("difference", ascending=False, kind="stable", na_position="last")
    verdicts = rows.pivot(index="rival", columns="margin", values="verdict")
    beside.set_axis_off()
    beside.set_xlim(0, len(margins))
    small = {"va": "center", "fontsize": 6.5, "in_layout": False}
    for place, pair in enumerate(ordered.itertuples()):
        said = [verdicts.loc[pair.rival, margin] for margin in margins]
        colour = COLOURS.get(said[-1], "black")
        axes.hlines(place, 100 * pair.low, 100 * pair.high, color=colour, linewidth=1, zorder=2)
        axes.plot(100 * pair.difference, place, marker="o", markersize=3.5, color=colour, zorder=3)
        for column, one in enumerate(said):
            beside.text(column, place, one, color=COLOURS.get(one, style.GREY), **small)
        if pd.isna(pair.difference):
            axes.text(0.01, place, pair.reason, transform=axes.get_yaxis_transform(), color=style.GREY, **small)
    for column, margin in enumerate(margins):
        axes.axvline(-100 * margin, color=style.GREY, linestyle="--", linewidth=0.8, zorder=1)
        beside.text(column, -0.9, f"margin {percent(margin)}", fontweight="bold", **small)
    axes.axvline(0, color="black", linewidth=0.6, zorder=1)
    axes.set_yticks(range(len(ordered)), ordered.rival)
    axes.set_ylim(len(ordered) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#E8E8E8", linewidth=0.4)
    axes.set_axisbelow(True)
    pair = first.iloc[0]
    n = first.n_subjects.dropna()
    subjects = f", n = {n.min():.0f}" + (f" to {n.max():.0f}" if n.nunique() > 1 else "") if len(n) else ""
    axes.set_title(f"{pair.title} less each rival: input {pair.input}, recipe {pair.recipe}{subjects}", loc="left")


ARTEFACT = FigureArtefact(
    name="non_inferiority",
    place=42,
    heading="Non-inferiority over subjects",
    caption=(
        "Accuracy of a network that claims are about less that of each rival of the same input and recipe, under "
        "protocol clean: mean over subjects with its one-sided 95 % bounds, in percentage points; left of zero is a "
        "loss. At a margin set beforehand a network is not inferior where its lower bound lies right of the dashed "
        "line, and inferior where its upper bound lies left of it; else this many subjects cannot decide. Lines have "
        "the colour of the verdict at the widest margin. Simulated signals get no verdict."
    ),
    inputs=("statistics/non_inferiority",),
    build=differences,
    draw=draw,
)

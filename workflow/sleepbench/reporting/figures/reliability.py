"""Figure: reliability diagrams, and under each how many epochs are predicted with which confidence."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sleepbench.core.errors import BenchmarkError
from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures.panels import (
    SMALL_PANELS_PER_ROW,
    Contender,
    Panel,
    are_small,
    blocks,
    broken,
    names_of,
    panels_by_contender,
    read_statistics,
    rows_of_panels,
    short_lines,
)
from sleepbench.reporting.figures.style import (
    BLUE,
    COLUMN_WIDTH,
    GREY,
    PAGE_WIDTH,
    SKY,
    SMALL,
    heading,
    key_below,
    new_figure,
)
from sleepbench.reporting.reading import KEY

COLUMNS = (*KEY, "low", "high", "n_epochs", "confidence", "accuracy")
ECE = "expected_calibration_error"
"""The metric of statistics/intervals.csv that is printed in each panel."""
TEXT = "Reliability of the predictions"
MOST_PER_ROW = 4
MOST_PROTOCOLS_PER_ROW = 8
FEWEST_EPOCHS = 30
"""In a bin, below which its accuracy is hardly an estimate, and is drawn pale."""
PALE = 0.3


def calibration_bins(inputs: Inputs) -> pd.DataFrame:
    """The bins of statistics/reliability.csv, with the ECE of their contender and protocol.

    The column `ece` holds that error. The bins are of all seeds together, the error is the mean of the seeds' own, as
    intervals.csv has it; BenchmarkError if it has none.
    """
    intervals = read_statistics(inputs, "intervals", (*KEY, "metric", "estimate"))
    errors = intervals[intervals.metric == ECE].set_index(list(KEY)).estimate
    tables = []
    for values, bins in read_statistics(inputs, "reliability", COLUMNS).groupby(list(KEY), sort=False):
        if not bins.n_epochs.sum():
            raise BenchmarkError(f"the bins of {', '.join(values)} hold no epoch; make the statistics again")
        if values not in errors.index:
            raise BenchmarkError(f"the intervals have no {ECE} of {', '.join(values)}; make the statistics again")
        tables.append(bins.assign(ece=errors[values]))
    return pd.concat(tables, ignore_index=True)


def draw(bins: pd.DataFrame, inputs: Inputs) -> Figure:
    """A panel per protocol, in a block per contender; or small ones one after another."""
    panels, protocols, names = panels_by_contender(bins), list(bins.protocol.unique()), names_of(bins)
    share = 100 * bins.n_epochs / bins.groupby(list(KEY)).n_epochs.transform("sum")
    top = 10 * math.ceil(share.max() / 10)
    # Blocks of contenders that lack some of the protocols would be mostly empty.
    if are_small(panels) or any(len(mine) < len(protocols) for mine in panels):
        return _draw_small(rows_of_panels(panels, SMALL_PANELS_PER_ROW), names, len(protocols) == 1, top, inputs)
    n_rows = math.ceil(len(protocols) / (MOST_PER_ROW if len(panels) == 1 else MOST_PROTOCOLS_PER_ROW))
    n_columns = math.ceil(len(protocols) / n_rows)
    width = PAGE_WIDTH if n_columns > 2 else COLUMN_WIDTH
    inches = min((width - 0.5) / n_columns, 1.9)
    figure = new_figure(width, 1.3 + len(panels) * (0.25 + n_rows * (1.3 * inches + 0.8)), heading(inputs, TEXT))
    for block, mine in zip(blocks(figure, list(names.values())), panels, strict=True):
        grid = _grid(block, n_rows, n_columns)
        for panel in mine:
            place = divmod(protocols.index(panel.protocol), n_columns)
            _draw_calibration(block, grid, place, panel.rows, top, broken(panel.protocol, int(15 * inches)))
    _key(figure, 4 if width == PAGE_WIDTH else 1)
    return figure


def _draw_small(
    rows: list[list[Panel]], names: dict[Contender, str], one_protocol: bool, top: int, inputs: Inputs
) -> Figure:
    """Small panels, named by their contender, and by their protocol where there are several."""
    figure = new_figure(PAGE_WIDTH, 1 + 2.1 * len(rows), heading(inputs, TEXT))
    grid = _grid(figure, len(rows), max(map(len, rows)))
    for i, row in enumerate(rows):
        for j, (contender, protocol, bins) in enumerate(row):
            title = short_lines(names[contender], None if one_protocol else protocol)
            diagram, histogram = _draw_calibration(figure, grid, (i, j), bins, top, title)
            diagram.title.set_fontsize(SMALL)
            histogram.set_xlabel("confidence (%)" if i == len(rows) - 1 else None)
    _key(figure, 4)
    return figure


def _grid(whole: Figure | SubFigure, n_rows: int, n_columns: int) -> GridSpec:
    """Room for diagrams, each with a histogram of a third of its height below."""
    return whole.add_gridspec(2 * n_rows, n_columns, height_ratios=[3, 1] * n_rows)


def _draw_calibration(
    whole: Figure | SubFigure, grid: GridSpec, place: tuple[int, int], bins: pd.DataFrame, top: int, title: str
) -> tuple[Axes, Axes]:
    """A diagram and its histogram up to `top` percent, under a title and the calibration error."""
    row, column = place
    diagram = whole.add_subplot(grid[2 * row, column])
    histogram = whole.add_subplot(grid[2 * row + 1, column], sharex=diagram)
    for axes, label in ((diagram, "accuracy (%)"), (histogram, "epochs (%)")):
        axes.tick_params(labelleft=column == 0)
        axes.set_ylabel(label if column == 0 else None)
    widths = bins.high - bins.low
    filled = bins[bins.n_epochs > 0]
    bars = diagram.bar(bins.low, bins.accuracy, widths, align="edge", color=SKY, edgecolor="white", linewidth=0.3)
    few = filled.n_epochs < FEWEST_EPOCHS
    for bar, n_epochs in zip(bars, bins.n_epochs, strict=True):
        bar.set_alpha(PALE if n_epochs < FEWEST_EPOCHS else None)
    diagram.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=0.6)
    # The line passes over the pale points: a detour to what a few epochs gave would be seen before all else.
    diagram.plot(filled.confidence[~few], filled.accuracy[~few], color=BLUE, marker="o", markersize=2, linewidth=0.8)
    pale = {"color": BLUE, "marker": "o", "markersize": 2, "linestyle": "none", "alpha": PALE}
    diagram.plot(filled.confidence[few], filled.accuracy[few], **pale)
    diagram.set(xlim=(0, 1), ylim=(0, 1))
    diagram.set_yticks((0, 0.5, 1), ("0", "50", "100"))
    diagram.tick_params(labelbottom=False)
    diagram.set_title(f"{title}\nECE {100 * bins.ece.iloc[0]:.1f} %")
    histogram.bar(bins.low, 100 * bins.n_epochs / bins.n_epochs.sum(), widths, align="edge", color=GREY)
    histogram.set_xticks((0, 0.5, 1), ("0", "50", "100"))
    histogram.set(ylim=(0, top), yticks=(0, top), xlabel="confidence (%)")
    return diagram, histogram


def _key(figure: Figure, n_columns: int) -> None:
    handles = [
        Patch(color=SKY, label="accuracy of a bin"),
        Patch(color=SKY, alpha=PALE, label=f"of fewer than {FEWEST_EPOCHS} epochs"),
        Line2D([], [], color=BLUE, marker="o", markersize=2.5, label="at its mean confidence"),
        Line2D([], [], color="black", linestyle="--", linewidth=0.6, label="calibrated"),
    ]
    key_below(figure, handles, n_columns)


ARTEFACT = FigureArtefact(
    name="reliability",
    place=50,
    heading="Reliability of the predictions",
    caption=(
        "How often an epoch is predicted rightly, by its confidence, the probability of the predicted stage; below, "
        "how many epochs have that confidence. Bins of fewer than 30 epochs are pale, and the line passes over them. "
        "On the dashed line confidence and accuracy are the same. ECE is the expected calibration error over 15 bins: "
        "of each seed, then averaged; the bins drawn hold the epochs of all seeds."
    ),
    inputs=("statistics/reliability", "statistics/intervals"),
    build=calibration_bins,
    draw=draw,
)

"""Figure: mean ranks of networks within subjects, with Nemenyi's critical difference."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy

from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures import style
from sleepbench.reporting.figures.panels import read_statistics
from sleepbench.reporting.tables.ranks import FAMILY, NO_RANKS, p_of

COLUMNS = (
    *(*FAMILY, "title", "metric", "mean_rank", "letters", "chi_square", "p", "critical_difference"),
    *("n_networks", "n_subjects", "reason"),
)
TITLE = "Networks ranked within each subject by accuracy"
LINE = 0.14
"""Height of a label or a bar in inches."""


def ranks(inputs: Inputs) -> pd.DataFrame:
    """The rows of statistics/ranks.csv on accuracy, and those that say why there are no ranks."""
    found = read_statistics(inputs, "ranks", COLUMNS, may_be_empty=True)
    return found[(found.metric == "accuracy") | found.metric.isna()].reset_index(drop=True)


def draw(table: pd.DataFrame, inputs: Inputs) -> Figure:
    """A diagram per input and recipe, the best network on the left."""
    title = style.heading(inputs, TITLE)
    if table.mean_rank.isna().all():
        reasons = dict.fromkeys(table.reason.dropna())
        return style.figure_of_nothing(title, "; ".join(reasons) or NO_RANKS.partition(": ")[2])
    families = [rows for _, rows in table[table.mean_rank.notna()].groupby(list(FAMILY), sort=False)]
    heights = [0.85 + LINE * (len(rows) / 2 + 2 + _n_bars(rows)) for rows in families]
    figure = style.new_figure(style.PAGE_WIDTH, 0.6 + sum(heights), title)
    grid = figure.subplots(len(families), 1, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes, rows in zip(grid[:, 0], families, strict=True):
        _draw_ranks(axes, rows)
    return figure


def _n_bars(rows: pd.DataFrame) -> int:
    """The number of groups of networks that are not told apart: of letters."""
    return len({letter for letters in rows.letters for letter in letters})


def _draw_ranks(axes: Axes, rows: pd.DataFrame) -> None:
    # Not at the top: pyplot and seaborn come with it, which no other figure needs.
    from scikit_posthocs import critical_difference_diagram

    first = rows.iloc[0]
    mean_ranks = rows.set_index("title").mean_rank
    apart = np.abs(mean_ranks.to_numpy()[:, None] - mean_ranks.to_numpy()) > first.critical_difference
    critical_difference_diagram(
        mean_ranks,
        pd.DataFrame(np.where(apart, 0.0, 1.0), mean_ranks.index, mean_ranks.index),  # p, as far as it matters
        ax=axes,
        label_fmt_left="{label} ({rank:.2f}) ",
        label_fmt_right=" ({rank:.2f}) {label}",
        elbow_props={"color": "black", "linewidth": 0.5},
        label_props={"fontsize": 6.5},
        marker_props={"color": style.BLUE, "s": 9, "clip_on": False},
        crossbar_props={"linewidth": 1.8},
    )
    # The library's own bar for it would lie on the numbers of the axis.
    above = offset_copy(axes.transData, axes.figure, y=19, units="points")
    start, width = mean_ranks.min(), first.critical_difference
    axes.plot([start, start + width], [0, 0], color="black", linewidth=1.8, transform=above, clip_on=False)
    axes.annotate(
        f"CD = {width:.2f}", (start + width / 2, 0), (0, 22), textcoords="offset points", ha="center", fontsize=6.5
    )
    axes.set_ylim(top=0)
    test = f"Friedman's chi-square {first.chi_square:.1f}, {p_of(first.p)}"
    subjects = f"{first.n_subjects:.0f} subjects"
    axes.set_title(f"input {first.input}, recipe {first.recipe}: {subjects}, {test}", loc="left", pad=34)


ARTEFACT = FigureArtefact(
    name="ranks",
    place=44,
    heading="Networks ranked within each subject",
    caption=(
        "Mean rank over subjects of the networks of one input and recipe, under protocol clean, by each subject's "
        "accuracy; 1 is the best. Bars join networks that Nemenyi's test does not tell apart at 5 %: their mean ranks "
        "are less than the critical difference (CD) apart. Friedman's test asks whether all are alike."
    ),
    inputs=("statistics/ranks",),
    build=ranks,
    draw=draw,
)

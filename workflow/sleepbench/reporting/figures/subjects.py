"""Figure: accuracy and macro-F1 of every subject, both nights together, by protocol."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures.panels import by_contender, paired_panels, read_statistics
from sleepbench.reporting.figures.style import BLUE, GREY, VERMILION, key_below
from sleepbench.reporting.reading import KEY

COLOURS = {"accuracy": BLUE, "macro_f1": VERMILION}
COLUMNS = (*KEY, "subject", "age", "sex", *COLOURS, "n_epochs", "n_recordings")
GOLDEN = (5**0.5 - 1) / 2
FEWEST_FOR_A_BOX = 4
"""Subjects below which there is no middle half to show."""


def draw(subjects: pd.DataFrame, inputs: Inputs) -> Figure:
    """Two panels per contender, a dot per subject over box and median."""
    # Multiples of the golden ratio spread evenly, and a subject keeps its height on every line.
    height = {one: 0.6 * ((i * GOLDEN) % 1 - 0.5) for i, one in enumerate(sorted(subjects.subject.unique()))}
    text = "Accuracy and macro-F1 of each subject, both nights together"
    figure, pairs = paired_panels(subjects, 0.28, inputs, text, ("accuracy (%)", "macro-F1 (%)"))
    for contender, mine in by_contender(subjects).items():
        left, right, lines = pairs[contender]
        if title := left.get_title(loc="left"):  # the pair is this contender's alone
            left.set_title(f"{title}, {counted(mine)}", loc="left")
        for axes, metric in ((left, "accuracy"), (right, "macro_f1")):
            _draw_distribution(axes, mine, metric, lines, height)
    dot = "a subject (n)" if left.get_title(loc="left") else f"a subject, {counted(subjects)}"
    handles = [
        Line2D([], [], color=GREY, marker="o", markersize=3, mew=0, linestyle="none", label=dot),
        Patch(facecolor="white", edgecolor="black", linewidth=0.6, label="middle half of the subjects"),
        Line2D([], [], color="black", linewidth=1.6, label="median"),
    ]
    key_below(figure, handles)
    return figure


def counted(subjects: pd.DataFrame) -> str:
    """How many subjects the contenders have under a protocol."""
    n_subjects = subjects.groupby(list(KEY)).subject.nunique()
    fewest, most = n_subjects.min(), n_subjects.max()
    return f"n = {most}" if fewest == most else f"n = {fewest} to {most}"


def _draw_distribution(
    axes: Axes, subjects: pd.DataFrame, metric: str, lines: dict[str, int], height: dict[str, float]
) -> None:
    for protocol, mine in subjects[subjects[metric].notna()].groupby("protocol", sort=False):
        values, line = 100 * mine[metric].to_numpy(), lines[protocol]
        place = line + mine.subject.map(height).to_numpy()
        size = 9 if len(mine) <= 20 else 5
        axes.scatter(values, place, s=size, color=COLOURS[metric], alpha=0.55, linewidth=0, zorder=2)
        if len(mine) >= FEWEST_FOR_A_BOX:
            axes.boxplot(
                values,
                positions=[line],
                widths=0.62,
                orientation="horizontal",
                manage_ticks=False,
                showfliers=False,
                showcaps=False,
                whis=0,  # every subject is a dot: whiskers would only say it again
                boxprops={"color": "black", "linewidth": 0.6},
                medianprops={"color": "black", "linewidth": 1.6},
                zorder=3,
            )


ARTEFACT = FigureArtefact(
    name="subjects",
    place=40,
    heading="Subjects",
    caption=(
        "Accuracy and macro-F1 of each subject over both of its nights, by protocol; the macro-F1 is over the stages "
        "that were scored or predicted in the subject. A subject keeps its height within the line on every line. Boxes "
        "span the middle half of the subjects (from four subjects on), thick lines are medians."
    ),
    inputs=("statistics/subjects",),
    build=lambda inputs: read_statistics(inputs, "subjects", COLUMNS),
    draw=draw,
)

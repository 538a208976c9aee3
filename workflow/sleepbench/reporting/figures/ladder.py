"""Figure: accuracy and macro-F1 on each rung of the ladder, and the change from the rung before.

Each rung is a protocol.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures.panels import INTERVAL, by_contender, paired_panels, read_statistics
from sleepbench.reporting.figures.people_band import CAPTION, LOOK, key_of_people, people_band, with_people
from sleepbench.reporting.figures.style import BLUE, GREY, VERMILION, figure_of_nothing, heading, key_below
from sleepbench.reporting.reading import CONTENDER

COLUMNS = (
    *("rung", "protocol", "from_protocol", *CONTENDER, "metric", "value", "value_low", "value_high"),
    *("change", "change_low", "change_high", "n_subjects", "n_shared"),
)
METRICS = {  # label, colour, marker, distance from the middle of the line, whether filled
    "accuracy": ("accuracy", BLUE, "o", -0.16, True),
    "macro_f1": ("macro-F1", VERMILION, "s", 0.16, True),
    "accuracy_mean_of_folds": ("accuracy, mean of the folds", BLUE, "o", -0.16, False),
}
TITLE = "The ladder: each protocol, and its change from the one before"


def rungs(inputs: Inputs) -> pd.DataFrame:
    """The rows of statistics/ladder.csv that are drawn: those of METRICS, rungs in ascending order; with the band."""
    ladder = read_statistics(inputs, "ladder", COLUMNS, may_be_empty=True)
    drawn = ladder[ladder.metric.isin(METRICS)].sort_values("rung", kind="stable").reset_index(drop=True)
    return with_people(drawn, inputs)


def draw(rungs: pd.DataFrame, inputs: Inputs) -> Figure:
    """Two panels per contender, values on the left and changes on the right.

    Without any rung, as where only protocols beside the ladder were run, the figure says so.
    """
    if rungs.empty:
        return figure_of_nothing(heading(inputs, TITLE), "no protocol of the ladder was run")
    figure, pairs = paired_panels(rungs, 0.22, inputs, TITLE, ("metric (%)", "change (percentage points)"))
    for contender, mine in by_contender(rungs).items():
        values, changes, lines = pairs[contender]
        for metric in METRICS:
            rows = mine[mine.metric == metric]
            _draw_rungs(values, rows, "value", metric, lines)
            if metric != "accuracy_mean_of_folds":
                _draw_rungs(changes, rows, "change", metric, lines)
    for changes in dict.fromkeys(pair.right for pair in pairs.values()):
        changes.axvline(0, color="black", linewidth=0.6, zorder=1)
    if rungs.change.isna().all():
        lone = figure.axes[1]
        lone.set_xlim(-1, 1)  # an axis without numbers would end anywhere
        lone.text(0.03, 0.5, "one rung was run:\nno change", transform=lone.transAxes, va="center", color=GREY)
    handles = [
        Line2D([], [], label=label, linestyle="none", markersize=4 if filled else 5.5, **_look(colour, marker, filled))
        for metric, (label, colour, marker, _, filled) in METRICS.items()
        if (rungs.metric == metric).any()
    ]
    if band := people_band(rungs):
        # Behind the accuracies alone, where it cannot be read as one of the macro-F1.
        for axes, _, lines in pairs.values():
            places = [line + METRICS["accuracy"][3] for line in lines.values()]
            axes.barh(places, band[1] - band[0], height=0.3, left=band[0], zorder=0, **LOOK)
    handles += [Line2D([], [], color=GREY, label=INTERVAL), *key_of_people(band)]
    key_below(figure, handles, 3 if band else None)
    return figure


def _look(colour: str, marker: str, filled: bool) -> dict:
    return {"color": colour, "marker": marker, "markerfacecolor": colour if filled else "none"}


def _draw_rungs(axes: Axes, rows: pd.DataFrame, quantity: str, metric: str, lines: dict[str, int]) -> None:
    """Points and bars of one metric; missing values and missing intervals are left out."""
    _, colour, marker, shift, filled = METRICS[metric]
    place = rows.protocol.map(lines).to_numpy() + shift
    low, value, high = (100 * rows[f"{quantity}{end}"].to_numpy(float) for end in ("_low", "", "_high"))
    if filled:
        axes.hlines(place, low, high, color=colour, linewidth=1, zorder=2)
    look = {**_look(colour, marker, filled), "markersize": 3.5 if filled else 5.5}
    axes.plot(value, place, linestyle="none", markeredgewidth=0.7, zorder=3, **look)


ARTEFACT = FigureArtefact(
    name="ladder",
    place=10,
    heading="The ladder of protocols",
    caption=(
        "From the released evaluation at the top to the clean one at the bottom, by the configuration's ladder: each "
        "rung differs from the one before in one choice, or in several where rungs between them were not run. Left: "
        "pooled accuracy and macro-F1 under each protocol, and the accuracy as the released program takes it, the mean "
        "of the fold accuracies. Right: their change from the protocol above, paired by subject, on the seeds that "
        "both have. Bars are 95 % bootstrap intervals over subjects; a single subject has none, and neither has the "
        f"mean of the fold accuracies. They say nothing of how a number would vary over other trainings. {CAPTION}"
    ),
    inputs=("statistics/ladder", "human_scorings"),
    build=rungs,
    draw=draw,
)

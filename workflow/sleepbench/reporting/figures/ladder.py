"""Figure: accuracy and macro-F1 on each rung of the ladder, and the change from the rung before.

Each rung is a protocol.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures.panels import INTERVAL, Contender, by_contender, names_of, read_statistics
from sleepbench.reporting.figures.people_band import CAPTION, LOOK, key_of_people, people_band, with_people
from sleepbench.reporting.figures.style import (
    BLUE,
    GREY,
    NETWORK_COLOURS,
    PAGE_WIDTH,
    SMALL,
    figure_of_nothing,
    heading,
    key_below,
    new_figure,
)
from sleepbench.reporting.reading import CONTENDER, MEAN_OF_FOLDS

COLUMNS = (
    *("rung", "protocol", "from_protocol", *CONTENDER, "metric", "value", "value_low", "value_high"),
    *("change", "change_low", "change_high", "n_subjects", "n_shared"),
)
METRICS = {"accuracy": "accuracy (%)", "macro_f1": "macro-F1 (%)"}
"""What has a panel, and the labels of the axes."""
TITLE = "The ladder of protocols"
MOST_CONTENDERS = len(NETWORK_COLOURS)
BESIDE = 0.3
"""Lines by which the mean of the folds lies below the pooled accuracy."""
BETWEEN_RUNGS = 0.5
LINE = 0.17
"""Height of a line in inches."""


def rungs(inputs: Inputs) -> pd.DataFrame:
    """The rows of statistics/ladder.csv on accuracy and macro-F1, rungs in ascending order; with the band."""
    ladder = read_statistics(inputs, "ladder", COLUMNS, may_be_empty=True)
    of_figure = ladder.metric.isin([*METRICS, MEAN_OF_FOLDS])
    return with_people(ladder[of_figure].sort_values("rung", kind="stable").reset_index(drop=True), inputs)


def draw(rungs: pd.DataFrame, inputs: Inputs) -> Figure:
    """A panel per metric; on each rung a line per contender that was run on it, and its change beside.

    Of more contenders than there are colours those on the most rungs are drawn. With one rung alone each line has its
    contender's name. Without any rung, as where only protocols beside the ladder were run, the figure says so.
    """
    if rungs.empty:
        return figure_of_nothing(heading(inputs, TITLE), "no protocol of the ladder was run")
    one_rung, names = rungs.protocol.nunique() == 1, names_of(rungs)
    shown = rungs if one_rung else _of_most_rungs(rungs)
    colours = dict.fromkeys(names, BLUE) if one_rung else dict(zip(by_contender(shown), NETWORK_COLOURS, strict=False))
    lines, ticks = _lines(shown)
    bottom, band = max(lines.values()), people_band(rungs)
    key_inches = 0.2 * (2 + (0 if one_rung else len(colours) / 3))
    text = f"{TITLE}, protocol {rungs.protocol.iloc[0]} alone" if one_rung else TITLE
    figure = new_figure(PAGE_WIDTH, 1 + key_inches + LINE * (bottom + 2), heading(inputs, text))
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (metric, label) in zip(panels, METRICS.items(), strict=True):
        for contender, mine in by_contender(shown).items():
            places = {protocol: lines[protocol, contender] for protocol in mine.protocol}
            _draw_contender(axes, mine, metric, places, colours[contender])
        for (_, end), (start, _) in zip(ticks.values(), list(ticks.values())[1:], strict=False):
            axes.axhline((start + end) / 2, color="#E0E0E0", linewidth=0.5, zorder=0)
        axes.set_xlabel(label)
        axes.tick_params(axis="y", length=0)
        if rungs.change.notna().any():
            axes.text(1.02, -1.1, "change (points)", transform=axes.get_yaxis_transform(), fontsize=SMALL, va="center")
    if one_rung:
        panels[0].set_yticks(list(lines.values()), [names[contender] for _, contender in lines])
    else:
        panels[0].set_yticks([sum(ends) / 2 for ends in ticks.values()], list(ticks))
    panels[0].set_ylim(bottom + 0.7, -1.5)
    if band:
        panels[0].axvspan(*band, zorder=0, **LOOK)
    handles = [] if one_rung else _key_of_contenders(colours, names)
    if (shown.metric == MEAN_OF_FOLDS).any():
        open_circle = {"marker": "o", "markersize": 4, "markerfacecolor": "white", "linestyle": "none"}
        handles.append(Line2D([], [], color=GREY, label="mean of the folds' accuracies", **open_circle))
    handles += [Line2D([], [], color=GREY, label=INTERVAL), *key_of_people(band)]
    if len(colours) < len(names):
        said = f"{len(colours)} of {len(names)} contenders, those on the most rungs"
        handles.append(Line2D([], [], color="none", label=said))
    key_below(figure, handles, min(3, len(handles)))
    return figure


def _of_most_rungs(rungs: pd.DataFrame) -> pd.DataFrame:
    """The rows of as many contenders as there are colours, of those on the most rungs; in the order of all."""
    n_rungs = rungs.groupby(list(CONTENDER), sort=False).protocol.nunique()
    chosen = n_rungs.sort_values(ascending=False, kind="stable").index[:MOST_CONTENDERS]
    return rungs[pd.MultiIndex.from_frame(rungs[list(CONTENDER)]).isin(chosen)]


def _lines(rungs: pd.DataFrame) -> tuple[dict[tuple[str, Contender], float], dict[str, tuple[float, float]]]:
    """The line of each protocol and contender from the top, and the first and last line of each protocol."""
    contenders, lines, ends, line = list(by_contender(rungs)), {}, {}, 0.0
    for protocol, mine in rungs.groupby("protocol", sort=False):
        here = by_contender(mine)
        for contender in (one for one in contenders if one in here):
            lines[protocol, contender] = line
            ends[protocol] = ends.get(protocol, (line, line))[0], line
            line += 1
        line += BETWEEN_RUNGS
    return lines, ends


def _draw_contender(axes: Axes, rungs: pd.DataFrame, metric: str, places: dict[str, float], colour: str) -> None:
    """Points and bars of one metric, joined from rung to rung, with the changes in words on the right.

    Missing values and missing intervals are left out.
    """
    rows = rungs[rungs.metric == metric]
    place = rows.protocol.map(places).to_numpy()
    low, value, high = (100 * rows[f"value{end}"].to_numpy(float) for end in ("_low", "", "_high"))
    axes.plot(value, place, color=colour, linewidth=0.5, alpha=0.4, zorder=1)
    axes.hlines(place, low, high, color=colour, linewidth=1.2, zorder=2)
    axes.plot(value, place, "o", color=colour, markersize=4, zorder=4)
    for y, row in zip(place, rows.itertuples(), strict=True):
        if pd.notna(row.change):
            said = _change(row.change, row.change_low, row.change_high)
            axes.text(1.02, y, said, transform=axes.get_yaxis_transform(), fontsize=SMALL, va="center", color=colour)
    if metric == "accuracy":
        folds = rungs[rungs.metric == MEAN_OF_FOLDS]
        beside = folds.protocol.map(places).to_numpy() + BESIDE
        look = {"color": colour, "markersize": 3, "markerfacecolor": "white", "markeredgewidth": 0.7}
        axes.plot(100 * folds.value.to_numpy(float), beside, "o", zorder=3, **look)


def _change(change: float, low: float, high: float) -> str:
    """A change and its interval in percentage points."""
    said = f"{100 * change:+.1f}"
    if np.isfinite([low, high]).all():
        said += f" [{100 * low:+.1f}, {100 * high:+.1f}]"
    return said.replace("-", "\N{MINUS SIGN}")


def _key_of_contenders(colours: dict[Contender, str], names: dict[Contender, str]) -> list[Line2D]:
    return [
        Line2D([], [], color=colour, marker="o", markersize=4, linewidth=1.2, label=names[contender])
        for contender, colour in colours.items()
    ]


ARTEFACT = FigureArtefact(
    name="ladder",
    place=10,
    heading="The ladder of protocols",
    caption=(
        "From the released evaluation at the top to the clean one at the bottom, by the configuration's ladder: each "
        "rung differs from the one before in one choice, or in several where rungs between them were not run. Filled: "
        "pooled accuracy and macro-F1 under each protocol. Open, beside it: the accuracy as the released program takes "
        "it, the mean of the fold accuracies. Right of each panel: the change from the protocol above, in percentage "
        "points, paired by subject, on the seeds that both have. Bars and brackets are 95 % bootstrap intervals over "
        "subjects; a single subject has none, and neither has the mean of the fold accuracies. They say nothing of how "
        "a number would vary over other trainings. Of many contenders those on the most rungs are drawn. "
        f"{CAPTION}"
    ),
    inputs=("statistics/ladder", "human_scorings"),
    build=rungs,
    draw=draw,
)

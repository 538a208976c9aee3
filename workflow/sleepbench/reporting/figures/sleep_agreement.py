"""Figure: Bland-Altman panels of the sleep measures under the final protocol.

The panels are of the first three contenders.
"""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sleepbench.core.errors import BenchmarkError
from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures.panels import blocks, by_contender, names_of, read_statistics
from sleepbench.reporting.figures.style import BLUE, GREY, PAGE_WIDTH, SMALL, heading, new_figure
from sleepbench.reporting.reading import CONTENDER, KEY, final_protocol

MEASURES = {
    "total_sleep_time": ("total sleep time", "min"),
    "sleep_efficiency": ("sleep efficiency", "%"),
    "wake_after_sleep_onset": ("wake after sleep onset", "min"),
    "sleep_onset_latency": ("sleep onset latency", "min"),
    "rem_latency_from_sleep_onset": ("REM latency", "min"),
    "minutes_N3": ("time in N3", "min"),
    "minutes_REM": ("time in REM", "min"),
}
"""Measures that are drawn, with names and units; the REM latency is the AASM manual's, from sleep onset."""

NIGHT = ("seed", "recording", "subject", "night")
NIGHTS = (
    *KEY,
    *NIGHT,
    *(f"{scoring}_{measure}" for measure in MEASURES for scoring in ("scored", "predicted")),
)
LIMITS = ["bias", "low", "high", "n_nights", "n_undefined"]
MOST_CONTENDERS = 3
MEASURES_PER_ROW = 4
DOT = {"color": "black", "marker": "o", "linestyle": "none", "markersize": 2.6, "alpha": 0.5, "markeredgewidth": 0}
BIAS = {"color": BLUE, "linewidth": 1.2}
LIMIT = {"color": BLUE, "linewidth": 0.8, "linestyle": "--"}
ZERO = {"color": "black", "linewidth": 0.6, "linestyle": ":"}


def measured_pairs(inputs: Inputs) -> pd.DataFrame:
    """One row per contender, measure, seed and night: what is drawn of statistics/nights.csv.

    Returns
    -------
    protocol (the final one), title, input, recipe, measure, unit, seed, recording, subject, night, scored, predicted,
    mean, difference (predicted - scored), and bias, low, high, n_nights and n_undefined of the measure, as
    sleep_measures.csv has them. A night whose measure is undefined in either scoring is kept, with nothing to draw.
    BenchmarkError if sleep_measures.csv lacks a measure.
    """
    nights = read_statistics(inputs, "nights", NIGHTS)
    agreement = read_statistics(inputs, "sleep_measures", (*KEY, "measure", *LIMITS))
    protocol = final_protocol(list(nights.protocol.unique()))
    known = agreement[agreement.protocol == protocol].set_index([*CONTENDER, "measure"])
    tables = []
    for contender, mine in list(by_contender(nights[nights.protocol == protocol]).items())[:MOST_CONTENDERS]:
        for measure, (_, unit) in MEASURES.items():
            if (*contender, measure) not in known.index:
                raise BenchmarkError(
                    f"the sleep measures have no {measure} of {', '.join(contender)} under protocol {protocol}; "
                    "make the statistics again"
                )
            scored, predicted = mine[f"scored_{measure}"], mine[f"predicted_{measure}"]
            table = mine[list(KEY)].assign(measure=measure, unit=unit, **mine[list(NIGHT)])
            table = table.assign(scored=scored, predicted=predicted, mean=(scored + predicted) / 2)
            table = table.assign(difference=predicted - scored, **known.loc[(*contender, measure)][LIMITS])
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def draw(pairs: pd.DataFrame, inputs: Inputs) -> Figure:
    """A panel per measure, in a block per contender."""
    contenders, names = by_contender(pairs), names_of(pairs)
    n_rows = math.ceil(len(MEASURES) / MEASURES_PER_ROW)
    text = f"Agreement of sleep measures night by night, protocol {pairs.protocol.iloc[0]}"
    figure = new_figure(PAGE_WIDTH, 0.6 + len(contenders) * (0.5 + 1.45 * n_rows), heading(inputs, text))
    parts = blocks(figure, list(names.values()))
    for block, mine in zip(parts, contenders.values(), strict=True):
        grid = block.subplots(n_rows, MEASURES_PER_ROW).ravel()
        for axes, measure in zip(grid, MEASURES, strict=False):
            _draw_agreement(axes, mine[mine.measure == measure])
        block.supxlabel("mean of predicted and scored", fontsize=8)
        block.supylabel("predicted − scored", fontsize=8)
        for axes in grid[len(MEASURES) :]:
            axes.axis("off")
        if block is parts[0]:
            _draw_key(grid[-1])
    return figure


def _draw_agreement(axes: Axes, pairs: pd.DataFrame) -> None:
    first = pairs.iloc[0]
    name, unit = MEASURES[first.measure]
    defined = pairs[pairs.difference.notna()]
    undefined = f", {first.n_undefined:.0f} undefined" if first.n_undefined else ""
    axes.set_title(f"{name} ({unit})\nn = {first.n_nights:.0f}{undefined}")
    axes.axhline(0, zorder=1, **ZERO)
    axes.plot(defined["mean"], defined.difference, zorder=2, **DOT)
    for value, look in ((first.bias, BIAS), (first.low, LIMIT), (first.high, LIMIT)):
        if pd.notna(value):
            axes.axhline(value, zorder=3, **look)
    axes.margins(x=0.08, y=0.12)
    if defined.empty:
        axes.set(xticks=[], yticks=[])
        axes.text(1.02, 0, "undefined", transform=axes.get_yaxis_transform(), fontsize=SMALL, color=GREY, va="center")
        return
    _write_levels(axes, {name: first[name] for name in ("low", "bias", "high") if pd.notna(first[name])})
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _write_levels(axes: Axes, levels: dict[str, float]) -> None:
    """Write bias and limits, in ascending order, right of their lines; as far apart as print is high."""
    low, high = axes.get_ylim()
    apart = 0.11 * (high - low)
    places = list(levels.values())
    if len(places) == 3:
        places = [min(places[0], places[1] - apart), places[1], max(places[2], places[1] + apart)]
    for place, (name, value) in zip(places, levels.items(), strict=True):
        said = f"{value:+.1f}".replace("-", "\N{MINUS SIGN}")
        look = {"fontsize": SMALL, "color": BLUE, "va": "center", "fontweight": "bold" if name == "bias" else "normal"}
        axes.text(1.02, place, said, transform=axes.get_yaxis_transform(), **look)


def _draw_key(axes: Axes) -> None:
    looks = {"a night": DOT, "bias": BIAS, "limits of agreement,\nbias ± 1.96 sd": LIMIT, "no difference": ZERO}
    handles = [Line2D([], [], label=label, **look) for label, look in looks.items()]
    axes.legend(handles=handles, loc="center").set_in_layout(False)


ARTEFACT = FigureArtefact(
    name="sleep_agreement",
    place=60,
    heading="Agreement of sleep measures",
    caption=(
        "Bland-Altman diagrams: predicted less scored against the mean of both, a dot per night, with bias and limits "
        "of agreement (bias ± 1.96 standard deviations) as lines and numbers, under the clean protocol or else the "
        "last, of the first seed and of at most the first three contenders. REM latency counts from sleep onset. Sleep "
        "onset latency and sleep efficiency are of the trimmed test night, which is cut around the scored sleep: they "
        "compare predicted with scored, not with other studies. In an undefined night there is nothing to measure, "
        "such as no REM."
    ),
    inputs=("statistics/nights", "statistics/sleep_measures"),
    build=measured_pairs,
    draw=draw,
)

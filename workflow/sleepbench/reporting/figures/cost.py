"""Figure: accuracy against multiply-accumulates and parameters, with the published values of both."""

import textwrap
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from matplotlib.transforms import Bbox

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.evaluation.claims import load_claims
from sleepbench.evaluation.metrics import confusion_from_items
from sleepbench.evaluation.published import read_published_results
from sleepbench.profiling.conventions import counts_per_epoch
from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures.panels import INTERVAL, names_of, read_statistics, short_lines
from sleepbench.reporting.figures.people_band import CAPTION, HIGH, LOOK, LOW, key_of_people, people_band, with_people
from sleepbench.reporting.figures.style import (
    BLUE,
    GREY,
    ORANGE,
    PAGE_WIDTH,
    SMALL,
    VERMILION,
    figure_of_nothing,
    heading,
    new_figure,
)
from sleepbench.reporting.reading import CONTENDER, KEY, final_protocol, read_runs

INTERVALS = (*KEY, "metric", "estimate", "low", "high")
QUANTITIES = {"macs": "MACs per epoch", "parameters": "trainable parameters"}
"""What the accuracy is drawn against: names in a profile's operations, and labels of the axes."""

COLUMNS = ["quantity", "count", *CONTENDER, "protocol", "accuracy", "low", "high", "mark", "source"]
TITLE = "Accuracy against operations and size"
PROTOCOL_LOOKS = ((ORANGE, "s"), (BLUE, "o"))
PUBLISHED_LOOK = {"color": VERMILION, "marker": "D", "mfc": "white", "ms": 4.5, "linestyle": "none"}
FLOOR = "commonest_stage"
FLOOR_LOOK = {"color": "black", "linewidth": 0.8, "linestyle": ":"}
MOST_NAMED = 12
"""Points of a panel that can all have their names beside them."""


# -------------------------------------------------------------------------------------------------------- the numbers


def cost_points(inputs: Inputs) -> pd.DataFrame:
    """A row per quantity, contender and protocol, and per published accuracy with its count.

    Returns
    -------
    columns COLUMNS and number, of the contender; accuracy, low and high in 0..1; commonest_stage, the accuracy of
    always guessing it; and the band of `with_people`
    """
    # Published accuracies are on whole nights of Sleep-EDF: beside other data they would invite a comparison that means
    # nothing.
    rows = measured(inputs) + (published(inputs) if inputs.label.comparable else [])
    points = pd.DataFrame(rows).reindex(columns=COLUMNS)
    source = points.source.where(points.mark != "measured")
    points = points.assign(number=points.groupby([*CONTENDER, source], sort=False, dropna=False).ngroup() + 1)
    return with_people(points.assign(**{FLOOR: commonest_stage(inputs)}), inputs)


def commonest_stage(inputs: Inputs) -> float:
    """The accuracy of always guessing the commonest stage of the test epochs of the final protocol, in 0..1.

    Every contender of a protocol was tested on the same epochs: those of the first are counted.
    """
    runs = read_runs(inputs)
    runs = runs[runs.protocol == final_protocol(list(runs.protocol.unique()))]
    names = [*CONTENDER, "seed"]
    one = runs[(runs[names] == runs[names].iloc[0]).all(axis=1)]
    scored = confusion_from_items(one.filter(regex="^confusion_").sum()).sum(axis=1)
    return float(scored.max() / scored.sum())


def measured(inputs: Inputs) -> list[dict]:
    """One row per quantity, contender and protocol, for the first protocol and the final one.

    The final protocol is that of `final_protocol`. Models that are no networks have no rows. BenchmarkError for a
    network that was not profiled.
    """
    profiles = [read_json(path) for path in inputs.paths("profiles")]
    counts = {(one["title"], one["n_channels"]): counts_per_epoch(one["operations"]) for one in profiles}
    n_channels = read_runs(inputs).drop_duplicates("input").set_index("input").n_channels
    accuracies = read_statistics(inputs, "intervals", INTERVALS).query("metric == 'accuracy'")
    protocols = list(accuracies.protocol.unique())
    if not protocols:
        raise BenchmarkError("the intervals have no row of the metric accuracy; make the statistics again")
    accuracies = accuracies[~accuracies.title.isin(left_out(inputs))]
    rows = []
    for quantity, protocol in product(QUANTITIES, dict.fromkeys((protocols[0], final_protocol(protocols)))):
        for row in accuracies[accuracies.protocol == protocol].to_dict("records"):
            network = (row["title"], n_channels.get(row["input"]))
            if network not in counts:
                raise BenchmarkError(
                    f"no profile of {network[0]} with the input {row['input']} ({network[1] or 'an unknown number of'} "
                    f"channels) was found, expected one (there are: {', '.join(f'{t} with {n}' for t, n in counts)}); "
                    "profile that network"
                )
            cost = {"quantity": quantity, "count": counts[network][quantity], "accuracy": row["estimate"]}
            rows.append({**row, **cost, "mark": "measured", "source": "measured here; interval over subjects"})
    return rows


def published(inputs: Inputs) -> list[dict]:
    """Published accuracies whose source prints the count as well, in the very convention of the axis.

    A count is that of a claim of the same model and mark, or of a column of the published results named as the
    quantity. Operations printed without their convention, or in another one, are no multiply-accumulates.
    """
    claims = load_claims(inputs.path("claims"))
    counts = {(claim.model, claim.mark, claim.test["kind"]): claim.published for claim in claims}
    table = read_published_results(inputs.path("published_results"))
    table = table[(table.dataset == inputs.label.dataset) & table.accuracy.notna()].rename(columns={"model": "title"})
    rows = []
    for quantity, row in product(QUANTITIES, table.to_dict("records")):
        count = counts.get((row["title"], row["mark"], quantity), row.get(quantity))
        if pd.notna(count):
            rows.append({**row, "quantity": quantity, "count": count, "accuracy": row["accuracy"] / 100})
    return rows


def left_out(inputs: Inputs) -> list[str]:
    """Titles of the models that were run and are no networks, so that nothing was profiled."""
    titles = read_statistics(inputs, "intervals", INTERVALS).title.unique()
    return [title for title in titles if title in inputs.settings["estimators"]]


def note(inputs: Inputs, width: int) -> str:
    """What is drawn of what is published, and what is not; and which models are left out; in lines of a width."""
    return textwrap.fill(_note(inputs), width)


def _note(inputs: Inputs) -> str:
    missing = left_out(inputs)
    no_network = f" No network, so without such a cost: {'; '.join(missing)}." if missing else ""
    if not inputs.label.comparable:
        data = "simulated data" if inputs.label.simulated else "these data"
        said = (
            f"Published accuracies are on whole nights of Sleep-EDF, cannot be compared with {data} and are not drawn."
        )
        return said + no_network
    claims = load_claims(inputs.path("claims"))
    printed = [f"{c.statement} of {c.model} ({c.unit})" for c in claims if c.test["kind"].startswith("flops")]
    said = f"Published: accuracy on {inputs.label.name} and count as printed; protocols differ."
    if printed:
        said += f" Not drawn, because they are no MACs: {'; '.join(printed)}."
    return said + no_network


# --------------------------------------------------------------------------------------------------------- the figure


def draw(points: pd.DataFrame, inputs: Inputs) -> Figure:
    """Points over both quantities, with their names beside them.

    Of many contenders those are named that nothing cheaper beats, and the first. Without any measured network, as where
    only an estimator was run, the figure says so.
    """
    protocols = list(points[points.mark == "measured"].protocol.unique())
    if not protocols:
        return figure_of_nothing(heading(inputs, TITLE), "no network was run")
    band = people_band(points)
    drawn = 100 * points[["accuracy", "low", "high", LOW, HIGH]].to_numpy(float)
    bottom, top, floor = np.nanmin(drawn), np.nanmax(drawn), 100 * points[FLOOR].iloc[0]
    # A line so far below that all points would be on top of each other is named at the end of the axis instead.
    low_floor = bottom - floor > top - bottom
    bottom = bottom if low_floor else min(bottom, floor)
    figure = new_figure(PAGE_WIDTH, 3.9 if band else 3.7, heading(inputs, TITLE))
    macs, parameters = figure.subplots(1, 2, sharey=True)
    panels = {"macs": macs, "parameters": parameters}
    for quantity, axes in panels.items():
        _draw_costs(axes, points[points.quantity == quantity], protocols)
        axes.set_xlabel(f"{QUANTITIES[quantity]} (log scale)")
        if low_floor:
            axes.text(
                0.015, 0.015, f"\N{DOWNWARDS ARROW} {floor_name(points)}", transform=axes.transAxes, fontsize=SMALL
            )
        else:
            axes.axhline(100 * points[FLOOR].iloc[0], zorder=0, **FLOOR_LOOK)
        if band:
            axes.axhspan(*band, zorder=0, **LOOK)
    macs.set_ylabel("accuracy (%)")
    margin = max(1.0, 0.08 * (top - bottom))
    macs.set_ylim(bottom - margin, top + margin)
    handles = _key(points, protocols)
    if not low_floor:
        handles.append(Line2D([], [], label=floor_name(points), **FLOOR_LOOK))
    handles += key_of_people(band)
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=3, title=note(inputs, 115))
    legend.set_alignment("left")
    legend.get_title().set_fontsize(SMALL)
    figure.draw_without_rendering()
    for quantity, axes in panels.items():
        _write_names(axes, points[points.quantity == quantity])
    return figure


def _looks(protocols: list[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each protocol; the final one always looks the same."""
    return dict(zip(protocols, PROTOCOL_LOOKS[-len(protocols) :], strict=True))


def _count_limits(counts: pd.Series) -> tuple[float, float]:
    """Ends of the log axis, at least two decades apart.

    This gives the axis two ticks even where there is one contender only.
    """
    low, high = counts.min() / 3, counts.max() * 3
    missing = max(1.0, 100 * low / high) ** 0.5
    return low / missing, high * missing


def _draw_costs(axes: Axes, points: pd.DataFrame, protocols: list[str]) -> None:
    axes.set_xscale("log")
    for protocol, (colour, marker) in _looks(protocols).items():
        mine = points[(points.mark == "measured") & (points.protocol == protocol)]
        # Protocols of a contender have one cost: the bar of the first is broad and pale, behind that of the final one.
        final = protocol == protocols[-1]
        look = {"linewidth": 1, "zorder": 2} if final else {"linewidth": 3.5, "alpha": 0.35, "zorder": 1}
        look |= {"alpha": 0.35} if points.number.nunique() > MOST_NAMED else {}
        axes.vlines(mine["count"], 100 * mine.low, 100 * mine.high, color=colour, **look)
        axes.plot(mine["count"], 100 * mine.accuracy, marker, color=colour, markersize=4, zorder=3)
    mine = points[points.mark != "measured"]
    axes.plot(mine["count"], 100 * mine.accuracy, zorder=3, **PUBLISHED_LOOK)
    axes.set_xlim(*_count_limits(points["count"]))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _key(points: pd.DataFrame, protocols: list[str]) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=4, label=f"measured, {protocol}")
        for protocol, (colour, marker) in _looks(protocols).items()
    ]
    if (points.mark != "measured").any():
        handles.append(Line2D([], [], label="published", **PUBLISHED_LOOK))
    return [*handles, Line2D([], [], color=GREY, linewidth=1, label=INTERVAL)]


def floor_name(points: pd.DataFrame) -> str:
    """The accuracy of always guessing the commonest stage, in words."""
    return f"always the commonest stage, {100 * points[FLOOR].iloc[0]:.1f} %"


def named(points: pd.DataFrame) -> pd.DataFrame:
    """The points of a quantity that have a name written beside them: the last of each number, with `name`.

    Of more than MOST_NAMED those alone that no point of less cost equals in accuracy, and the first.
    """
    measured = points[points.mark == "measured"]
    names = names_of(measured)
    last = points.drop_duplicates("number", keep="last")
    said = [
        names[row.title, row.input, row.recipe] if row.mark == "measured" else f"{row.title}, {row.mark}"
        for row in last.itertuples()
    ]
    last = last.assign(name=said)
    if len(last) <= MOST_NAMED:
        return last
    by_cost = last.sort_values(["count", "accuracy"], ascending=[True, False], kind="stable")
    front = by_cost.index[by_cost.accuracy > by_cost.accuracy.cummax().shift(fill_value=-1)]
    return last[last.index.isin(front) | (last.number == last.number.iloc[0])]


# Places around a point to try for its name, in points, the nearest first. Not adjustText's: it lays names over points
# and bars or, told to keep away from them, so far off that all need leaders, in 20 times the time.
DIRECTIONS = [(1, 0), (-1, 0), (1, 0.5), (-1, 0.5), (1, -0.5), (-1, -0.5), (1, 1), (-1, 1), (1, -1), (-1, -1)]
DISTANCES = (5, 9, 14, 20, 28, 37, 48, 60, 75, 90, 110, 130)
NAME_WIDTH = 20
"""Letters in a line of a name at a point."""


def _write_names(axes: Axes, points: pd.DataFrame) -> None:
    """Write names beside points, clear of points, bars, the line of the commonest stage and other names.

    Where there is no such place a name may lie on bars.
    """
    scale = 72 / axes.figure.dpi

    def place(x: float, y: float) -> np.ndarray:
        return axes.transData.transform((x, 100 * y)) * scale

    taken, bars, written, half_bar = [], [], [], np.array([0.7, 0])
    for row in points.itertuples():
        middle = place(row.count, row.accuracy)
        taken.append(Bbox([middle - 3, middle + 3]))
        if pd.notna(row.low) and pd.notna(row.high):
            bars.append(Bbox([place(row.count, row.low) - half_bar, place(row.count, row.high) + half_bar]))
    (x0, y0), (x1, y1) = axes.get_window_extent().get_points() * scale
    floor = place(points["count"].iloc[0], points[FLOOR].iloc[0])[1]
    taken.append(Bbox([(x0, floor - 1), (x1, floor + 1)]))
    taken += [Bbox(text.get_window_extent().get_points() * scale) for text in axes.texts]

    def is_free(box: Bbox, others: list[Bbox]) -> bool:
        inside = box.x0 > x0 and box.y0 > y0 and box.x1 < x1 and box.y1 < y1
        return inside and not any(box.overlaps(other) for other in others)

    for row in named(points).sort_values("accuracy", ascending=False, kind="stable").itertuples():
        # Its size is found before its place.
        said = short_lines(row.name, width=NAME_WIDTH)
        text = axes.text(0, 0, said, fontsize=SMALL, linespacing=1)
        size = np.array(text.get_window_extent().size) * scale + 1
        text.remove()
        middle, boxes, clear = place(row.count, row.accuracy), [], []
        along = np.linspace(0, 1, 20)[:, None]
        for distance, (right, up) in product(DISTANCES, DIRECTIONS):
            centre = middle + np.array([right * (distance + size[0] / 2), up * (distance + size[1])])
            boxes.append(Bbox([centre - size / 2, centre + size / 2]))
            if not any(name.count_contains(middle + along * (centre - middle)) for name in written):
                clear.append(boxes[-1])  # no name lies between
        tries = ((clear, taken + bars), (clear, taken), (boxes, taken))
        box = next((one for places, others in tries for one in places if is_free(one, others)), boxes[0])
        taken.append(box)
        written.append(box)
        gap = np.maximum(0, np.maximum([box.x0, box.y0] - middle, middle - [box.x1, box.y1]))
        look = {"arrowstyle": "-", "color": GREY, "linewidth": 0.4, "shrinkA": 1, "shrinkB": 3}
        axes.annotate(
            said,
            (row.count, 100 * row.accuracy),
            xytext=(box.x0 + size[0] / 2 - middle[0], box.y0 + size[1] / 2 - middle[1]),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=SMALL,
            linespacing=1,
            arrowprops=look if np.hypot(*gap) > DISTANCES[1] else None,
        )


ARTEFACT = FigureArtefact(
    name="cost",
    place=20,
    heading="Accuracy against operations and size",
    caption=(
        "Pooled accuracy against the multiply-accumulates (MACs) for one epoch, of a sequence model those of a "
        "training sequence divided by its length, and against the trainable parameters. Filled: measured here, under "
        "the first protocol (broad bars) and under the final one (thin bars), which have the same cost; bars are 95 % "
        "bootstrap intervals over subjects. Open: published, where the source prints the accuracy and the count of the "
        "axis. The dotted line, or the number at the end of the axis where it is far below, is the accuracy of always "
        "guessing the commonest stage of the test epochs. Operations "
        "in another convention are no MACs and are not drawn, and on simulated data nothing published is. Models that "
        "are no networks have no such cost and are left out. Of more than 12 points those are named that no cheaper "
        f"one equals in accuracy, and the first. {CAPTION}"
    ),
    inputs=("statistics/intervals", "runs", "profiles", "published_results", "claims", "human_scorings"),
    settings=("estimators",),
    build=cost_points,
    draw=draw,
)

"""Figure: accuracy against multiply-accumulates and parameters, with the published values of both."""

import textwrap
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullFormatter
from matplotlib.transforms import Bbox

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.evaluation.claims import load_claims
from sleepbench.evaluation.published import read_published_results
from sleepbench.profiling.conventions import counts_per_epoch
from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures.panels import INTERVAL, contender_name, read_statistics, spoken
from sleepbench.reporting.figures.people_band import CAPTION, HIGH, LOOK, LOW, key_of_people, people_band, with_people
from sleepbench.reporting.figures.style import (
    BLUE,
    GREY,
    ORANGE,
    PAGE_WIDTH,
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
MOST_NAMED_AT_EASE = 12
"""With more contenders the key is in small print, and bars are pale behind the points."""
DODGE = 0.008
"""Share of the width of the log axis by which a protocol of two is set aside from the count of its contender."""


# -------------------------------------------------------------------------------------------------------- the numbers


def cost_points(inputs: Inputs) -> pd.DataFrame:
    """A row per quantity, contender and protocol, and per published accuracy with its count.

    Returns
    -------
    columns COLUMNS and number, that of the key; accuracy, low and high in 0..1; and the band of `with_people`
    """
    # Published accuracies are on whole nights of Sleep-EDF: beside other data they would invite a comparison that means
    # nothing.
    rows = measured(inputs) + (published(inputs) if inputs.label.comparable else [])
    points = pd.DataFrame(rows).reindex(columns=COLUMNS)
    source = points.source.where(points.mark != "measured")
    points = points.assign(number=points.groupby([*CONTENDER, source], sort=False, dropna=False).ngroup() + 1)
    return with_people(points, inputs)


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


def note(inputs: Inputs) -> str:
    """What is drawn of what is published, and what is not; and which models are left out."""
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
    """Points over both quantities; a number at each contender's points leads to its name in the key.

    Without any measured network, as where only an estimator was run, the figure says so.
    """
    protocols = list(points[points.mark == "measured"].protocol.unique())
    if not protocols:
        return figure_of_nothing(heading(inputs, TITLE), "no network was run")
    key = points.drop_duplicates("number")
    many = len(key) > MOST_NAMED_AT_EASE
    said, band = textwrap.fill(note(inputs), 40), people_band(points)
    lines = "\n".join([*_key_names(key), said]).count("\n") + len(protocols) + (7 if band else 5)
    figure = new_figure(PAGE_WIDTH, max(3, 0.7 + (0.12 if many else 0.14) * lines), heading(inputs, TITLE))
    grid = figure.add_gridspec(1, 3, width_ratios=(1, 1, 1.25 if many else 1))
    macs = figure.add_subplot(grid[0])
    panels = [macs, figure.add_subplot(grid[1], sharey=macs)]
    for axes, (quantity, label) in zip(panels, QUANTITIES.items(), strict=True):
        _draw_costs(axes, points[points.quantity == quantity], protocols)
        axes.set_xlabel(f"{label} (log scale)")
        if band:
            axes.axhspan(*band, zorder=0, **LOOK)
    panels[0].set_ylabel("accuracy (%)")
    panels[1].tick_params(labelleft=False)
    drawn = 100 * points[["accuracy", "low", "high", LOW, HIGH]].to_numpy(float)
    margin = max(1.0, 0.08 * (np.nanmax(drawn) - np.nanmin(drawn)))
    macs.set_ylim(np.nanmin(drawn) - margin, np.nanmax(drawn) + margin)
    _draw_key(figure.add_subplot(grid[2]), key, protocols, said, key_of_people(band))
    figure.draw_without_rendering()
    for axes, quantity in zip(panels, QUANTITIES, strict=True):
        _place_numbers(axes, points[points.quantity == quantity], protocols)
    return figure


def _looks(protocols: list[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each protocol; the final one always looks the same."""
    return dict(zip(protocols, PROTOCOL_LOOKS[-len(protocols) :], strict=True))


def _count_limits(counts: pd.Series) -> tuple[float, float]:
    """Ends of the log axis, at least two decades apart.

    This gives the axis two ticks even where there is one contender only.
    """
    low, high = counts.min() / 4, counts.max() * 4
    missing = max(1.0, 100 * low / high) ** 0.5
    return low / missing, high * missing


def _with_positions(points: pd.DataFrame, protocols: list[str]) -> pd.DataFrame:
    """Points with x, their position on the log axis; protocols of a contender stand side by side."""
    low, high = _count_limits(points["count"])
    step = {name: (high / low) ** (DODGE * (2 * i - len(protocols) + 1)) for i, name in enumerate(protocols)}
    return points.assign(x=points["count"] * points.protocol.where(points.mark == "measured").map(step).fillna(1))


def _draw_costs(axes: Axes, points: pd.DataFrame, protocols: list[str]) -> None:
    axes.set_xscale("log")
    points = _with_positions(points, protocols)
    for _, contender in points[points.mark == "measured"].groupby("number"):
        axes.plot(contender.x, 100 * contender.accuracy, color=GREY, linewidth=0.5, zorder=1)
    for protocol, (colour, marker) in _looks(protocols).items():
        mine = points[(points.mark == "measured") & (points.protocol == protocol)]
        pale = {"linewidth": 0.6, "alpha": 0.35} if points.number.nunique() > MOST_NAMED_AT_EASE else {"linewidth": 1}
        axes.vlines(mine.x, 100 * mine.low, 100 * mine.high, color=colour, zorder=2, **pale)
        axes.plot(mine.x, 100 * mine.accuracy, marker, color=colour, markersize=4, zorder=3)
    mine = points[points.mark != "measured"]
    axes.plot(mine.x, 100 * mine.accuracy, zorder=3, **PUBLISHED_LOOK)
    axes.set_xlim(*_count_limits(points["count"]))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _key_names(key: pd.DataFrame) -> list[str]:
    """What the key calls the points of each number."""
    n_measured = (key.mark == "measured").sum()
    names = [
        contender_name((row.title, row.input, row.recipe), n_measured)
        if row.mark == "measured"
        else f"{row.title}, {row.mark}"
        for row in key.itertuples()
    ]
    return [textwrap.fill(name, 50 if len(key) > MOST_NAMED_AT_EASE else 32) for name in names]


def _draw_key(axes: Axes, key: pd.DataFrame, protocols: list[str], said: str, people: list[Patch]) -> None:
    axes.axis("off")
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=4, label=f"measured, protocol {spoken(protocol)}")
        for protocol, (colour, marker) in _looks(protocols).items()
    ]
    if (key.mark != "measured").any():
        handles.append(Line2D([], [], label="published", **PUBLISHED_LOOK))
    handles += people
    lines = [INTERVAL]
    if len(protocols) > 1:
        lines.append("protocols of a contender lie side by\nside: their cost is the same")
    handles += [Line2D([], [], color="none", label=line) for line in lines]
    many = len(key) > MOST_NAMED_AT_EASE
    for number, name in zip(key.number, _key_names(key), strict=True):
        size = (3 if many else 4) if number < 10 else (5.5 if many else 7)
        handles.append(Line2D([], [], color="black", marker=f"${number}$", ms=size, mew=0, ls="none", label=name))
    small = {"fontsize": 6, "labelspacing": 0.35} if many else {}
    legend = axes.legend(handles=handles, loc="upper left", borderaxespad=0, handlelength=1.4, **small)
    written = axes.text(0, 0, said, transform=axes.transAxes, fontsize=6, va="bottom")
    for artist in (legend, written):
        artist.set_in_layout(False)


# Places around a point to try for its number, in points, the nearest first. Not adjustText's: it lays numbers over
# points and bars or, told to keep away from them, so far off that all need leaders, in 20 times the time.
OFFSETS = [
    distance * np.array([np.cos(angle), np.sin(angle)])
    for distance in (8, 11, 15, 20, 26, 33, 41, 50)
    for angle in np.deg2rad([0, 180, 45, 135, -45, -135, 90, -90])
]


def _place_numbers(axes: Axes, points: pd.DataFrame, protocols: list[str]) -> None:
    """Write each contender's number beside its last point, clear of points, bars and other numbers.

    The pale bars of many contenders may be covered.
    """
    many = points.number.nunique() > MOST_NAMED_AT_EASE
    points = _with_positions(points, protocols)
    scale = 72 / axes.figure.dpi

    def place(x: float, y: float) -> np.ndarray:
        return axes.transData.transform((x, 100 * y)) * scale

    taken, half_bar = [], np.array([1, 0])
    for row in points.itertuples():
        middle = place(row.x, row.accuracy)
        taken.append(Bbox([middle - 3, middle + 3]))
        if not many and pd.notna(row.low) and pd.notna(row.high):
            taken.append(Bbox([place(row.x, row.low) - half_bar, place(row.x, row.high) + half_bar]))
    (x0, y0), (x1, y1) = axes.get_window_extent().get_points() * scale

    def is_free(box: Bbox) -> bool:
        inside = box.x0 > x0 and box.y0 > y0 and box.x1 < x1 and box.y1 < y1
        return inside and not any(box.overlaps(other) for other in taken)

    for row in points.drop_duplicates("number", keep="last").itertuples():
        half = np.array([2.6 * len(str(row.number)), 3.7]) * (0.85 if many else 1)
        middle = place(row.x, row.accuracy)
        boxes = [(offset, Bbox([middle + offset - half, middle + offset + half])) for offset in OFFSETS]
        offset, box = next((one for one in boxes if is_free(one[1])), boxes[0])
        taken.append(box)
        leader = {"arrowstyle": "-", "color": GREY, "linewidth": 0.4, "shrinkA": 3, "shrinkB": 3}
        axes.annotate(
            str(row.number),
            (row.x, 100 * row.accuracy),
            xytext=offset,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=6 if many else None,
            arrowprops=leader if np.hypot(*offset) > 12 else None,
        )


ARTEFACT = FigureArtefact(
    name="cost",
    place=20,
    heading="Accuracy against operations and size",
    caption=(
        "Pooled accuracy against the multiply-accumulates (MACs) for one epoch, of a sequence model those of a "
        "training sequence divided by its length, and against the trainable parameters. Filled: measured here, under "
        "the first protocol and under the clean one, drawn side by side at the same cost; bars are 95 % bootstrap "
        "intervals over subjects. Open: published, where the source prints the accuracy and the count of the axis. "
        "Operations in another convention are no MACs and are not drawn, and on simulated data nothing published is. "
        f"Models that are no networks have no such cost and are left out. {CAPTION}"
    ),
    inputs=("statistics/intervals", "runs", "profiles", "published_results", "claims", "human_scorings"),
    settings=("estimators",),
    build=cost_points,
    draw=draw,
)

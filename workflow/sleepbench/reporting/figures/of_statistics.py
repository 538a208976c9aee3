"""Figures of the statistics: the ladder of protocols, cost, subjects, calibration and the agreement of sleep measures.

They are drawn from the CSVs in results/<dataset>/statistics, in which metrics are fractions of 1; the axes are in
percent. The `draw_*` functions make a matplotlib Figure, the `*_figure` functions, one per script, read those files and
write PNG, PDF and a CSV with the rows that are drawn, as fractions too. Networks and protocols keep the order in which
the files list them.
"""

import math
import textwrap
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.evaluation.claims import Claim, load_claims
from sleepbench.profiling.conventions import counts_per_epoch
from sleepbench.reporting.figures.of_runs import (
    NETWORK,
    SMALL_PANELS_PER_ROW,
    heading,
    is_small,
    network_name,
    rows_of_panels,
    small_title,
    write_csv,
)
from sleepbench.reporting.figures.style import (
    BLUE,
    COLUMN_WIDTH,
    ORANGE,
    PAGE_WIDTH,
    SKY,
    STYLE,
    VERMILION,
    new_figure,
    save,
)
from sleepbench.reporting.tables.main import data_name, final_protocol, read_runs

CAPTIONS = {
    "ladder": (
        "The ladder of protocols",
        "From the released evaluation at the top to the clean one at the bottom, by the configuration's ladder: each "
        "rung differs from the one before in one choice, or in several where rungs between them were not run. Left: "
        "pooled accuracy and macro-F1 under each protocol, and the accuracy as the released program takes it, the mean "
        "of the fold accuracies. Right: their change from the protocol above, paired by subject, on the seeds that "
        "both have. Bars are 95 % bootstrap intervals over subjects; a single subject has none, and neither has the "
        "mean of the fold accuracies. They say nothing of how a number would vary over other trainings.",
    ),
    "cost": (
        "Accuracy against operations and size",
        "Pooled accuracy against the multiply-accumulates (MACs) for one 30-s epoch, of a sequence model those of a "
        "training sequence divided by its length, and against the trainable parameters. Filled: measured here, under "
        "the first protocol and under the clean one, drawn side by side at the same cost; bars are 95 % bootstrap "
        "intervals over subjects. Open: published, "
        "where the source prints the accuracy and the count of the axis. Operations in another convention are no MACs "
        "and are not drawn, and on simulated data nothing published is. Models that "
        "are no networks have no such cost and are left out.",
    ),
    "subjects": (
        "Subjects",
        "Accuracy and macro-F1 of each subject over both of its nights, by protocol; the macro-F1 is over the stages "
        "that were scored or predicted in the subject. A subject keeps its height "
        "within the line on every line. Boxes span the middle half of the subjects (from four subjects on), thick "
        "lines are medians.",
    ),
    "reliability": (
        "Reliability of the predictions",
        "How often an epoch is predicted rightly, by its confidence, the probability of the predicted stage; below, "
        "how many epochs have that confidence. On the dashed line confidence and accuracy are the same. ECE is the "
        "expected calibration error over 15 bins: of each seed, then averaged; the bins drawn hold the epochs of all "
        "seeds.",
    ),
    "sleep_agreement": (
        "Agreement of sleep measures",
        "Bland-Altman diagrams: predicted less scored against the mean of both, a dot per night, with bias and limits "
        "of agreement (bias ± 1.96 standard deviations), under the clean protocol or else the last, of the first "
        "seed and of at most the first three networks. REM latency counts from sleep onset. Sleep onset latency and "
        "sleep efficiency are of the test window, which is cut around the scored sleep: they compare predicted with "
        "scored, not with other studies. In an undefined night there is nothing to measure, such as no REM.",
    ),
}
"""Heading and caption of each figure by the stem of its PNG."""

GREY = "#767676"
INTERVAL = "bars: 95 % intervals over subjects"

Network = tuple[str, str, str]


# -------------------------------------------------------------------------------------------------------- what is read


def read_statistics(path: str | Path, columns: Sequence[str], may_be_empty: bool = False) -> pd.DataFrame:
    """Read a CSV of statistics; BenchmarkError if it lacks one of the columns or, unless it may, has no rows."""
    table = pd.read_csv(path, dtype={"subject": str, "recording": str, "channels": str})
    missing = [column for column in columns if column not in table]
    if missing:
        raise BenchmarkError(f"{path}: lacks the column {', '.join(missing)}; make the statistics again")
    if table.empty and not may_be_empty:
        raise BenchmarkError(f"{path}: has no rows, so there is nothing to draw; make the statistics again")
    return table


def networks_of(table: pd.DataFrame) -> list[Network]:
    """The networks of a table, in the order of their first rows."""
    return list(table[NETWORK].drop_duplicates().itertuples(index=False, name=None))


def rows_of(table: pd.DataFrame, network: Network) -> pd.DataFrame:
    """The rows of one network."""
    return table[(table[NETWORK] == list(network)).all(axis=1)]


def spoken(name: str) -> str:
    """A name of the configuration as words."""
    return name.replace("_", " ")


# ------------------------------------------------------------------------------------------------------------ panels

MOST_NETWORKS_IN_ONE_COLUMN = 3


def pairs_of_panels(
    networks: Sequence[Network], protocols: Sequence[str], inches: float, text: str
) -> tuple[Figure, list[tuple[Axes, Axes]]]:
    """A figure with two panels side by side per network, protocols from top to bottom.

    More than three networks are drawn in two columns of pairs. All left panels have one x axis, and all right panels.
    `inches` is the height of one protocol's line. With one protocol alone, the networks have lines in one pair of
    panels, which is each network's: see `line_of`.
    """
    if is_one_pair(networks, protocols):
        figure = new_figure(PAGE_WIDTH, 1.1 + inches * len(networks), text)
        left, right = figure.subplots(1, 2, sharey=True)
        pairs, lines = [(left, right)] * len(networks), [network_name(network, 2) for network in networks]
    else:
        lines = [spoken(protocol) for protocol in protocols]
        per_row = 1 if len(networks) <= MOST_NETWORKS_IN_ONE_COLUMN else 2
        n_rows = math.ceil(len(networks) / per_row)
        figure = new_figure(PAGE_WIDTH, 1.1 + n_rows * (0.45 + inches * len(protocols)), text)
        grid, pairs = figure.add_gridspec(n_rows, 2 * per_row), []
        for i, network in enumerate(networks):
            row, column = divmod(i, per_row)
            first = pairs[0] if pairs else (None, None)
            left = figure.add_subplot(grid[row, 2 * column], sharex=first[0], sharey=first[0])
            right = figure.add_subplot(grid[row, 2 * column + 1], sharex=first[1], sharey=left)
            left.set_title(network_name(network, len(networks)), loc="left")
            left.tick_params(labelleft=column == 0)
            right.tick_params(labelleft=False)
            pairs.append((left, right))
    left = pairs[0][0]
    left.set_yticks(range(len(lines)), lines)
    left.set_ylim(len(lines) - 0.5, -0.5)
    for axes in figure.axes:
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", color="#E8E8E8", linewidth=0.4)
        axes.set_axisbelow(True)
    return figure, pairs


def is_one_pair(networks: Sequence[Network], protocols: Sequence[str]) -> bool:
    """Whether several networks of one protocol share a pair of panels."""
    return len(protocols) == 1 and len(networks) > 1


def _only(networks: Sequence[Network], protocols: Sequence[str]) -> str:
    """The protocol of all lines where these are named by their networks, for a figure's title."""
    return f", protocol {spoken(protocols[0])}" if is_one_pair(networks, protocols) else ""


def line_of(network: Network, networks: Sequence[Network], protocols: Sequence[str]) -> dict[str, int]:
    """The line of each protocol in a network's pair of panels, the first being 0."""
    if is_one_pair(networks, protocols):
        return {protocols[0]: networks.index(network)}
    return {protocol: i for i, protocol in enumerate(protocols)}


def blocks_of(figure: Figure, networks: Sequence[Network]) -> list[SubFigure]:
    """A part of the figure for each network, one below the other, named where there are several."""
    blocks = list(np.atleast_1d(figure.subfigures(len(networks), 1)))
    if len(networks) > 1:
        for block, network in zip(blocks, networks, strict=True):
            block.suptitle(network_name(network, len(networks)), fontsize=7.5, fontweight="bold")
    return blocks


def label_lowest(pairs: Sequence[tuple[Axes, Axes]], left: str, right: str) -> None:
    """Label the x axes of the lowest pair of each column of pairs; those above show the same ticks."""
    lowest = {pair[0].get_subplotspec().colspan.start: pair for pair in pairs}
    for pair in lowest.values():
        for axes, label in zip(pair, (left, right), strict=True):
            axes.set_xlabel(label)


# ------------------------------------------------------------------------------------------------------------ ladder

LADDER_COLUMNS = (
    *("rung", "protocol", "from_protocol", *NETWORK, "metric", "value", "value_low", "value_high"),
    *("change", "change_low", "change_high", "n_subjects", "n_shared"),
)
LADDER_METRICS = {  # colour, marker, distance from the middle of the line, whether filled
    "accuracy": ("accuracy", BLUE, "o", -0.16, True),
    "macro_f1": ("macro-F1", VERMILION, "s", 0.16, True),
    "accuracy_mean_of_folds": ("accuracy, mean of the folds", BLUE, "o", -0.16, False),
}


def ladder_figure(ladder: str, dataset: str, simulated: bool, png: str, pdf: str, csv: str) -> None:
    """Accuracy and macro-F1 on each rung of the ladder of protocols, and the change from the rung before.

    Parameters
    ----------
    ladder : statistics/ladder.csv
    """
    rungs = ladder_rungs(read_statistics(ladder, LADDER_COLUMNS, may_be_empty=True))
    save(draw_ladder(rungs, dataset, simulated), png, pdf)
    write_csv(rungs, csv, simulated)


def ladder_rungs(ladder: pd.DataFrame) -> pd.DataFrame:
    """The rows of statistics/ladder.csv that are drawn: those of LADDER_METRICS, rungs in ascending order."""
    drawn = ladder.loc[ladder.metric.isin(LADDER_METRICS), list(LADDER_COLUMNS)]
    return drawn.sort_values("rung", kind="stable").reset_index(drop=True)


def draw_ladder(rungs: pd.DataFrame, dataset: str, simulated: bool) -> Figure:
    """Draw `ladder_rungs`: two panels per network, values on the left and changes on the right.

    Without any rung, as where only protocols beside the ladder were run, the figure says so.
    """
    networks, protocols = networks_of(rungs), list(rungs.protocol.unique())
    text = heading(
        dataset, simulated, "The ladder: each protocol, and its change from the one before" + _only(networks, protocols)
    )
    with rc_context(STYLE):
        if rungs.empty:
            figure = new_figure(PAGE_WIDTH, 1, text)
            figure.text(0.5, 0.4, "no protocol of the ladder was run", ha="center")
            return figure
        figure, pairs = pairs_of_panels(networks, protocols, 0.22, text)
        for network, (values, changes) in zip(networks, pairs, strict=True):
            mine, lines = rows_of(rungs, network), line_of(network, networks, protocols)
            for metric in LADDER_METRICS:
                of_metric = mine[mine.metric == metric]
                _draw_rungs(values, of_metric, "value", lines)
                if metric != "accuracy_mean_of_folds":
                    _draw_rungs(changes, of_metric, "change", lines)
        for changes in dict.fromkeys(right for _, right in pairs):
            changes.axvline(0, color="black", linewidth=0.6, zorder=1)
        if rungs.change.isna().all():
            lone = pairs[0][1]
            lone.set_xlim(-1, 1)  # an axis without numbers would end anywhere
            lone.text(0.03, 0.5, "one rung was run:\nno change", transform=lone.transAxes, va="center", color=GREY)
        label_lowest(pairs, "metric (%)", "change (percentage points)")
        handles = [_ladder_handle(metric) for metric in LADDER_METRICS if (rungs.metric == metric).any()]
        handles.append(Line2D([], [], color=GREY, label=INTERVAL))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _ladder_handle(metric: str) -> Line2D:
    label, colour, marker, _, filled = LADDER_METRICS[metric]
    face = colour if filled else "white"
    size = 4 if filled else 5.5
    return Line2D(
        [], [], color=colour, marker=marker, markersize=size, markerfacecolor=face, linestyle="none", label=label
    )


def _draw_rungs(axes: Axes, rows: pd.DataFrame, quantity: str, lines: dict[str, int]) -> None:
    """Points and bars of one metric; an interval that is missing is left out, a value that is missing as well."""
    if rows.empty:
        return
    _, colour, marker, shift, filled = LADDER_METRICS[rows.metric.iloc[0]]
    place = rows.protocol.map(lines).to_numpy() + shift
    low, value, high = (100 * rows[f"{quantity}{end}"].to_numpy(float) for end in ("_low", "", "_high"))
    if filled:
        axes.hlines(place, low, high, color=colour, linewidth=1, zorder=2)
    face, size = (colour, 3.5) if filled else ("none", 5.5)
    axes.plot(value, place, marker, color=colour, markersize=size, markerfacecolor=face, markeredgewidth=0.7, zorder=3)


# -------------------------------------------------------------------------------------------------------------- cost

INTERVAL_COLUMNS = ("protocol", *NETWORK, "metric", "estimate", "low", "high")
QUANTITIES = {"macs": "MACs per 30-s epoch", "parameters": "trainable parameters"}
"""What the accuracy is drawn against: names in a profile's operations, and labels of the axes."""

COST_COLUMNS = ("quantity", "count", *NETWORK, "protocol", "accuracy", "low", "high", "mark", "source", "number")
PROTOCOL_LOOKS = ((ORANGE, "s"), (BLUE, "o"))
PUBLISHED_LOOK = (VERMILION, "D")
MOST_NAMED_AT_EASE = 12
"""With more networks the key of the figure of costs is in small print, and bars are pale behind the points."""
DODGE = 0.008
"""Share of the width of the log axis by which a protocol of two is set aside from the count of its network."""


def cost_figure(
    intervals: str,
    runs: str,
    profiles: Sequence[str],
    published: str,
    claims: str,
    dataset: str,
    simulated: bool,
    png: str,
    pdf: str,
    csv: str,
    estimators: Sequence[str] = (),
) -> None:
    """Accuracy against multiply-accumulates and against parameters, with what is published of both.

    Parameters
    ----------
    intervals : statistics/intervals.csv
    runs : the runs table, which says how many channels a set of channels has
    profiles : one JSON per profiled network: title, n_channels, operations
    published, claims : the tables of published results and of published claims
    estimators : titles of models that are no networks and so have no profile: they are left out
    """
    statements = load_claims(claims)
    accuracies = read_statistics(intervals, INTERVAL_COLUMNS)
    left_out = [title for title in accuracies.title.unique() if title in estimators]
    read_profiles = [read_json(profile) for profile in profiles]
    measured = measured_costs(accuracies, read_runs(runs), read_profiles, left_out)
    # Published accuracies are on Sleep-EDF: beside simulated data they would invite a comparison that means nothing.
    others = [] if simulated else published_costs(pd.read_csv(published), statements, dataset)
    points = cost_points(measured, others)
    save(draw_cost(points, cost_note(statements, dataset, simulated, left_out), dataset, simulated), png, pdf)
    write_csv(points, csv, simulated)


def measured_costs(
    intervals: pd.DataFrame, runs: pd.DataFrame, profiles: Sequence[dict], left_out: Sequence[str] = ()
) -> list[dict]:
    """One row per quantity, network and protocol: the first protocol, and the final one (see `final_protocol`).

    Models whose titles are in `left_out` have none. BenchmarkError for another one that was not profiled.
    """
    operations = {
        (profile["title"], profile["n_channels"]): counts_per_epoch(profile["operations"]) for profile in profiles
    }
    sizes = runs.drop_duplicates(["title", "channels"]).set_index(["title", "channels"]).n_channels
    accuracies = intervals[intervals.metric == "accuracy"]
    protocols = list(accuracies.protocol.unique())
    if not protocols:
        raise BenchmarkError("the intervals have no row of the metric accuracy; make the statistics again")
    compared = dict.fromkeys((protocols[0], final_protocol(protocols)))
    accuracies = accuracies[~accuracies.title.isin(left_out)]
    rows = []
    for quantity, protocol in product(QUANTITIES, compared):
        for row in accuracies[accuracies.protocol == protocol].itertuples():
            n_channels = sizes.get((row.title, row.channels))
            if (row.title, n_channels) not in operations:
                raise BenchmarkError(
                    f"no profile of {row.title} with the channels {row.channels} ({n_channels or 'an unknown number'}) "
                    f"was found, expected one (there are: {', '.join(f'{t} with {n}' for t, n in operations)}); "
                    "profile that network"
                )
            rows.append(
                {
                    "quantity": quantity,
                    "count": operations[row.title, n_channels][quantity],
                    **{name: getattr(row, name) for name in NETWORK},
                    "protocol": protocol,
                    "accuracy": row.estimate,
                    "low": row.low,
                    "high": row.high,
                    "mark": "measured",
                    "source": "measured here; interval over subjects",
                }
            )
    return rows


def published_costs(published: pd.DataFrame, claims: Sequence[Claim], dataset: str) -> list[dict]:
    """Published accuracies whose source prints the count as well, in the very convention of the axis.

    A count is that of a claim of the same model and mark, or of a column of the published results named as the
    quantity. Operations printed without their convention, or in another one, are no multiply-accumulates.
    """
    counts = {(claim.model, claim.mark, claim.test["kind"]): claim.published for claim in claims}
    rows = []
    chosen = published[(published.dataset == dataset) & published.accuracy.notna()]
    for quantity, (_, row) in product(QUANTITIES, chosen.iterrows()):
        count = counts.get((row.model, row.mark, quantity), row.get(quantity))
        if pd.notna(count):
            rows.append(
                {
                    "quantity": quantity,
                    "count": count,
                    "title": row.model,
                    "channels": row.input,
                    "protocol": row.protocol,
                    "accuracy": row.accuracy / 100,
                    "mark": row.mark,
                    "source": row.source,
                }
            )
    return rows


def cost_points(measured: list[dict], published: list[dict]) -> pd.DataFrame:
    """All points, columns COST_COLUMNS; accuracy, low and high in 0..1. `number` is that of the key of the figure."""
    points = pd.DataFrame([*measured, *published]).reindex(columns=list(COST_COLUMNS))
    names = points[[*NETWORK]].astype(object).where(points[[*NETWORK]].notna(), "").astype(str)
    who = pd.Series(map("\0".join, names.itertuples(index=False)), index=points.index, dtype=object)
    who = who.where(points.mark == "measured", who + "\0" + points.source.astype(str))
    return points.assign(number=pd.factorize(who)[0] + 1)


def cost_note(claims: Sequence[Claim], dataset: str, simulated: bool, left_out: Sequence[str] = ()) -> str:
    """What is drawn of what is published, and what is not; and which models are left out."""
    no_network = f" No network, so without such a cost: {'; '.join(left_out)}." if left_out else ""
    if simulated:
        published = "Published accuracies are on Sleep-EDF, cannot be compared with simulated data and are not drawn."
        return published + no_network
    printed = [f"{c.statement} of {c.model} ({c.unit})" for c in claims if c.test["kind"].startswith("flops")]
    note = f"Published: accuracy on {data_name(dataset, simulated)} and count as printed; protocols differ."
    if printed:
        note += f" Not drawn, because they are no MACs: {'; '.join(printed)}."
    return note + no_network


def draw_cost(points: pd.DataFrame, note: str, dataset: str, simulated: bool) -> Figure:
    """Draw `cost_points`; a number at each network's points leads to its name in the key.

    Without any measured network, as where only an estimator was run, the figure says so.
    """
    protocols = list(points[points.mark == "measured"].protocol.unique())
    key = points.drop_duplicates("number")
    many = len(key) > MOST_NAMED_AT_EASE
    note = textwrap.fill(note, 40)
    text = heading(dataset, simulated, "Accuracy against operations and size")
    with rc_context(STYLE):
        if not protocols:
            figure = new_figure(PAGE_WIDTH, 1, text)
            figure.text(0.5, 0.4, "no network was run", ha="center")
            return figure
        lines = "\n".join([*_key_names(key), note]).count("\n") + len(protocols) + 5
        figure = new_figure(PAGE_WIDTH, max(3, 0.7 + (0.12 if many else 0.14) * lines), text)
        grid = figure.add_gridspec(1, 3, width_ratios=(1, 1, 1.25 if many else 1))
        macs = figure.add_subplot(grid[0])
        panels = [macs, figure.add_subplot(grid[1], sharey=macs)]
        for axes, (quantity, label) in zip(panels, QUANTITIES.items(), strict=True):
            _draw_costs(axes, points[points.quantity == quantity], protocols)
            axes.set_xlabel(f"{label} (log scale)")
        panels[0].set_ylabel("accuracy (%)")
        panels[1].tick_params(labelleft=False)
        drawn = 100 * points[["accuracy", "low", "high"]].to_numpy(float)
        margin = max(1.0, 0.08 * (np.nanmax(drawn) - np.nanmin(drawn)))
        macs.set_ylim(np.nanmin(drawn) - margin, np.nanmax(drawn) + margin)
        _draw_cost_key(figure.add_subplot(grid[2]), key, protocols, note)
        figure.draw_without_rendering()
        for axes, quantity in zip(panels, QUANTITIES, strict=True):
            _place_numbers(axes, points[points.quantity == quantity], protocols)
    return figure


def _looks(protocols: list[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker of each protocol; the final one always looks the same."""
    return dict(zip(protocols, PROTOCOL_LOOKS[-len(protocols) :], strict=True))


def _count_limits(counts: pd.Series) -> tuple[float, float]:
    """Ends of the log axis: at least two decades, so that it has two ticks where there is one network only."""
    low, high = counts.min() / 4, counts.max() * 4
    missing = max(1.0, 100 * low / high) ** 0.5
    return low / missing, high * missing


def _cost_positions(points: pd.DataFrame, protocols: list[str]) -> np.ndarray:
    """Where points are drawn on the log axis: the protocols of a network stand side by side."""
    low, high = _count_limits(points["count"])
    step = {name: (high / low) ** (DODGE * (2 * i - len(protocols) + 1)) for i, name in enumerate(protocols)}
    factor = [step[row.protocol] if row.mark == "measured" else 1 for row in points.itertuples()]
    return points["count"].to_numpy(float) * np.array(factor)


def _draw_costs(axes: Axes, points: pd.DataFrame, protocols: list[str]) -> None:
    axes.set_xscale("log")
    points = points.assign(x=_cost_positions(points, protocols))
    for _, network in points[points.mark == "measured"].groupby("number"):
        axes.plot(network.x, 100 * network.accuracy, color=GREY, linewidth=0.5, zorder=1)
    for protocol, (colour, marker) in _looks(protocols).items():
        mine = points[(points.mark == "measured") & (points.protocol == protocol)]
        pale = {"linewidth": 0.6, "alpha": 0.35} if points.number.nunique() > MOST_NAMED_AT_EASE else {"linewidth": 1}
        axes.vlines(mine.x, 100 * mine.low, 100 * mine.high, color=colour, zorder=2, **pale)
        axes.plot(mine.x, 100 * mine.accuracy, marker, color=colour, markersize=4, zorder=3)
    mine = points[points.mark != "measured"]
    axes.plot(mine.x, 100 * mine.accuracy, PUBLISHED_LOOK[1], color=PUBLISHED_LOOK[0], mfc="white", ms=4.5, zorder=3)
    axes.set_xlim(*_count_limits(points["count"]))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _key_names(key: pd.DataFrame) -> list[str]:
    """What the key calls the points of each number."""
    n_measured = (key.mark == "measured").sum()
    names = [
        network_name((row.title, row.channels, row.recipe), n_measured)
        if row.mark == "measured"
        else f"{row.title}, {row.mark}"
        for row in key.itertuples()
    ]
    return [textwrap.fill(name, 50 if len(key) > MOST_NAMED_AT_EASE else 32) for name in names]


def _draw_cost_key(axes: Axes, key: pd.DataFrame, protocols: list[str], note: str) -> None:
    axes.axis("off")
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=4, label=f"measured, protocol {spoken(protocol)}")
        for protocol, (colour, marker) in _looks(protocols).items()
    ]
    colour, marker = PUBLISHED_LOOK
    if (key.mark != "measured").any():
        handles.append(
            Line2D([], [], color=colour, marker=marker, mfc="white", ms=4.5, linestyle="none", label="published")
        )
    handles.append(Line2D([], [], color="none", label=INTERVAL))
    if len(protocols) > 1:
        handles.append(
            Line2D([], [], color="none", label="protocols of a network lie side by\nside: their cost is the same")
        )
    many = len(key) > MOST_NAMED_AT_EASE
    for number, name in zip(key.number, _key_names(key), strict=True):
        size = (3 if many else 4) if number < 10 else (5.5 if many else 7)
        handles.append(Line2D([], [], color="black", marker=f"${number}$", ms=size, mew=0, ls="none", label=name))
    small = {"fontsize": 6, "labelspacing": 0.35} if many else {}
    legend = axes.legend(handles=handles, loc="upper left", borderaxespad=0, handlelength=1.4, **small)
    written = axes.text(0, 0, note, transform=axes.transAxes, fontsize=6, va="bottom")
    for artist in (legend, written):
        artist.set_in_layout(False)


def _place_numbers(axes: Axes, points: pd.DataFrame, protocols: list[str]) -> None:
    """Write each network's number beside its last point, where it covers neither points, bars nor other numbers.

    The pale bars of many networks may be covered.
    """
    many = points.number.nunique() > MOST_NAMED_AT_EASE
    points = points.assign(x=_cost_positions(points, protocols))
    scale = 72 / axes.figure.dpi

    def place(x: float, y: float) -> np.ndarray:
        return axes.transData.transform((x, 100 * y)) * scale

    taken, half_bar = [], np.array([1, 0])
    for row in points.itertuples():
        middle = place(row.x, row.accuracy)
        taken.append(Bbox([middle - 3, middle + 3]))
        if not many and pd.notna(row.low) and pd.notna(row.high):
            taken.append(Bbox([place(row.x, row.low) - half_bar, place(row.x, row.high) + half_bar]))
    window = axes.get_window_extent()
    inside = Bbox(window.get_points() * scale)
    for row in points.drop_duplicates("number", keep="last").itertuples():
        half = np.array([2.6 * len(str(row.number)), 3.7]) * (0.85 if many else 1)
        middle = place(row.x, row.accuracy)
        spots = [middle + offset for offset in _offsets()]
        free = (spot for spot in spots if _is_free(Bbox([spot - half, spot + half]), taken, inside))
        spot = next(free, spots[0])
        taken.append(Bbox([spot - half, spot + half]))
        axes.annotate(
            str(row.number),
            (row.x, 100 * row.accuracy),
            xytext=spot - middle,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=6 if many else None,
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.4, "shrinkA": 3, "shrinkB": 3}
            if np.hypot(*(spot - middle)) > 12
            else None,
        )


def _offsets() -> list[np.ndarray]:
    """Places around a point to try, in points, the nearest first."""
    angles = np.deg2rad([0, 180, 45, 135, -45, -135, 90, -90])
    return [
        distance * np.array([np.cos(angle), np.sin(angle)])
        for distance in (8, 11, 15, 20, 26, 33, 41, 50)
        for angle in angles
    ]


def _is_free(box: Bbox, taken: list[Bbox], inside: Bbox) -> bool:
    within = box.x0 > inside.x0 and box.y0 > inside.y0 and box.x1 < inside.x1 and box.y1 < inside.y1
    return within and not any(box.overlaps(other) for other in taken)


# ---------------------------------------------------------------------------------------------------------- subjects

SUBJECT_METRICS = {"accuracy": ("accuracy (%)", BLUE), "macro_f1": ("macro-F1 (%)", VERMILION)}
SUBJECT_COLUMNS = ("protocol", *NETWORK, "subject", "age", "sex", *SUBJECT_METRICS, "n_epochs", "n_recordings")
GOLDEN = (5**0.5 - 1) / 2
FEWEST_FOR_A_BOX = 4
"""Subjects below which there is no middle half to show."""


def subjects_figure(subjects: str, dataset: str, simulated: bool, png: str, pdf: str, csv: str) -> None:
    """Accuracy and macro-F1 of every subject, both nights together, by protocol.

    Parameters
    ----------
    subjects : statistics/subjects.csv
    """
    table = read_statistics(subjects, SUBJECT_COLUMNS)[list(SUBJECT_COLUMNS)]
    save(draw_subjects(table, dataset, simulated), png, pdf)
    write_csv(table, csv, simulated)


def draw_subjects(subjects: pd.DataFrame, dataset: str, simulated: bool) -> Figure:
    """Draw statistics/subjects.csv: two panels per network, a dot per subject over box and median."""
    networks, protocols = networks_of(subjects), list(subjects.protocol.unique())
    everyone = sorted(subjects.subject.unique())
    # Multiples of the golden ratio spread evenly, and a subject keeps its height on every line.
    height = {subject: 0.6 * ((i * GOLDEN) % 1 - 0.5) for i, subject in enumerate(everyone)}
    text = heading(
        dataset, simulated, "Accuracy and macro-F1 of each subject, both nights together" + _only(networks, protocols)
    )
    with rc_context(STYLE):
        figure, pairs = pairs_of_panels(networks, protocols, 0.28, text)
        for network, panels in zip(networks, pairs, strict=True):
            mine = rows_of(subjects, network)
            if not is_one_pair(networks, protocols):
                panels[0].set_title(f"{panels[0].get_title(loc='left')}, {counted_subjects(mine)}", loc="left")
            for axes, metric in zip(panels, SUBJECT_METRICS, strict=True):
                _draw_distribution(axes, mine, metric, line_of(network, networks, protocols), height)
        label_lowest(pairs, *(label for label, _ in SUBJECT_METRICS.values()))
        subject = f"a subject, {counted_subjects(subjects)}" if is_one_pair(networks, protocols) else "a subject (n)"
        handles = [
            Line2D([], [], color=GREY, marker="o", markersize=3, mew=0, linestyle="none", label=subject),
            Patch(facecolor="white", edgecolor="black", linewidth=0.6, label="middle half of the subjects"),
            Line2D([], [], color="black", linewidth=1.6, label="median"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def counted_subjects(subjects: pd.DataFrame) -> str:
    """How many subjects the networks have under a protocol."""
    n_subjects = subjects.groupby(["protocol", *NETWORK]).subject.nunique()
    fewest, most = n_subjects.min(), n_subjects.max()
    return f"n = {most}" if fewest == most else f"n = {fewest} to {most}"


def _draw_distribution(
    axes: Axes, subjects: pd.DataFrame, metric: str, lines: dict[str, int], height: dict[str, float]
) -> None:
    colour = SUBJECT_METRICS[metric][1]
    defined = subjects[subjects[metric].notna()]
    for protocol, i in lines.items():
        mine = defined[defined.protocol == protocol]
        if mine.empty:
            continue
        values = 100 * mine[metric].to_numpy()
        place = i + mine.subject.map(height).to_numpy()
        size = 9 if len(mine) <= 20 else 5
        axes.scatter(values, place, s=size, color=colour, alpha=0.55, linewidth=0, zorder=2)
        if len(mine) < FEWEST_FOR_A_BOX:
            continue
        line = {"color": "black", "linewidth": 0.6}
        axes.boxplot(
            values,
            positions=[i],
            widths=0.62,
            orientation="horizontal",
            manage_ticks=False,
            showfliers=False,
            showcaps=False,
            whis=0,  # every subject is a dot: whiskers would only say it again
            boxprops=line,
            medianprops={"color": "black", "linewidth": 1.6},
            zorder=3,
        )


# -------------------------------------------------------------------------------------------------------- reliability

RELIABILITY_COLUMNS = ("protocol", *NETWORK, "low", "high", "n_epochs", "confidence", "accuracy")
ECE = "expected_calibration_error"
"""The metric of statistics/intervals.csv that is printed in each panel."""

MOST_DIAGRAMS_PER_ROW = 4
MOST_PROTOCOLS_PER_ROW = 8


def reliability_figure(
    reliability: str, intervals: str, dataset: str, simulated: bool, png: str, pdf: str, csv: str
) -> None:
    """Reliability diagrams, and under each how many epochs are predicted with which confidence.

    Parameters
    ----------
    reliability : statistics/reliability.csv
    intervals : statistics/intervals.csv, for the expected calibration error
    """
    bins = calibration_bins(
        read_statistics(reliability, RELIABILITY_COLUMNS), read_statistics(intervals, INTERVAL_COLUMNS)
    )
    save(draw_reliability(bins, dataset, simulated), png, pdf)
    write_csv(bins, csv, simulated)


def calibration_bins(reliability: pd.DataFrame, intervals: pd.DataFrame) -> pd.DataFrame:
    """The bins of statistics/reliability.csv, with the column ece: the error of their network and protocol.

    The bins are of all seeds together, the error is the mean of the seeds' own, as intervals.csv has it; BenchmarkError
    if it has none.
    """
    key = ["protocol", *NETWORK]
    errors = intervals[intervals.metric == ECE].set_index(key).estimate
    tables = []
    for values, bins in reliability[list(RELIABILITY_COLUMNS)].groupby(key, sort=False):
        if not bins.n_epochs.sum():
            raise BenchmarkError(f"the bins of {', '.join(values)} hold no epoch; make the statistics again")
        if values not in errors.index:
            raise BenchmarkError(f"the intervals have no {ECE} of {', '.join(values)}; make the statistics again")
        tables.append(bins.assign(ece=errors[values]))
    return pd.concat(tables, ignore_index=True)


def draw_reliability(bins: pd.DataFrame, dataset: str, simulated: bool) -> Figure:
    """Draw `calibration_bins`: a panel per protocol, in a row per network; or small ones one after another."""
    networks, protocols = networks_of(bins), list(bins.protocol.unique())
    share = 100 * bins.n_epochs / bins.groupby(["protocol", *NETWORK]).n_epochs.transform("sum")
    top = 10 * math.ceil(share.max() / 10)
    text = heading(dataset, simulated, "Reliability of the predictions")
    own = [[(network, protocol) for protocol in rows_of(bins, network).protocol.unique()] for network in networks]
    with rc_context(STYLE):
        # Blocks of networks that lack some of the protocols would be mostly empty.
        if is_small(own) or any(len(panels) < len(protocols) for panels in own):
            return _draw_many_calibrations(bins, rows_of_panels(own, SMALL_PANELS_PER_ROW), top, text)
        most = MOST_DIAGRAMS_PER_ROW if len(networks) == 1 else MOST_PROTOCOLS_PER_ROW
        n_rows = math.ceil(len(protocols) / most)
        n_columns = math.ceil(len(protocols) / n_rows)
        width = PAGE_WIDTH if n_columns > 2 else COLUMN_WIDTH
        panel = min((width - 0.5) / n_columns, 1.9)
        figure = new_figure(width, 1 + len(networks) * (0.1 + n_rows * (1.3 * panel + 0.8)), text)
        for block, network in zip(blocks_of(figure, networks), networks, strict=True):
            # The histogram is a third of the diagram it belongs to.
            grid = block.add_gridspec(2 * n_rows, n_columns, height_ratios=[3, 1] * n_rows)
            mine = rows_of(bins, network)
            for j, protocol in enumerate(protocols):
                row, column = divmod(j, n_columns)
                table = mine[mine.protocol == protocol]
                if not table.empty:
                    pair = _calibration_axes(block, grid, row, column)
                    title = textwrap.fill(spoken(protocol), int(16 * panel))
                    _draw_calibration(*pair, table, top, title)
        _calibration_legend(figure, 3 if width == PAGE_WIDTH else 2)
    return figure


def _draw_many_calibrations(bins: pd.DataFrame, rows: list[list[tuple[Network, str]]], top: int, text: str) -> Figure:
    """Small panels, named by their network, and by their protocol where there are several."""
    figure = new_figure(PAGE_WIDTH, 1 + 2 * len(rows), text)
    grid = figure.add_gridspec(2 * len(rows), max(map(len, rows)), height_ratios=[3, 1] * len(rows))
    one_protocol = bins.protocol.nunique() == 1
    for i, panels in enumerate(rows):
        for j, (network, protocol) in enumerate(panels):
            mine = rows_of(bins, network)
            title = small_title(network, None if one_protocol else spoken(protocol))
            pair = _calibration_axes(figure, grid, i, j)
            _draw_calibration(*pair, mine[mine.protocol == protocol], top, title)
            pair[0].title.set_fontsize(6)
            pair[1].set_xlabel("confidence (%)" if i == len(rows) - 1 else None)
    _calibration_legend(figure, 3)
    return figure


def _calibration_axes(place: Figure | SubFigure, grid: GridSpec, row: int, column: int) -> tuple[Axes, Axes]:
    """A diagram and its histogram below, y axes labelled in the first column."""
    diagram = place.add_subplot(grid[2 * row, column])
    histogram = place.add_subplot(grid[2 * row + 1, column], sharex=diagram)
    for axes, label in ((diagram, "accuracy (%)"), (histogram, "epochs (%)")):
        axes.tick_params(labelleft=column == 0)
        axes.set_ylabel(label if column == 0 else None)
    return diagram, histogram


def _calibration_legend(figure: Figure, n_columns: int) -> None:
    handles = [
        Patch(color=SKY, label="accuracy of a bin"),
        Line2D([], [], color=BLUE, marker="o", markersize=2.5, label="accuracy at its mean confidence"),
        Line2D([], [], color="black", linestyle="--", linewidth=0.6, label="calibrated"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=n_columns)


def _draw_calibration(diagram: Axes, histogram: Axes, bins: pd.DataFrame, top: int, title: str) -> None:
    """A diagram and its histogram up to `top` percent, under a title and the calibration error."""
    widths = bins.high - bins.low
    filled = bins[bins.n_epochs > 0]
    diagram.bar(bins.low, bins.accuracy, widths, align="edge", color=SKY, edgecolor="white", linewidth=0.3)
    diagram.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=0.6)
    diagram.plot(filled.confidence, filled.accuracy, color=BLUE, marker="o", markersize=2, linewidth=0.8)
    diagram.set(xlim=(0, 1), ylim=(0, 1))
    diagram.set_yticks((0, 0.5, 1), ("0", "50", "100"))
    diagram.tick_params(labelbottom=False)
    diagram.set_title(f"{title}\nECE {100 * bins.ece.iloc[0]:.1f} %")
    histogram.bar(bins.low, 100 * bins.n_epochs / bins.n_epochs.sum(), widths, align="edge", color=GREY)
    histogram.set_xticks((0, 0.5, 1), ("0", "50", "100"))
    histogram.set(ylim=(0, top), yticks=(0, top))
    histogram.set_xlabel("confidence (%)")


# --------------------------------------------------------------------------------------------------- sleep measures

AGREEMENT_MEASURES = {
    "total_sleep_time": ("total sleep time", "min"),
    "sleep_efficiency": ("sleep efficiency", "%"),
    "wake_after_sleep_onset": ("wake after sleep onset", "min"),
    "sleep_onset_latency": ("sleep onset latency", "min"),
    "rem_latency_from_sleep_onset": ("REM latency", "min"),
    "minutes_N3": ("time in N3", "min"),
    "minutes_REM": ("time in REM", "min"),
}
"""Measures that are drawn, with names and units; the REM latency is the AASM manual's, from sleep onset."""

NIGHT_COLUMNS = (
    *("protocol", *NETWORK, "seed", "recording", "subject", "night"),
    *(f"{scoring}_{measure}" for measure in AGREEMENT_MEASURES for scoring in ("scored", "predicted")),
)
AGREEMENT_COLUMNS = ("protocol", *NETWORK, "measure", "n_nights", "n_undefined", "bias", "low", "high")
MOST_AGREEMENT_NETWORKS = 3
MOST_MEASURES_PER_ROW = 4


def sleep_agreement_figure(
    nights: str, sleep_measures: str, dataset: str, simulated: bool, png: str, pdf: str, csv: str
) -> None:
    """Bland-Altman panels of the sleep measures under the final protocol, of the first three networks.

    Parameters
    ----------
    nights : statistics/nights.csv
    sleep_measures : statistics/sleep_measures.csv, for bias and limits of agreement
    """
    pairs = measured_pairs(read_statistics(nights, NIGHT_COLUMNS), read_statistics(sleep_measures, AGREEMENT_COLUMNS))
    save(draw_sleep_agreement(pairs, dataset, simulated), png, pdf)
    write_csv(pairs, csv, simulated)


def measured_pairs(nights: pd.DataFrame, agreement: pd.DataFrame) -> pd.DataFrame:
    """One row per network, measure, seed and night: what is drawn of statistics/nights.csv.

    Returns
    -------
    protocol (the final one), title, channels, recipe, measure, unit, seed, recording, subject, night, scored,
    predicted, mean, difference (predicted - scored), and bias, low, high, n_nights and n_undefined of the measure, as
    sleep_measures.csv has them. A night whose measure is undefined in either scoring is kept, with nothing to draw.
    BenchmarkError if sleep_measures.csv lacks a measure.
    """
    protocol = final_protocol(list(nights.protocol.unique()))
    chosen = nights[nights.protocol == protocol]
    known = agreement[agreement.protocol == protocol].set_index([*NETWORK, "measure"])
    tables = []
    for network, (measure, (_, unit)) in product(
        networks_of(chosen)[:MOST_AGREEMENT_NETWORKS], AGREEMENT_MEASURES.items()
    ):
        if (*network, measure) not in known.index:
            raise BenchmarkError(
                f"the sleep measures have no {measure} of {', '.join(network)} under protocol {protocol}; "
                "make the statistics again"
            )
        mine, limits = rows_of(chosen, network), known.loc[(*network, measure)]
        scored, predicted = mine[f"scored_{measure}"], mine[f"predicted_{measure}"]
        table = mine[["protocol", *NETWORK, "seed", "recording", "subject", "night"]].assign(
            scored=scored,
            predicted=predicted,
            mean=(scored + predicted) / 2,
            difference=predicted - scored,
            **{name: limits[name] for name in ("bias", "low", "high", "n_nights", "n_undefined")},
        )
        table.insert(4, "measure", measure)
        table.insert(5, "unit", unit)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def draw_sleep_agreement(pairs: pd.DataFrame, dataset: str, simulated: bool) -> Figure:
    """Draw `measured_pairs`: a panel per measure, in a block per network."""
    networks, protocol = networks_of(pairs), pairs.protocol.iloc[0]
    n_rows = math.ceil(len(AGREEMENT_MEASURES) / MOST_MEASURES_PER_ROW)
    text = heading(dataset, simulated, f"Agreement of sleep measures night by night, protocol {spoken(protocol)}")
    with rc_context(STYLE):
        figure = new_figure(PAGE_WIDTH, 0.5 + len(networks) * (0.4 + 1.25 * n_rows), text)
        for block, network in zip(blocks_of(figure, networks), networks, strict=True):
            grid = block.subplots(n_rows, MOST_MEASURES_PER_ROW).ravel()
            mine = rows_of(pairs, network)
            for axes, measure in zip(grid, AGREEMENT_MEASURES, strict=False):
                _draw_agreement(axes, mine[mine.measure == measure])
            block.supxlabel("mean of predicted and scored", fontsize=7)
            block.supylabel("predicted − scored", fontsize=7)
            _draw_agreement_key(grid[len(AGREEMENT_MEASURES)])
    return figure


BIAS = {"color": BLUE, "linewidth": 1.2}
LIMIT = {"color": BLUE, "linewidth": 0.8, "linestyle": "--"}
NIGHT = {"color": "black", "marker": "o", "linestyle": "none", "markersize": 2.6, "alpha": 0.5, "markeredgewidth": 0}


def _draw_agreement(axes: Axes, pairs: pd.DataFrame) -> None:
    first = pairs.iloc[0]
    name, unit = AGREEMENT_MEASURES[first.measure]
    defined = pairs[pairs.difference.notna()]
    undefined = f", {first.n_undefined:.0f} undefined" if first.n_undefined else ""
    axes.set_title(f"{name} ({unit})\nn = {first.n_nights:.0f}{undefined}")
    axes.axhline(0, color=GREY, linewidth=0.4, zorder=1)
    axes.plot(defined["mean"], defined.difference, zorder=2, **NIGHT)
    for value, look in ((first.bias, BIAS), (first.low, LIMIT), (first.high, LIMIT)):
        if pd.notna(value):
            axes.axhline(value, zorder=3, **look)
    axes.margins(x=0.08, y=0.12)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_locator(MaxNLocator(5))


def _draw_agreement_key(axes: Axes) -> None:
    axes.axis("off")
    handles = [
        Line2D([], [], label="a night", **NIGHT),
        Line2D([], [], label="bias", **BIAS),
        Line2D([], [], label="limits of agreement,\nbias ± 1.96 sd", **LIMIT),
    ]
    axes.legend(handles=handles, loc="center").set_in_layout(False)

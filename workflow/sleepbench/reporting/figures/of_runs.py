"""Figures, drawn from the runs table and the files of its runs; each comes with the CSV of the numbers behind it.

The `draw_*` functions make a matplotlib Figure; the `*_figure` functions, one per script, read runs and write files.
"""

import math
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import replacing
from sleepbench.core.stages import EPOCH_SECONDS, STAGES
from sleepbench.protocols.selection import SELECTIONS
from sleepbench.reporting.figures.style import (
    COLUMN_WIDTH,
    PAGE_WIDTH,
    PART_COLOURS,
    STAGE_COLOURS,
    STYLE,
    VERMILION,
    new_figure,
    save,
)
from sleepbench.reporting.tables.main import SIMULATED, TRIAL, complete_runs, confusions, read_runs, title
from sleepbench.runs.run_files import RUN_AGAIN, predictions_name, read_listed, read_record

NETWORK = ["title", "channels", "recipe"]
"""What a figure calls one network: a model on some channels, trained by one recipe."""

MOST_PANELS_PER_ROW = 3
MOST_NETWORKS = 4
"""Of more networks than these all panels are drawn small, and run on from network to network in the same rows."""
SMALL_PANELS_PER_ROW = 6
HYPNOGRAM_ORDER = ("W", "REM", "N1", "N2", "N3")
"""Stages from the top of a hypnogram to its bottom."""


def network_name(network: tuple[str, str, str], networks: int) -> str:
    """A network's title, with its channels and recipe where a figure shows several networks."""
    model, channels, recipe = network
    return model if networks == 1 else f"{model} ({channels}, {recipe})"


def rows_of_panels(of_networks: Sequence[Sequence[tuple]], most: int) -> list[list[tuple]]:
    """Panels in rows of at most `most`, a network's own rows evenly filled; if small, in a single sequence.

    Networks share a row where all of their panels fit into it.
    """
    if is_small(of_networks):
        of_networks, most = [[panel for panels in of_networks for panel in panels]], SMALL_PANELS_PER_ROW
    rows, has_room = [], False
    for panels in of_networks:
        if has_room and len(rows[-1]) + len(panels) <= most:
            rows[-1] += panels
            continue
        per_row = math.ceil(len(panels) / math.ceil(len(panels) / most))
        rows += [list(panels[start : start + per_row]) for start in range(0, len(panels), per_row)]
        has_room = len(panels) <= most
    return rows


def is_small(of_networks: Sequence[Sequence]) -> bool:
    """Whether panels, by network, are of so many networks that all are drawn small."""
    return len(of_networks) > MOST_NETWORKS


def small_title(network: tuple[str, str, str], protocol: str | None) -> str:
    """Title of a panel in short lines: the network, and the protocol where there are several."""
    model, *trained = network
    lines = [textwrap.fill(model, 18), f"({', '.join(trained)})"]
    if protocol:
        lines.append(f"protocol {protocol}" if len(protocol) <= 16 else protocol)
    return "\n".join(lines)


def heading(dataset: str, simulated: bool, text: str) -> str:
    """A figure's title, with what says that its data is simulated, or a trial, on a line of its own."""
    return re.sub(rf" \(({re.escape(SIMULATED)}|{re.escape(TRIAL)})\)$", r"\n(\1)", title(dataset, simulated, text))


def read_run_file(run: pd.Series, name: str) -> pd.DataFrame:
    """Read a CSV or Parquet file of a run; BenchmarkError if it is not there as it was written."""
    return _read_run(run, name)[1]


def _read_run(run: pd.Series, name: str) -> tuple[dict, pd.DataFrame]:
    """A run's training.json, and a CSV or Parquet file that it lists."""
    directory = Path(run.directory)
    try:
        record = read_record(directory)
        return record, read_listed(directory, record, name)
    except BenchmarkError as error:
        raise BenchmarkError(f"run {run.run_key} cannot be shown; {RUN_AGAIN}:\n  {error}") from error


def read_predictions(run: pd.Series) -> pd.DataFrame:
    """The predictions of a run, one row per test epoch."""
    return read_run_file(run, predictions_name(run.selection))


def write_csv(table: pd.DataFrame, path: str | Path, simulated: bool) -> None:
    """Write the numbers behind a figure; the last column of each row says whether they are of simulated data."""
    with replacing(path) as temporary:
        table.assign(simulated=simulated).to_csv(temporary, index=False)


# --------------------------------------------------------------------------------------------------- confusion matrices


def confusion_figure(runs: str, dataset: str, simulated: bool, png: str, pdf: str, csv: str) -> None:
    """Confusion matrices pooled over folds and seeds: one panel per network and protocol."""
    chosen = complete_runs(read_runs(runs), dataset, simulated)
    counts = confusion_counts(chosen)
    save(draw_confusion(counts, dataset, simulated), png, pdf)
    write_csv(counts, csv, simulated)


def confusion_counts(runs: pd.DataFrame) -> pd.DataFrame:
    """Epochs by scored and predicted stage, per network and protocol.

    Returns
    -------
    columns title, channels, recipe, protocol, seeds, scored, predicted, epochs, percent_of_scored (empty for a stage
    that was never scored); epochs are summed over folds and seeds
    """
    rows = []
    for keys, group in runs.groupby([*NETWORK, "protocol"], sort=False):
        pooled = confusions(group).sum(axis=0)
        of_scored = pooled.sum(axis=1)
        for i, scored in enumerate(STAGES):
            for j, predicted in enumerate(STAGES):
                percent = 100 * pooled[i, j] / of_scored[i] if of_scored[i] else np.nan
                rows.append((*keys, group.seed.nunique(), scored, predicted, pooled[i, j], percent))
    columns = [*NETWORK, "protocol", "seeds", "scored", "predicted", "epochs", "percent_of_scored"]
    return pd.DataFrame(rows, columns=columns)


def draw_confusion(counts: pd.DataFrame, dataset: str, simulated: bool) -> Figure:
    """Draw the matrices of `confusion_counts`: percent of the scored stage; of a few networks, epochs below."""
    networks = dict(list(counts.groupby(NETWORK, sort=False)))
    of_networks = [
        [(network, protocol, cells) for protocol, cells in of_network.groupby("protocol", sort=False)]
        for network, of_network in networks.items()
    ]
    rows, small = rows_of_panels(of_networks, MOST_PANELS_PER_ROW), is_small(of_networks)
    n_columns, one_protocol = max(map(len, rows)), counts.protocol.nunique() == 1
    width = PAGE_WIDTH if n_columns > 1 else COLUMN_WIDTH
    panel = min(width / n_columns, COLUMN_WIDTH)
    shown = "percent of the scored stage" + ("" if small else ", number of epochs below")
    text = heading(dataset, simulated, f"Confusion matrices: {shown}")
    with rc_context(STYLE):
        figure = new_figure(width, 0.4 + len(rows) * (panel + (0.25 if small else 0.45)), text)
        grid = figure.add_gridspec(len(rows), n_columns)
        for i, panels in enumerate(rows):
            for j, (network, protocol, cells) in enumerate(panels):
                axes = figure.add_subplot(grid[i, j])
                seeds = cells.seeds.iloc[0]
                epochs = f"{cells.epochs.sum():,} epochs" + (f" over {seeds} seeds" if seeds > 1 else "")
                if small:
                    axes.set_title(small_title(network, None if one_protocol else protocol), fontsize=6)
                    axes.tick_params(labelsize=6)
                else:
                    axes.set_title(f"{network_name(network, len(networks))}\nprotocol {protocol}\n{epochs}")
                _draw_matrix(axes, cells, small)
                axes.set_ylabel("scored stage" if j == 0 else None)
                axes.set_xlabel("predicted stage" if not small or i == len(rows) - 1 else None)
    return figure


def _draw_matrix(axes: Axes, cells: pd.DataFrame, small: bool) -> None:
    shape = (len(STAGES), len(STAGES))
    percent, epochs = (cells[name].to_numpy().reshape(shape) for name in ("percent_of_scored", "epochs"))
    axes.imshow(np.nan_to_num(percent), cmap="Blues", vmin=0, vmax=100)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks(range(len(STAGES)), STAGES)
    axes.set_yticks(range(len(STAGES)), STAGES)
    for i, j in np.ndindex(shape):
        colour = "white" if percent[i, j] > 55 else "black"
        shown = "–" if np.isnan(percent[i, j]) else f"{percent[i, j]:.{0 if small else 1}f}"
        if small:
            axes.text(j, i, shown, ha="center", va="center", color=colour, fontsize=6)
            continue
        axes.text(j, i - 0.02, shown, ha="center", va="bottom", color=colour, fontsize=7)
        axes.text(j, i + 0.08, f"{epochs[i, j]:,}", ha="center", va="top", color=colour, fontsize=5)


# ------------------------------------------------------------------------------------------------------------ one night


MOST_PROTOCOLS_OF_A_NIGHT = 3


def night_figure(runs: str, dataset: str, simulated: bool, png: str, pdf: str, csv: str) -> None:
    """One night of the first network and seed: its scored hypnogram, and what the runs of each protocol predict.

    Of more than three protocols the first and the last are shown.
    """
    chosen = complete_runs(read_runs(runs), dataset, simulated)
    night = shown_protocols(representative_night(chosen))
    save(draw_night(night, dataset, simulated), png, pdf)
    write_csv(night, csv, simulated)


def representative_night(runs: pd.DataFrame) -> pd.DataFrame:
    """The night whose accuracy under the first protocol is the median, among those tested under every protocol.

    Returns
    -------
    the rows of its predictions, with columns title, protocol and run_key before them and hours since the start of the
    PSG (the start of each epoch) after them; only the first network and seed of the runs table
    """
    first = runs.iloc[0]
    chosen = runs[(runs[[*NETWORK, "seed"]] == first[[*NETWORK, "seed"]]).all(axis=1)]
    tables = []
    for _, run in chosen.iterrows():
        table = read_predictions(run)
        tables.append(table.assign(title=run.title, protocol=run.protocol, run_key=run.run_key))
    every = pd.concat(tables, ignore_index=True)
    tested_under = every.groupby("recording").protocol.nunique()
    candidates = tested_under.index[tested_under == chosen.protocol.nunique()]
    if candidates.empty:
        raise BenchmarkError(
            f"no recording is tested under every protocol ({', '.join(chosen.protocol.unique())}); run more folds"
        )
    under_first = every[(every.protocol == first.protocol) & every.recording.isin(candidates)]
    by_accuracy = (under_first.stage == under_first.predicted).groupby(under_first.recording).mean()
    # Ties are broken by the recording's name, so that the same runs always show the same night.
    ranked = by_accuracy.sort_index().sort_values(kind="stable")
    recording = ranked.index[(len(ranked) - 1) // 2]
    night = every[every.recording == recording]
    ends = [column for column in night if column not in ("title", "protocol", "run_key")]
    return night[["title", "protocol", "run_key", *ends]].assign(hours=night.onset_s / 3600)


def shown_protocols(night: pd.DataFrame) -> pd.DataFrame:
    """The rows of the protocols that fit on a page: all of them, or the first and the last."""
    protocols = list(night.protocol.unique())
    shown = protocols if len(protocols) <= MOST_PROTOCOLS_OF_A_NIGHT else [protocols[0], protocols[-1]]
    return night[night.protocol.isin(shown)]


def draw_night(night: pd.DataFrame, dataset: str, simulated: bool) -> Figure:
    """Draw `representative_night`: hypnograms, and under each predicted one its hypnodensity.

    A hypnodensity is the stack of the predicted probabilities of the stages.
    """
    protocols = dict(list(night.groupby("protocol", sort=False)))
    recording, model = night.recording.iloc[0], night.title.iloc[0]
    text = heading(dataset, simulated, f"One night, recording {recording}, scored and as predicted by {model}")
    with rc_context(STYLE):
        n_rows = 1 + 2 * len(protocols)
        figure = new_figure(PAGE_WIDTH, 0.9 + 0.95 * n_rows, text)
        rows = figure.subplots(n_rows, sharex=True)
        # The windows of two protocols may keep different epochs of the night: all that were scored are shown.
        scored = night.drop_duplicates("epoch").sort_values("epoch")
        _draw_hypnogram(rows[0], scored, "stage")
        rows[0].set_title("scored", loc="left")
        for i, (protocol, table) in enumerate(protocols.items()):
            hypnogram, probabilities = rows[1 + 2 * i], rows[2 + 2 * i]
            table = table.sort_values("epoch")
            accuracy = 100 * (table.stage == table.predicted).mean()
            _draw_hypnogram(hypnogram, table, "predicted")
            hypnogram.set_title(
                f"predicted, protocol {protocol}: {accuracy:.1f} % of {len(table):,} epochs", loc="left"
            )
            _draw_probabilities(probabilities, table)
        rows[-1].set_xlabel("time since the start of the PSG (hours)")
        rows[-1].set_xlim(night.hours.min(), night.hours.max() + EPOCH_SECONDS / 3600)
        handles = [Patch(color=STAGE_COLOURS[stage], label=stage) for stage in HYPNOGRAM_ORDER]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _unbroken(table: pd.DataFrame) -> list[pd.DataFrame]:
    """The parts of a night between dropped epochs, so that nothing is drawn across a gap."""
    return [part for _, part in table.groupby((table.epoch.diff() != 1).cumsum())]


def _edges(part: pd.DataFrame) -> np.ndarray:
    """Starts of the epochs and the end of the last, in hours; shape (n_epochs + 1,)."""
    return np.append(part.hours, part.hours.iloc[-1] + EPOCH_SECONDS / 3600)


def _draw_hypnogram(axes: Axes, table: pd.DataFrame, column: str) -> None:
    height = np.array([len(STAGES) - 1 - HYPNOGRAM_ORDER.index(stage) for stage in STAGES])
    rem = STAGES.index("REM")
    for part in _unbroken(table):
        stage, edges = part[column].to_numpy(), _edges(part)
        axes.stairs(height[stage], edges, baseline=None, color="black", linewidth=0.6)
        # REM is drawn thick, as is usual, because its level says nothing about the depth of sleep.
        rem_only = np.where(stage == rem, height[rem], np.nan)
        axes.stairs(rem_only, edges, baseline=None, color=STAGE_COLOURS["REM"], linewidth=2.5)
    axes.set_yticks(range(len(STAGES)), HYPNOGRAM_ORDER[::-1])
    axes.set_ylim(-0.4, len(STAGES) - 0.6)
    axes.set_ylabel("stage")


def _draw_probabilities(axes: Axes, table: pd.DataFrame) -> None:
    order = [f"p_{stage}" for stage in reversed(HYPNOGRAM_ORDER)]
    colours = [STAGE_COLOURS[stage] for stage in reversed(HYPNOGRAM_ORDER)]
    for part in _unbroken(table):
        shares = part[order].to_numpy().T
        held = np.concatenate([shares, shares[:, -1:]], axis=1)
        axes.stackplot(_edges(part), held, colors=colours, step="post", linewidth=0)
    axes.set_ylim(0, 1)
    axes.set_ylabel("hypnodensity\n(probability)")


# ------------------------------------------------------------------------------------------------------ training curves


def training_curves_figure(runs: str, dataset: str, simulated: bool, png: str, pdf: str, csv: str) -> None:
    """Loss and accuracy against the training epoch of every fold, with the selected training epochs marked."""
    chosen = complete_runs(read_runs(runs), dataset, simulated)
    curves = training_curves(chosen)
    save(draw_training_curves(curves, dataset, simulated), png, pdf)
    write_csv(curves, csv, simulated)


def training_curves(runs: pd.DataFrame) -> pd.DataFrame:
    """The histories of all runs.

    Returns
    -------
    title, channels, recipe, protocol, seed, fold; selection, the rule of the protocol; selected, whether that rule
    selects this training epoch; selected_by, all rules that do, separated by spaces (empty: none); then the columns of
    history.csv
    """
    histories, selected_by = [], []
    for _, run in runs.iterrows():
        record, history = _read_run(run, "history.csv")
        histories.append(history)
        selected_by.append(history.training_epoch.map(rules_by_epoch(run, record)).fillna(""))
    names = runs[[*NETWORK, "protocol", "seed", "fold", "selection", "selected_epoch"]]
    table = names.iloc[np.repeat(np.arange(len(runs)), list(map(len, histories)))].reset_index(drop=True)
    history = pd.concat(histories, ignore_index=True)
    table["selected"] = history.training_epoch == table.pop("selected_epoch")
    table["selected_by"] = pd.concat(selected_by, ignore_index=True)
    return pd.concat([table, history], axis=1)


def rules_by_epoch(run: pd.Series, record: dict) -> dict[int, str]:
    """Training epoch -> the selection rules, in the order of SELECTIONS, that take it, according to training.json.

    `record` is that file's content. BenchmarkError if it says another training epoch for the run's own rule than the
    runs table.
    """
    selected = {rule: entry["training_epoch"] for rule, entry in record["runs"].items()}
    if selected.get(run.selection) != run.selected_epoch:
        raise BenchmarkError(
            f"{Path(run.directory) / 'training.json'}: {run.selection} selects training epoch "
            f"{selected.get(run.selection)}, but {run.selected_epoch} in the runs table (run {run.run_key}); make the "
            "runs table again"
        )
    rules: dict[int, list[str]] = {}
    for rule in sorted(selected, key=SELECTIONS.index):
        rules.setdefault(selected[rule], []).append(rule)
    return {epoch: " ".join(names) for epoch, names in rules.items()}


MOST_CURVES_PER_ROW = 4


def draw_training_curves(curves: pd.DataFrame, dataset: str, simulated: bool) -> Figure:
    """Draw `training_curves`: a column per protocol; loss, accuracy and the selected training epochs per network.

    More than four protocols are drawn in several rows. A network has those that it was run under. Of many
    networks, the vertical lines alone tell the selected training epochs.
    """
    networks = dict(list(curves.groupby(NETWORK, sort=False)))
    of_networks = [[(name, protocol) for protocol in mine.protocol.unique()] for name, mine in networks.items()]
    rows, small = rows_of_panels(of_networks, MOST_CURVES_PER_ROW), is_small(of_networks)
    per_row, one_protocol = max(map(len, rows)), curves.protocol.nunique() == 1
    width, most_ticks = PAGE_WIDTH if per_row > 1 else COLUMN_WIDTH, "auto" if per_row < 3 else 5
    rules = [rule for rule in SELECTIONS if curves.selected_by.str.split().map(lambda names, r=rule: r in names).any()]
    n_axes, ratios = (2, [1, 1]) if small else (3, [3, 3, 0.5 + 0.3 * len(rules)])
    inches = 1.9 if small else 3.6 if len(rows) < 3 else 2.7
    text = heading(dataset, simulated, "Training: each fold (thin) and the mean of the folds (thick)")
    with rc_context(STYLE):
        figure = new_figure(width, 1.1 + inches * len(rows), text)
        grid = figure.subplots(
            n_axes * len(rows), per_row, sharey="row", squeeze=False, height_ratios=ratios * len(rows)
        )
        for i, panels in enumerate(rows):
            of_row = grid[n_axes * i : n_axes * (i + 1)]
            for column, (network, protocol) in zip(of_row.T, panels, strict=False):
                mine = networks[network][networks[network].protocol == protocol]
                _draw_curves(column[0], mine, "loss", 1)
                _draw_curves(column[1], mine, "accuracy", 100)
                if small:
                    column[0].set_title(small_title(network, None if one_protocol else protocol), fontsize=6)
                else:
                    _draw_selected(column[2], mine, rules)
                    name = network[0] if len(networks) == 1 else small_title(network, None)
                    column[0].set_title(f"{name}\nprotocol {protocol}")
                if not small or i == len(rows) - 1:
                    column[-1].set_xlabel("training epoch")
                # Not by sharex: with every change of one axes matplotlib looks at all that share an axis with it.
                for axes in column:
                    axes.set_xlim(0.5, curves.training_epoch.max() + 0.5)
                    axes.xaxis.set_major_locator(MaxNLocator(most_ticks, integer=True, min_n_ticks=1))
                    axes.tick_params(labelbottom=axes is column[-1])
            for axes, label in zip(of_row[:, 0], ("loss (nats)", "accuracy (%)", "selected"), strict=False):
                axes.set_ylabel(label)
            for axes in of_row[:, len(panels) :].ravel():
                axes.set_visible(False)
        drawn = [part for part in PART_COLOURS if curves[f"{part}_loss"].notna().any()]
        handles = [Line2D([], [], color=PART_COLOURS[part], linewidth=1.8, label=part) for part in drawn]
        handles.append(Line2D([], [], label="selected by the protocol's rule (darker: in more folds)", **SELECTED))
        if not small:
            handles.append(Line2D([], [], linestyle="none", marker="o", mfc="white", **OTHER, label="by another"))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles) if per_row > 1 else 2)
    return figure


OTHER = {"color": VERMILION, "markersize": 4, "markeredgewidth": 0.8}
SELECTED = {"color": "black", "linewidth": 1, "alpha": 0.2}


def _draw_curves(axes: Axes, curves: pd.DataFrame, quantity: str, scale: float) -> None:
    # A curve of a few training epochs is hardly a line: its points are shown.
    marker = "." if curves.training_epoch.max() <= 12 else None
    for part, colour in PART_COLOURS.items():
        values = curves.assign(value=scale * curves[f"{part}_{quantity}"])
        if values.value.isna().all():
            continue
        folds = values.pivot(index="training_epoch", columns=["seed", "fold"], values="value")
        axes.plot(folds.index, folds.to_numpy(), color=colour, linewidth=0.5, alpha=0.3)
        mean = values.groupby("training_epoch").value.mean()
        axes.plot(mean.index, mean, color=colour, linewidth=1.8, marker=marker, zorder=3)
    # One collection: with shared axes, each call of axvline looks at the limits of every other axes.
    ends = [[(epoch, 0), (epoch, 1)] for epoch in curves.training_epoch[curves.selected]]
    lines = LineCollection(ends, transform=axes.get_xaxis_transform(), zorder=0, **SELECTED)
    axes.add_collection(lines, autolim=False)


def _draw_selected(axes: Axes, curves: pd.DataFrame, rules: list[str]) -> None:
    """A line per rule, with a circle at the training epochs it selects, the larger the more folds it does so in."""
    own = curves.selection.iloc[0]
    n_folds = curves.groupby(["seed", "fold"]).ngroups
    for i, rule in enumerate(rules):
        taken = curves.selected_by.str.split().map(lambda names, r=rule: r in names)
        folds = curves.training_epoch[taken].value_counts().sort_index()
        face, edge = ("black", "black") if rule == own else ("white", OTHER["color"])
        sizes = 6 + 24 * folds / n_folds
        # The last training epoch lies at the edge of the axes: its circle would be cut.
        axes.scatter(
            folds.index, [i] * len(folds), s=sizes, facecolor=face, edgecolor=edge, linewidth=0.8, clip_on=False
        )
    axes.set_yticks(range(len(rules)), [rule.replace("_", " ") for rule in rules])
    axes.set_ylim(len(rules) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#E8E8E8", linewidth=0.4)
    axes.set_axisbelow(True)

"""Figure: loss and accuracy by training epoch for every fold, with the selected epochs marked."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sleepbench.core.files import read_json
from sleepbench.protocols.selection import SELECTION_RULES
from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures.panels import are_small, panels_by_contender, rows_of_panels, short_lines
from sleepbench.reporting.figures.style import (
    COLUMN_WIDTH,
    PAGE_WIDTH,
    PART_COLOURS,
    VERMILION,
    heading,
    key_below,
    new_figure,
)
from sleepbench.reporting.reading import CONTENDER, read_runs, run_file

MOST_PER_ROW = 4
OTHER = {"color": VERMILION, "markersize": 4, "markeredgewidth": 0.8}
SELECTED = {"color": "black", "linewidth": 1, "alpha": 0.2}


def curves(inputs: Inputs) -> pd.DataFrame:
    """The histories of all runs.

    Returns
    -------
    title, input, recipe, protocol, seed, fold; selection, the rule of the protocol; selected, whether that rule
    selects this training epoch; selected_by, all rules that do, separated by spaces (empty: none); then the columns of
    history.csv
    """
    tables = []
    for _, run in read_runs(inputs).iterrows():
        history = pd.read_csv(run_file(run, "history.csv"))
        entries = read_json(run_file(run, "training.json"))["runs"]
        selected = {rule: entry["training_epoch"] for rule, entry in entries.items()}
        taken_by = [" ".join(r for r in SELECTION_RULES if selected.get(r) == n) for n in history.training_epoch]
        named = {name: run[name] for name in (*CONTENDER, "protocol", "seed", "fold", "selection")}
        marks = {"selected": history.training_epoch == selected[run.selection], "selected_by": taken_by}
        tables.append(pd.concat([pd.DataFrame({**named, **marks}), history], axis=1))
    return pd.concat(tables, ignore_index=True)


def draw(curves: pd.DataFrame, inputs: Inputs) -> Figure:
    """A column per protocol; loss, accuracy and the selected training epochs per contender.

    More than four protocols are drawn in several rows. A contender has those that it was run under. Of many
    contenders, the vertical lines alone tell the selected training epochs.
    """
    panels = panels_by_contender(curves)
    rows, small, one_protocol = rows_of_panels(panels, MOST_PER_ROW), are_small(panels), curves.protocol.nunique() == 1
    per_row = max(map(len, rows))
    rules = [rule for rule in SELECTION_RULES if _taken(curves, rule).any()]
    n_axes, ratios = (2, [1, 1]) if small else (3, [3, 3, 0.5 + 0.3 * len(rules)])
    inches = 1.9 if small else 3.6 if len(rows) < 3 else 2.7
    text = "Training: each fold (thin) and the mean of the folds (thick)"
    figure = new_figure(PAGE_WIDTH if per_row > 1 else COLUMN_WIDTH, 1.1 + inches * len(rows), heading(inputs, text))
    grid = figure.subplots(n_axes * len(rows), per_row, sharey="row", squeeze=False, height_ratios=ratios * len(rows))
    for i, row in enumerate(rows):
        grid_row = grid[n_axes * i : n_axes * (i + 1)]
        for column, (contender, protocol, mine) in zip(grid_row.T, row, strict=False):
            _draw_curves(column[0], mine, "loss", 1)
            _draw_curves(column[1], mine, "accuracy", 100)
            if small:
                column[0].set_title(short_lines(contender, None if one_protocol else protocol), fontsize=6)
            else:
                _draw_selected(column[2], mine, rules)
                name = contender[0] if len(panels) == 1 else short_lines(contender, None)
                column[0].set_title(f"{name}\nprotocol {protocol}")
            if not small or i == len(rows) - 1:
                column[-1].set_xlabel("training epoch")
            # Not by sharex: with every change of one axes matplotlib looks at all that share an axis with it.
            for axes in column:
                axes.set_xlim(0.5, curves.training_epoch.max() + 0.5)
                axes.xaxis.set_major_locator(MaxNLocator("auto" if per_row < 3 else 5, integer=True, min_n_ticks=1))
                axes.tick_params(labelbottom=axes is column[-1])
        for axes, label in zip(grid_row[:, 0], ("loss (nats)", "accuracy (%)", "selected"), strict=False):
            axes.set_ylabel(label)
        for axes in grid_row[:, len(row) :].ravel():
            axes.set_visible(False)
    drawn = [part for part in PART_COLOURS if curves[f"{part}_loss"].notna().any()]
    handles = [Line2D([], [], color=PART_COLOURS[part], linewidth=1.8, label=part) for part in drawn]
    handles.append(Line2D([], [], label="selected by the protocol's rule (darker: in more folds)", **SELECTED))
    if not small:
        handles.append(Line2D([], [], linestyle="none", marker="o", mfc="white", **OTHER, label="by another"))
    key_below(figure, handles, None if per_row > 1 else 2)
    return figure


def _taken(curves: pd.DataFrame, rule: str) -> pd.Series:
    """Which training epochs a rule selects."""
    return curves.selected_by.str.split().map(lambda rules: rule in rules)


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
    """A line per selection rule, with a circle at each training epoch it selects.

    The more folds it selects that epoch in, the larger the circle.
    """
    n_folds = curves.groupby(["seed", "fold"]).ngroups
    for i, rule in enumerate(rules):
        folds = curves.training_epoch[_taken(curves, rule)].value_counts().sort_index()
        face, edge = ("black", "black") if rule == curves.selection.iloc[0] else ("white", OTHER["color"])
        sizes = 6 + 24 * folds / n_folds
        # The last training epoch lies at the edge of the axes: its circle would be cut.
        axes.scatter(folds.index, [i] * len(folds), sizes, facecolor=face, edgecolor=edge, linewidth=0.8, clip_on=False)
    axes.set_yticks(range(len(rules)), [rule.replace("_", " ") for rule in rules])
    axes.set_ylim(len(rules) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#E8E8E8", linewidth=0.4)
    axes.set_axisbelow(True)


ARTEFACT = FigureArtefact(
    name="training_curves",
    place=80,
    heading="Training curves",
    caption=(
        "Loss and accuracy after each training epoch, by protocol. Thin lines are folds, thick lines their mean. The "
        "panel below shows the training epoch that every selection rule takes in each fold: filled for the rule of the "
        "protocol, open for the others. Where a protocol holds out no validation subjects it has no validation curve."
    ),
    inputs=("runs", "trainings"),
    build=curves,
    draw=draw,
)

"""Figure: loss and accuracy by training epoch for every fold, with the selected epochs marked."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from sleepbench.core.files import read_json
from sleepbench.protocols.selection import SELECTION_RULES
from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures.panels import SMALL_PANELS_PER_ROW, Panel, by_contender, names_of, short_lines
from sleepbench.reporting.figures.style import (
    COLUMN_WIDTH,
    GREY,
    PAGE_WIDTH,
    PART_COLOURS,
    SMALL,
    heading,
    key_below,
    new_figure,
)
from sleepbench.reporting.reading import CONTENDER, read_runs, run_file

QUANTITIES = {"loss": "loss (nats)", "accuracy": "accuracy (%)"}
SCALE = {"loss": 1, "accuracy": 100}
RULE_COLOURS = {
    "best_test": PART_COLOURS["test"],
    "best_validation": PART_COLOURS["validation"],
}
"""Of selection rules: the colour of the part by which they select; others select by none and are grey."""
SELECTED = {"linewidth": 1, "alpha": 0.2}
MARKS = ("selection", "selected", "selected_by")
"""Columns of what is read of a training, and not of the training itself."""


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
    """One grid of small panels: loss over accuracy, per contender and set of trainings.

    All have the same axes. Protocols whose trainings gave the same curves, such as those that differ in their selection
    rule alone, share a panel. Models that are fitted in one go have no curve and no panel, unless all are such models.
    """
    panels, names = _panels(curves), names_of(curves)
    n_rows = math.ceil(len(panels) / SMALL_PANELS_PER_ROW)
    n_columns = math.ceil(len(panels) / n_rows)
    drawn = pd.concat([panel.rows for panel in panels])
    width = PAGE_WIDTH if n_columns > 2 else COLUMN_WIDTH
    text = "Training: each fold (thin) and the mean of the folds (thick)"
    figure = new_figure(width, 1.3 + 2.2 * n_rows, heading(inputs, text))
    grid = figure.subplots(2 * n_rows, n_columns, squeeze=False)
    bounds = {quantity: _bounds(drawn, quantity) for quantity in QUANTITIES}
    last_epoch = drawn.training_epoch.max()
    for i, panel in enumerate(panels):
        row, column = divmod(i, n_columns)
        lowest = i + n_columns >= len(panels)
        pair = grid[2 * row : 2 * row + 2, column]
        pair[0].set_title(short_lines(names[panel.contender], panel.protocol), fontsize=SMALL)
        for axes, (quantity, label) in zip(pair, QUANTITIES.items(), strict=True):
            _draw_curves(axes, panel.rows, quantity)
            # Not by shared axes: with every change of one, matplotlib looks at all that share an axis with it.
            axes.set(ylim=bounds[quantity], xlim=(0.5, last_epoch + 0.5), ylabel=label if column == 0 else None)
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
            axes.yaxis.set_major_locator(MaxNLocator(4))
            axes.tick_params(labelleft=column == 0, labelbottom=lowest and quantity == "accuracy", labelsize=SMALL)
        pair[1].set_xlabel("training epoch" if lowest else None)
    for axes in grid[-2:, (len(panels) - 1) % n_columns + 1 :].ravel():
        axes.set_visible(False)
    key_below(figure, _key(drawn), 3 if width == PAGE_WIDTH else 2)
    return figure


def _panels(curves: pd.DataFrame) -> list[Panel]:
    """A panel for each contender and set of trainings; `protocol` has a line for each that reads them."""
    several = curves.groupby([*CONTENDER, "protocol"]).training_epoch.transform("max") > 1
    panels: dict[tuple, Panel] = {}
    for contender, mine in by_contender(curves[several] if several.any() else curves).items():
        for protocol, rows in mine.groupby("protocol", sort=False):
            histories = rows.drop(columns=["protocol", *MARKS]).to_csv(index=False)
            before = panels.get((contender, histories))
            if before:
                rows = pd.concat([before.rows, rows])
                protocol = f"{before.protocol},\n{protocol}"
            panels[contender, histories] = Panel(contender, protocol, rows)
    return list(panels.values())


def _bounds(curves: pd.DataFrame, quantity: str) -> tuple[float, float]:
    """Ends of the axis of a quantity, which all panels share."""
    values = SCALE[quantity] * curves[[f"{part}_{quantity}" for part in PART_COLOURS]].to_numpy(float)
    low, high = np.nanmin(values), np.nanmax(values)
    margin = 0.04 * (high - low) or 1
    return low - margin, high + margin


def _draw_curves(axes: Axes, curves: pd.DataFrame, quantity: str) -> None:
    """The curves of a set of trainings, and the training epochs that each protocol's rule selects."""
    # A curve of a few training epochs is hardly a line: its points are shown.
    marker = "." if curves.training_epoch.max() <= 12 else None
    once = curves[curves.protocol == curves.protocol.iloc[0]]
    for part, colour in PART_COLOURS.items():
        values = once.assign(value=SCALE[quantity] * once[f"{part}_{quantity}"])
        if values.value.isna().all():
            continue
        folds = values.pivot(index="training_epoch", columns=["seed", "fold"], values="value")
        axes.plot(folds.index, folds.to_numpy(), color=colour, linewidth=0.4, alpha=0.25)
        mean = values.groupby("training_epoch").value.mean()
        axes.plot(mean.index, mean, color=colour, linewidth=1.5, marker=marker, markersize=4, zorder=3)
    # One collection of a rule: with shared axes, each call of axvline looks at the limits of every other axes.
    for rule, mine in curves[curves.selected].groupby("selection", sort=False):
        ends = [[(epoch, 0), (epoch, 1)] for epoch in mine.training_epoch]
        look = {"color": RULE_COLOURS.get(rule, GREY), **SELECTED}
        axes.add_collection(LineCollection(ends, transform=axes.get_xaxis_transform(), zorder=0, **look), autolim=False)


def _key(curves: pd.DataFrame) -> list[Line2D]:
    parts = [part for part in PART_COLOURS if curves[f"{part}_loss"].notna().any()]
    rules = [rule for rule in SELECTION_RULES if rule in set(curves.selection)]
    look = {**SELECTED, "alpha": 0.7}
    return [
        *(Line2D([], [], color=PART_COLOURS[part], linewidth=1.5, label=part) for part in parts),
        *(
            Line2D([], [], color=RULE_COLOURS.get(rule, GREY), label=f"selected: {rule.replace('_', ' ')}", **look)
            for rule in rules
        ),
    ]


ARTEFACT = FigureArtefact(
    name="training_curves",
    place=80,
    heading="Training curves",
    caption=(
        "Loss and accuracy after each training epoch, all panels on the same axes. Thin lines are folds, thick lines "
        "their mean; a vertical line is the training epoch that the protocol's rule selects in a fold, darker where it "
        "does so in more folds. Protocols whose trainings gave the same curves share a panel. Where a "
        "protocol holds out no validation subjects it has no validation curve. Models that are fitted in one go have "
        "no curve. The CSV says which training epoch every rule would select."
    ),
    inputs=("runs", "trainings"),
    build=curves,
    draw=draw,
)

"""Figure: confusion matrices pooled over folds and seeds, one panel per contender and protocol."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sleepbench.core.stages import STAGES
from sleepbench.evaluation.metrics import confusion_from_items
from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures.panels import (
    are_small,
    contender_name,
    panels_by_contender,
    rows_of_panels,
    short_lines,
)
from sleepbench.reporting.figures.style import COLUMN_WIDTH, PAGE_WIDTH, heading, new_figure
from sleepbench.reporting.reading import CONTENDER, read_runs

MOST_PER_ROW = 3
SHAPE = (len(STAGES), len(STAGES))


def counts(inputs: Inputs) -> pd.DataFrame:
    """Epochs by scored and predicted stage, per contender and protocol.

    Returns
    -------
    columns title, input, recipe, protocol, seeds, scored, predicted, epochs, percent_of_scored (empty for a stage
    that was never scored); epochs are summed over folds and seeds
    """
    rows = []
    for keys, runs in read_runs(inputs).groupby([*CONTENDER, "protocol"], sort=False):
        pooled = confusion_from_items(runs.filter(regex="^confusion_").sum())
        for i, j in np.ndindex(SHAPE):
            scored = pooled[i].sum()
            percent = 100 * pooled[i, j] / scored if scored else np.nan
            rows.append((*keys, runs.seed.nunique(), STAGES[i], STAGES[j], pooled[i, j], percent))
    columns = [*CONTENDER, "protocol", "seeds", "scored", "predicted", "epochs", "percent_of_scored"]
    return pd.DataFrame(rows, columns=columns)


def draw(counts: pd.DataFrame, inputs: Inputs) -> Figure:
    """The matrices of `counts`: percent of the scored stage; of a few contenders, epochs below."""
    panels = panels_by_contender(counts)
    rows, small, one_protocol = rows_of_panels(panels, MOST_PER_ROW), are_small(panels), counts.protocol.nunique() == 1
    n_columns = max(map(len, rows))
    width = PAGE_WIDTH if n_columns > 1 else COLUMN_WIDTH
    inches = min(width / n_columns, COLUMN_WIDTH) + (0.25 if small else 0.45)
    shown = "percent of the scored stage" + ("" if small else ", number of epochs below")
    figure = new_figure(width, 0.4 + len(rows) * inches, heading(inputs, f"Confusion matrices: {shown}"))
    grid = figure.add_gridspec(len(rows), n_columns)
    for i, row in enumerate(rows):
        for j, (contender, protocol, cells) in enumerate(row):
            axes = figure.add_subplot(grid[i, j])
            if small:
                axes.set_title(short_lines(contender, None if one_protocol else protocol), fontsize=6)
                axes.tick_params(labelsize=6)
            else:
                seeds = cells.seeds.iloc[0]
                epochs = f"{cells.epochs.sum():,} epochs" + (f" over {seeds} seeds" if seeds > 1 else "")
                axes.set_title(f"{contender_name(contender, len(panels))}\nprotocol {protocol}\n{epochs}")
            _draw_matrix(axes, cells, small)
            axes.set_ylabel("scored stage" if j == 0 else None)
            axes.set_xlabel("predicted stage" if not small or i == len(rows) - 1 else None)
    return figure


def _draw_matrix(axes: Axes, cells: pd.DataFrame, small: bool) -> None:
    percent, epochs = (cells[name].to_numpy().reshape(SHAPE) for name in ("percent_of_scored", "epochs"))
    axes.imshow(np.nan_to_num(percent), cmap="Blues", vmin=0, vmax=100)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks(range(len(STAGES)), STAGES)
    axes.set_yticks(range(len(STAGES)), STAGES)
    for i, j in np.ndindex(SHAPE):
        look = {"ha": "center", "color": "white" if percent[i, j] > 55 else "black"}
        shown = "–" if np.isnan(percent[i, j]) else f"{percent[i, j]:.{0 if small else 1}f}"
        if small:
            axes.text(j, i, shown, va="center", fontsize=6, **look)
        else:
            axes.text(j, i - 0.02, shown, va="bottom", fontsize=7, **look)
            axes.text(j, i + 0.08, f"{epochs[i, j]:,}", va="top", fontsize=5, **look)


ARTEFACT = FigureArtefact(
    name="confusion",
    place=30,
    heading="Confusion matrices",
    caption=(
        "Epochs by scored (rows) and predicted stage (columns), pooled over folds and seeds, one panel per contender "
        "and protocol. The large number is the percentage of the scored stage's epochs, the small one the number of "
        "30-s epochs."
    ),
    inputs=("runs",),
    build=counts,
    draw=draw,
)

"""Figure: confusion matrices pooled over folds and seeds, of at most six contenders and protocols."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sleepbench.core.stages import STAGES
from sleepbench.evaluation.metrics import confusion_from_items
from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures.panels import Panel, names_of, panels_by_contender, short_lines
from sleepbench.reporting.figures.style import COLUMN_WIDTH, PAGE_WIDTH, SMALL, heading, new_figure
from sleepbench.reporting.reading import CONTENDER, final_protocol, read_runs

MOST_PANELS = 6
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


def chosen(counts: pd.DataFrame) -> list[Panel]:
    """The panels that are drawn: those that matter most, in the order of the numbers.

    The first contender under the final protocol and under the first; then the others under the final protocol, the
    most accurate first; then whatever is left.
    """
    panels = [panel for mine in panels_by_contender(counts) for panel in mine]
    protocols = list(counts.protocol.unique())
    final, first = final_protocol(protocols), panels[0].contender

    def importance(panel: Panel) -> tuple[int, float]:
        if panel.contender == first and panel.protocol in (final, protocols[0]):
            return 0, 0
        right = panel.rows.epochs[panel.rows.scored == panel.rows.predicted].sum()
        return 1 if panel.protocol == final else 2, -right / max(panel.rows.epochs.sum(), 1)

    best = sorted(range(len(panels)), key=lambda i: importance(panels[i]))[:MOST_PANELS]
    return [panels[i] for i in sorted(best)]


def draw(counts: pd.DataFrame, inputs: Inputs) -> Figure:
    """The matrices of the chosen panels: percent of the scored stage, and epochs below."""
    panels, names = chosen(counts), names_of(counts)
    n_rows = math.ceil(len(panels) / MOST_PER_ROW)
    n_columns = math.ceil(len(panels) / n_rows)
    width = PAGE_WIDTH if n_columns > 1 else COLUMN_WIDTH
    n_all = counts.groupby([*CONTENDER, "protocol"]).ngroups
    of_all = f", {len(panels)} of {n_all}" if len(panels) < n_all else ""
    text = f"Confusion matrices{of_all}: percent of the scored stage, number of epochs below"
    figure = new_figure(width, 0.5 + n_rows * (min(width / n_columns, COLUMN_WIDTH) + 0.5), heading(inputs, text))
    grid = figure.add_gridspec(n_rows, n_columns)
    for i, (contender, protocol, cells) in enumerate(panels):
        axes = figure.add_subplot(grid[divmod(i, n_columns)])
        seeds = cells.seeds.iloc[0]
        epochs = f"{cells.epochs.sum():,} epochs" + (f" over {seeds} seeds" if seeds > 1 else "")
        axes.set_title(f"{short_lines(names[contender], width=32)}\n{protocol}\n{epochs}")
        _draw_matrix(axes, cells)
        axes.set_ylabel("scored stage" if i % n_columns == 0 else None)
        axes.set_xlabel("predicted stage")
    return figure


def _draw_matrix(axes: Axes, cells: pd.DataFrame) -> None:
    percent, epochs = (cells[name].to_numpy().reshape(SHAPE) for name in ("percent_of_scored", "epochs"))
    places = np.arange(len(STAGES) + 1) - 0.5
    axes.pcolormesh(places, places, np.nan_to_num(percent), cmap="Blues", vmin=0, vmax=100)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks(range(len(STAGES)), STAGES)
    axes.set_yticks(range(len(STAGES)), STAGES)
    for i, j in np.ndindex(SHAPE):
        look = {"ha": "center", "color": "white" if percent[i, j] > 55 else "black"}
        shown = "–" if np.isnan(percent[i, j]) else f"{percent[i, j]:.1f}"
        axes.text(j, i - 0.02, shown, va="bottom", fontsize=8, **look)
        axes.text(j, i + 0.08, f"{epochs[i, j]:,}", va="top", fontsize=SMALL, **look)


ARTEFACT = FigureArtefact(
    name="confusion",
    place=30,
    heading="Confusion matrices",
    caption=(
        "Epochs by scored (rows) and predicted stage (columns), pooled over folds and seeds. The large number is the "
        "percentage of the scored stage's epochs, the small one the number of epochs. At most six panels are drawn: "
        "the first contender under the final protocol and the first, then the most accurate others under the final "
        "one; the CSV has the matrix of every contender and protocol."
    ),
    inputs=("runs",),
    build=counts,
    draw=draw,
)

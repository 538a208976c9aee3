"""Figure: one night of the first contender and seed, as scored and as predicted.

The predictions are those of the runs of each protocol.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import EPOCH_SECONDS, STAGES
from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures.style import BLACK, PAGE_WIDTH, STAGE_COLOURS, heading, key_below, new_figure
from sleepbench.reporting.reading import CONTENDER, final_protocol, predictions_path, read_runs

ORDER = ("W", "REM", "N1", "N2", "N3")
"""Stages from the top of a hypnogram to its bottom."""
TOP = len(ORDER) - 1
"""Where wake lies in a hypnogram."""
MOST_PROTOCOLS = 3


def representative_night(inputs: Inputs) -> pd.DataFrame:
    """The night of median accuracy under the first protocol, among those tested under every protocol.

    Returns
    -------
    the rows of its predictions, with columns title, protocol and run_key before them and hours since the start of the
    PSG (the start of each epoch) after them; only the first contender and seed of the runs table, and of more than
    three protocols the first and the final one
    """
    runs = read_runs(inputs)
    first = runs.iloc[0]
    runs = runs[(runs[[*CONTENDER, "seed"]] == first[[*CONTENDER, "seed"]]).all(axis=1)]
    tables = []
    for _, run in runs.iterrows():
        table = pd.read_parquet(predictions_path(run))
        for place, name in enumerate(("title", "protocol", "run_key")):
            table.insert(place, name, run[name])
        tables.append(table)
    every = pd.concat(tables, ignore_index=True)
    protocols = list(runs.protocol.unique())
    tested_under = every.groupby("recording").protocol.nunique()
    candidates = tested_under.index[tested_under == len(protocols)]
    if candidates.empty:
        raise BenchmarkError(f"no recording is tested under every protocol ({', '.join(protocols)}); run more folds")
    under_first = every[(every.protocol == first.protocol) & every.recording.isin(candidates)]
    by_accuracy = (under_first.stage == under_first.predicted).groupby(under_first.recording).mean()
    # Ties are broken by the recording's name, so that the same runs always show the same night.
    ranked = by_accuracy.sort_index().sort_values(kind="stable")
    night = every[every.recording == ranked.index[(len(ranked) - 1) // 2]].assign(hours=every.onset_s / 3600)
    shown = protocols if len(protocols) <= MOST_PROTOCOLS else [protocols[0], final_protocol(protocols)]
    return night[night.protocol.isin(shown)]


def draw(night: pd.DataFrame, inputs: Inputs) -> Figure:
    """Hypnograms, and under each predicted one where it disagrees with the scored one, and its hypnodensity.

    The hypnodensity is the stack of the stages' predicted probabilities.
    """
    protocols = dict(list(night.sort_values("epoch", kind="stable").groupby("protocol", sort=False)))
    first = night.iloc[0]
    text = f"One night, recording {first.recording}, scored and as predicted by {first.title}"
    n_protocols = night.protocol.nunique()
    figure = new_figure(PAGE_WIDTH, 2.1 + 2.2 * n_protocols, heading(inputs, text))
    rows = figure.subplots(1 + 3 * n_protocols, sharex=True, height_ratios=[1, *[1, 0.12, 0.8] * n_protocols])
    # Protocols that trim otherwise keep different epochs of the night: all that were scored are shown.
    draw_hypnogram(rows[0], night.drop_duplicates("epoch").sort_values("epoch"), "stage")
    rows[0].set_title("scored", loc="left")
    for i, protocol in enumerate(night.protocol.unique()):
        table = protocols[protocol]
        hypnogram, strip, density = rows[1 + 3 * i : 4 + 3 * i]
        accuracy = 100 * (table.stage == table.predicted).mean()
        draw_hypnogram(hypnogram, table, "predicted")
        hypnogram.set_title(f"predicted, {protocol}: {accuracy:.1f} % of {len(table):,} epochs", loc="left")
        draw_disagreement(strip, table)
        draw_probabilities(density, table)
    rows[-1].set_xlabel("time since the start of the PSG (hours)")
    rows[-1].set_xlim(night.hours.min(), night.hours.max() + EPOCH_SECONDS / 3600)
    handles = [Patch(color=STAGE_COLOURS[stage], label=stage) for stage in ORDER]
    key_below(figure, [*handles, Patch(color=BLACK, label="predicted otherwise than scored")])
    return figure


def unbroken(table: pd.DataFrame) -> list[pd.DataFrame]:
    """The parts of a night between dropped epochs, so that nothing is drawn across a gap."""
    return [part for _, part in table.groupby((table.epoch.diff() != 1).cumsum())]


def edges(part: pd.DataFrame) -> np.ndarray:
    """Starts of the epochs and the end of the last, in hours; shape (n_epochs + 1,)."""
    return np.append(part.hours, part.hours.iloc[-1] + EPOCH_SECONDS / 3600)


def draw_hypnogram(axes: Axes, table: pd.DataFrame, column: str) -> None:
    """The stages in a column, epochs in ascending order.

    Sleep is filled from wake down, with the colour of its stage.
    """
    height = np.array([TOP - ORDER.index(stage) for stage in STAGES])
    rem = STAGES.index("REM")
    for part in unbroken(table):
        stage = part[column].to_numpy()
        for name in ORDER[1:]:
            here = np.where(stage == STAGES.index(name), height[stage], np.nan)
            axes.stairs(here, edges(part), baseline=TOP, fill=True, color=STAGE_COLOURS[name], alpha=0.5, linewidth=0)
        axes.stairs(height[stage], edges(part), baseline=None, color="black", linewidth=0.6)
        # REM is drawn thick, as is usual, because its level says nothing about the depth of sleep.
        rem_only = np.where(stage == rem, height[rem], np.nan)
        axes.stairs(rem_only, edges(part), baseline=None, color=STAGE_COLOURS["REM"], linewidth=2.5)
    axes.set_yticks(range(len(STAGES)), ORDER[::-1])
    axes.set_ylim(-0.4, len(STAGES) - 0.6)
    axes.set_ylabel("stage")


def draw_disagreement(axes: Axes, table: pd.DataFrame) -> None:
    """A strip that is black where the predicted stage is another than the scored one."""
    for part in unbroken(table):
        otherwise = (part.stage != part.predicted).to_numpy(float)
        axes.stairs(otherwise, edges(part), fill=True, color=BLACK, linewidth=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def draw_probabilities(axes: Axes, table: pd.DataFrame) -> None:
    """The hypnodensity: the stages' probabilities, stacked."""
    stages = ORDER[::-1]
    for part in unbroken(table):
        shares = part[[f"p_{stage}" for stage in stages]].to_numpy().T
        held = np.concatenate([shares, shares[:, -1:]], axis=1)
        axes.stackplot(edges(part), held, colors=[STAGE_COLOURS[stage] for stage in stages], step="post", linewidth=0)
    axes.set_ylim(0, 1)
    axes.set_ylabel("hypno-\ndensity")


ARTEFACT = FigureArtefact(
    name="night",
    place=70,
    heading="One night",
    caption=(
        "The scored hypnogram, then for each protocol the predicted one, a strip that is black where it is another "
        "than scored, and the hypnodensity: the predicted probabilities of the stages. N1 to REM are shaded, REM is "
        "drawn thick. Of more than three protocols the first and the final one are shown. Of the recordings tested "
        "under every protocol, it is the one whose accuracy under the first protocol is the median, for the first "
        "contender and seed. Epochs that the protocol's trimming drops or that have no stage are left blank."
    ),
    inputs=("runs", "trainings"),
    build=representative_night,
    draw=draw,
)

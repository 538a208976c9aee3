"""Figure: the hypnograms of all recordings, one row a night, by clock time."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sleepbench.core.stages import EPOCH_SECONDS, STAGES
from sleepbench.preparation.measure import NIGHT_STAGES
from sleepbench.preparation.quality import read_qualities, stages_of
from sleepbench.reporting.artefacts import FigureArtefact, Inputs
from sleepbench.reporting.figures.style import PAGE_WIDTH, STAGE_COLOURS, heading, new_figure
from sleepbench.signals.trimming import AROUND_SLEEP, select_trimming

NOT_SCORED = "#A8A8A8"
STRENGTH = {"standard": 1.0, "authors": 0.55, "none": 0.22}
"""How much of its colour a stage has, by the narrowest trimming that keeps it; the rest is white."""

MOST_NIGHTS_PER_PANEL = 80
ROWS_PER_NIGHT = 6
"""Rows of pixels a night has in the image; the last of them is white, to tell nights apart."""


def bouts(inputs: Inputs) -> pd.DataFrame:
    """Bouts: epochs in a row of one stage that one trimming keeps.

    Returns
    -------
    recording; clock_h: when the bout begins, in hours since noon before the recording's first midnight, empty where a
    database does not tell; epoch: its first epoch; epochs: its length; stage: a name of NIGHT_STAGES; trimming:
    "standard", "authors" (not standard) or "none"
    """
    return pd.concat(map(_bouts, read_qualities(inputs.paths("quality"), inputs.label.simulated)), ignore_index=True)


def _bouts(quality: dict) -> pd.DataFrame:
    stages = stages_of(quality)
    trimming = np.full(len(stages), "none", dtype="U8")
    for rule in reversed(AROUND_SLEEP):
        trimming[select_trimming(stages, rule)] = rule
    changes = np.flatnonzero((stages[1:] != stages[:-1]) | (trimming[1:] != trimming[:-1])) + 1
    first = np.r_[0, changes]
    return pd.DataFrame(
        {
            "recording": quality["recording"],
            "clock_h": hours_since_noon(quality["start"]) + first * EPOCH_SECONDS / 3600,
            "epoch": first,
            "epochs": np.diff(np.r_[first, len(stages)]),
            "stage": np.array(NIGHT_STAGES)[stages[first]],
            "trimming": trimming[first],
        }
    )


def hours_since_noon(start: str | None) -> float:
    """Hours from the last noon to a date and time: starts before and after midnight lie side by side.

    NaN without a date and time.
    """
    if start is None:
        return np.nan
    time = datetime.fromisoformat(start)
    noon = time.replace(hour=12, minute=0, second=0, microsecond=0)
    return ((time - noon) % timedelta(days=1)).total_seconds() / 3600


def draw(bouts: pd.DataFrame, inputs: Inputs) -> Figure:
    """A row of pixels a night; many nights are drawn in two columns.

    Nights of no known clock time have a star and begin where the earliest other one does; are they all, hours count.
    """
    nights, no_clock = list(dict.fromkeys(bouts.recording)), bouts.clock_h.isna().all()
    n_panels = 2 if len(nights) > MOST_NIGHTS_PER_PANEL else 1
    per_panel = -(-len(nights) // n_panels)
    inches = float(np.interp(per_panel, [11, 39, 77], [0.17, 0.13, 0.1]))
    counted = f"{len(nights)} recording{'' if len(nights) == 1 else 's'}"
    text = f"Hypnograms of {counted} {'from their start' if no_clock else 'by clock time'}"
    figure = new_figure(PAGE_WIDTH, 1.5 + inches * per_panel, heading(inputs, text))
    # Bouts are placed on a grid of 30 s, to which a recording's start is rounded: a fraction of a pixel.
    known = (bouts.clock_h * 3600 / EPOCH_SECONDS).round()
    column = known.fillna(bouts.epoch + (0 if no_clock else known.min())).astype(int)
    bounds = int(column.min()), int((column + bouts.epochs).max())
    for panel, axes in enumerate(figure.subplots(1, n_panels, sharex=True, squeeze=False)[0]):
        mine = nights[panel * per_panel : (panel + 1) * per_panel]
        _draw_nights(axes, bouts.assign(column=column), mine, per_panel, bounds)
    handles = [Patch(color=STAGE_COLOURS[stage], label=stage) for stage in STAGES]
    handles.append(Patch(color=NOT_SCORED, label="movement, unknown"))
    # Shown on W, because it is hardly ever another stage that a trimming leaves out.
    for trimming, label in (("authors", "only in the authors' trimming"), ("none", "in no trimming")):
        handles.append(Patch(color=_paled(STAGE_COLOURS["W"], trimming), label=label))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles) // 2)
    return figure


def _paled(colour: str, trimming: str) -> np.ndarray:
    return 1 - STRENGTH[trimming] * (1 - np.array(to_rgb(colour)))


def _draw_nights(axes: Axes, bouts: pd.DataFrame, nights: list[str], n_rows: int, bounds: tuple[int, int]) -> None:
    """Draw nights from the top of axes that have room for `n_rows`.

    `bounds` are the first column and the one after the last, in columns of 30 s since noon.
    """
    first, end = bounds
    image = np.ones((n_rows, ROWS_PER_NIGHT, end - first, 3))
    row_of = {night: row for row, night in enumerate(nights)}
    for bout in bouts[bouts.recording.isin(row_of)].itertuples():
        colour = _paled(STAGE_COLOURS[bout.stage], bout.trimming) if bout.stage in STAGES else to_rgb(NOT_SCORED)
        start = bout.column - first
        image[row_of[bout.recording], :-1, start : start + bout.epochs] = colour
    axes.imshow(
        image.reshape(n_rows * ROWS_PER_NIGHT, end - first, 3),
        extent=(first, end, n_rows, 0),
        aspect="auto",
        interpolation="none",  # colours are stages: a mixture of two would be read as a third
    )
    unknown = set(bouts.recording[bouts.clock_h.isna()])
    no_clock = bouts.clock_h.isna().all()
    names = [f"{night}*" if night in unknown and not no_clock else night for night in nights]
    axes.set_yticks(np.arange(len(nights)) + 0.42, names, fontsize=6.5 if n_rows <= 45 else 5)
    axes.tick_params(axis="y", length=0, pad=1.5)
    axes.spines["left"].set_visible(False)
    hours = (end - first) * EPOCH_SECONDS / 3600
    step = next((step for step in (1 / 4, 1 / 2, 1, 2, 3) if hours / step <= 9), 4) * 3600 / EPOCH_SECONDS
    ticks = np.arange(np.ceil(first / step) * step, end + 1, step)
    axes.set_xticks(ticks, [f"{tick * EPOCH_SECONDS / 3600:g}" if no_clock else _clock(tick) for tick in ticks])
    not_known = " (*: not known)" if unknown else ""
    axes.set_xlabel("hours from the start" if no_clock else f"clock time{not_known}")
    axes.set_ylabel("recording" if axes.get_subplotspec().is_first_col() else None)


def _clock(column: float) -> str:
    minutes = round(column * EPOCH_SECONDS / 60) + 12 * 60
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"


ARTEFACT = FigureArtefact(
    name="hypnograms",
    place=90,
    heading="All hypnograms",
    caption=(
        "The scored hypnogram of every recording, one row a night, by the time of day. Epochs that the authors' "
        "trimming alone keeps are pale, those that no trimming keeps palest; movement and unscored epochs are grey."
    ),
    inputs=("quality",),
    build=bouts,
    draw=draw,
)

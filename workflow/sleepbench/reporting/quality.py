"""What the recordings hold, before anything is learned from them: all their hypnograms."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sleepbench.core.stages import EPOCH_SECONDS, STAGES
from sleepbench.reporting.figures.of_runs import heading, write_csv
from sleepbench.reporting.figures.style import PAGE_WIDTH, STAGE_COLOURS, STYLE, new_figure, save
from sleepbench.signals.hypnogram import WINDOWS, select_window
from sleepbench.signals.quality import NIGHT_STAGES, read_qualities, stages_of

# -------------------------------------------------------------------------------------------------------------- figure

GREY = "#A8A8A8"
STRENGTH = {"standard": 1.0, "released": 0.55, "none": 0.22}
"""How much of its colour a stage has, by the narrowest window that keeps it; the rest is white."""

MOST_NIGHTS_PER_PANEL = 80
ROWS_PER_NIGHT = 6
"""Rows of pixels a night has in the image; the last of them is white, to tell nights apart."""


def hypnogram_wall(qualities: list[str], dataset: str, simulated: bool, png: str, pdf: str, csv: str) -> None:
    """The hypnograms of all recordings of a dataset, one row a night, by clock time."""
    runs = hypnogram_runs(read_qualities(qualities, simulated))
    save(draw_hypnogram_wall(runs, dataset, simulated), png, pdf)
    write_csv(runs, csv, simulated)


def hypnogram_runs(qualities: Sequence[dict]) -> pd.DataFrame:
    """Runs of epochs of one stage and one window.

    Returns
    -------
    recording; clock_h: when the run begins, in hours since noon before the recording's first midnight; epoch: its first
    epoch; epochs: its length; stage: a name of NIGHT_STAGES; window: "standard", "released" (not standard) or "none"
    """
    return pd.concat([_runs(quality) for quality in qualities], ignore_index=True)


def _runs(quality: dict) -> pd.DataFrame:
    stages = stages_of(quality)
    windows = np.full(len(stages), "none", dtype="U8")
    for rule in reversed(WINDOWS):
        windows[select_window(stages, rule)] = rule
    changes = np.flatnonzero((stages[1:] != stages[:-1]) | (windows[1:] != windows[:-1])) + 1
    first = np.r_[0, changes]
    return pd.DataFrame(
        {
            "recording": quality["recording"],
            "clock_h": hours_since_noon(datetime.fromisoformat(quality["start"])) + first * EPOCH_SECONDS / 3600,
            "epoch": first,
            "epochs": np.diff(np.r_[first, len(stages)]),
            "stage": np.array(NIGHT_STAGES)[stages[first]],
            "window": windows[first],
        }
    )


def hours_since_noon(start: datetime) -> float:
    """Hours from the last noon, 0 to 24: evenings that begin before and after midnight lie side by side."""
    noon = start.replace(hour=12, minute=0, second=0, microsecond=0)
    return ((start - noon) % timedelta(days=1)).total_seconds() / 3600


def draw_hypnogram_wall(runs: pd.DataFrame, dataset: str, simulated: bool) -> Figure:
    """Draw `hypnogram_runs`; many nights are drawn in two columns."""
    nights = list(dict.fromkeys(runs.recording))
    n_panels = 2 if len(nights) > MOST_NIGHTS_PER_PANEL else 1
    per_panel = -(-len(nights) // n_panels)
    inches = float(np.interp(per_panel, [11, 39, 77], [0.17, 0.13, 0.1]))
    one = "" if len(nights) == 1 else "s"
    text = heading(dataset, simulated, f"Hypnograms of {len(nights)} recording{one} by clock time")
    with rc_context(STYLE):
        figure = new_figure(PAGE_WIDTH, 1.35 + inches * per_panel, text)
        # Runs are placed on a grid of 30 s, to which a recording's start is rounded: a fraction of a pixel.
        column = (runs.clock_h * 3600 / EPOCH_SECONDS).round().astype(int)
        bounds = int(column.min()), int((column + runs.epochs).max())
        panels = figure.subplots(1, n_panels, sharex=True, squeeze=False)[0]
        for panel, axes in enumerate(panels):
            mine = nights[panel * per_panel : (panel + 1) * per_panel]
            _draw_nights(axes, runs.assign(column=column), mine, per_panel, bounds)
        handles = [Patch(color=STAGE_COLOURS[stage], label=stage) for stage in STAGES]
        handles.append(Patch(color=GREY, label="movement, unknown"))
        # Shown on W, because it is hardly ever another stage that a window leaves out.
        for window, label in (("released", "only in the released window"), ("none", "in no window")):
            handles.append(Patch(color=_paled(STAGE_COLOURS["W"], window), label=label))
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2)
    return figure


def _paled(colour: str, window: str) -> np.ndarray:
    return 1 - STRENGTH[window] * (1 - np.array(to_rgb(colour)))


def _draw_nights(axes: Axes, runs: pd.DataFrame, nights: list[str], n_rows: int, bounds: tuple[int, int]) -> None:
    """Draw nights from the top of axes that have room for `n_rows`; `bounds` are columns of 30 s since noon."""
    first, end = bounds
    image = np.ones((n_rows, ROWS_PER_NIGHT, end - first, 3))
    row_of = {night: row for row, night in enumerate(nights)}
    for run in runs[runs.recording.isin(row_of)].itertuples():
        colour = _paled(STAGE_COLOURS[run.stage], run.window) if run.stage in STAGES else to_rgb(GREY)
        start = run.column - first
        image[row_of[run.recording], :-1, start : start + run.epochs] = colour
    axes.imshow(
        image.reshape(n_rows * ROWS_PER_NIGHT, end - first, 3),
        extent=(first, end, n_rows, 0),
        aspect="auto",
        interpolation="none",  # colours are stages: a mixture of two would be read as a third
    )
    axes.set_yticks(np.arange(len(nights)) + 0.42, nights, fontsize=6 if n_rows <= 45 else 5)
    axes.tick_params(axis="y", length=0, pad=1.5)
    axes.spines["left"].set_visible(False)
    hours = (end - first) * EPOCH_SECONDS / 3600
    step = next((step for step in (1 / 4, 1 / 2, 1, 2, 3) if hours / step <= 9), 4) * 3600 / EPOCH_SECONDS
    ticks = np.arange(np.ceil(first / step) * step, end + 1, step)
    axes.set_xticks(ticks, [_clock(tick) for tick in ticks])
    axes.set_xlabel("clock time")
    axes.set_ylabel("recording" if axes.get_subplotspec().is_first_col() else None)


def _clock(column: float) -> str:
    minutes = round(column * EPOCH_SECONDS / 60) + 12 * 60
    return f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"

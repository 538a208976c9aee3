"""What the recordings hold, before anything is learned from them: a table of their quality, all their hypnograms."""

import re
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
from sleepbench.reporting.tables.main import Column, Layout, number, text, title, write_table
from sleepbench.signals.hypnogram import WINDOWS, select_window
from sleepbench.signals.quality import NIGHT_STAGES, gather_qualities, read_qualities, stages_of

# --------------------------------------------------------------------------------------------------------------- table


def channels_of(table: pd.DataFrame) -> list[str]:
    """The channels that a table of `gather_qualities` has columns of."""
    return [column.removeprefix("flat ") for column in table if column.startswith("flat ")]


def worst(row: pd.Series, measure: str, channels: list[str]) -> str:
    """The largest share among the channels in percent, and whose it is where it is not next to nothing."""
    shares = {channel: 100 * row[f"{measure} {channel}"] for channel in channels}
    channel = max(shares, key=shares.get)
    if shares[channel] < 0.05:
        return "<0.1" if shares[channel] else "0"
    return f"{shares[channel]:.1f} {channel.removeprefix('EEG ').split()[0]}"


def span(row: pd.Series, channels: list[str]) -> str:
    """Width of the range between the 1 % and 99 % quantiles, of every channel in order."""
    widths = (row[f"q99_uv {channel}"] - row[f"q01_uv {channel}"] for channel in channels)
    return " / ".join(f"{width:.1f}" if width < 10 else f"{width:,.0f}" for width in widths)


def quality_note(row: pd.Series) -> str:
    """What was handled in a recording; numbers are left out, so that like recordings share a note."""
    sentences = "" if pd.isna(row["sentences"]) else row["sentences"].replace(row["recording"], "SC4…")
    sentences = re.sub(r"SC4…E\w-(PSG|Hypnogram)\.edf", r"the \1", sentences)
    return re.sub(r"\b\d+(\.\d+)?(?= (epochs|s of|s after|%))", "n", sentences) or "nothing had to be handled"


def quality_layout(channels: list[str]) -> Layout:
    """The rendered columns; the CSV has many more."""
    return Layout(
        columns=(
            Column("Night", text("recording"), "left"),
            Column("Age", lambda row: f"{row['age']} {row['sex']}"),
            Column("Hours", number("hours", ".1f")),
            *(Column(stage, number(stage, "d")) for stage in STAGES),
            Column("Mov.", number("movement", "d")),
            Column("?", number("unknown", "d")),
            Column("Std.", number("standard", "d")),
            Column("Rel.", number("released", "d")),
            Column("Flat, %", lambda row: worst(row, "flat", channels)),
            Column("Clipped, %", lambda row: worst(row, "clipped", channels)),
            Column("Span, µV", lambda row: span(row, channels)),
            Column("Handled", text("handled")),
        ),
        note=quality_note,
    )


def quality_caption(table: pd.DataFrame, channels: list[str]) -> str:
    """Totals, and what the columns mean."""
    return (
        f"{len(table)} recordings of {table.subject.nunique()} subjects, {table.hours.sum():,.0f} hours, "
        f"{table.epochs.sum():,} epochs, {table.standard.sum():,} of them in the standard and "
        f"{table.released.sum():,} in the released window. Age in years and sex. W to REM, Mov. (movement) and ? "
        "(unknown): epochs of the whole night. Std., Rel.: epochs in the standard and released windows. Flat: share of "
        "30-s epochs in which a channel never changes; clipped: share of its samples at the recorder's limits; both of "
        f"the worst channel. Span: from the 1 % to the 99 % quantile of {', '.join(channels)}. Handled: oddities of "
        "the files that were handled, named in the notes, where n stands for a number: the CSV has them all, and each "
        "channel's shares and quantiles."
    )


def quality_table(
    qualities: list[str], recordings_table: str, dataset: str, simulated: bool, csv: str, markdown: str, latex: str
) -> None:
    """The table of the quality of every recording, as CSV, Markdown and LaTeX."""
    table = gather_qualities(qualities, recordings_table, simulated)
    channels = channels_of(table)
    caption = quality_caption(table, channels)
    heading = title(dataset, simulated, "The recordings")
    write_table(table, csv, quality_layout(channels), dataset, heading, caption, markdown, latex)


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

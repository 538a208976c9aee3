"""One page of a scored night for a clinician: self-contained HTML that opens offline and prints."""

from pathlib import Path

import numpy as np

from sleepbench.core.files import write_text
from sleepbench.core.stages import STAGES
from sleepbench.deployment.description import NOT_A_DEVICE
from sleepbench.deployment.scorer import Scoring
from sleepbench.reporting.page.template import data_uri, fill
from sleepbench.reporting.rendering import shown

MEASURES = {
    "time_in_bed": ("Recording scored", "min", "all of the recording: lights out and lights on are not known"),
    "total_sleep_time": ("Total sleep time", "min", "N1, N2, N3 and REM"),
    "sleep_onset_latency": ("Sleep onset latency", "min", "from the beginning of the recording to the first sleep"),
    "rem_latency_from_sleep_onset": ("REM latency", "min", "from the first sleep to the first REM"),
    "wake_after_sleep_onset": ("Wake after sleep onset", "min", "between the first and the last sleep"),
    "sleep_efficiency": ("Sleep efficiency", "%", "total sleep time, of the whole recording"),
    "sleep_maintenance_efficiency": ("Sleep maintenance", "%", "total sleep time, from the first to the last sleep"),
}
"""What the page shows: name, unit, and what it is of; `measures.csv` has more."""


def write_page(night: Scoring, png: Path, output: Path) -> None:
    """Write the page, the figure within it."""
    told, recording = night.description, night.recording
    page = fill(
        Path(__file__).parent / "night.html.jinja",
        title=told.titled(f"Sleep stages of {recording.path.name}"),
        name=recording.path.name,
        warning=told.warning,
        made_up=recording.simulated,
        not_a_device=NOT_A_DEVICE,
        start=recording.start,
        length=_hours(recording.seconds),
        n_epochs=recording.n_epochs,
        smoothed=night.smoothed,
        figure=data_uri(png.read_bytes(), "image/png"),
        measures=[(*MEASURES[name], shown(night.measures[name], ".1f")) for name in MEASURES],
        stages=_stages(night),
        agreement=_agreement(night),
        channels=_channels(night),
        handled=night.handled,
        told=told,
        accuracy=shown(None if (a := told.metrics.accuracy) is None else 100 * a, ".1f"),
        kappa=shown(told.metrics.cohen_kappa, ".2f"),
        by_stage=[(name, shown(one.f1, ".2f")) for name, one in told.metrics.by_stage.items()],
    )
    write_text(output, page)


def _hours(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes else f"{seconds:g} s"


def _stages(night: Scoring) -> list[tuple[str, str, str]]:
    """Stage, minutes, and percent of total sleep time."""
    return [
        (name, f"{night.measures[f'minutes_{name}']:.1f}", shown(night.measures.get(f"percent_{name}"), ".1f"))
        for name in STAGES
    ]


def _agreement(night: Scoring) -> dict | None:
    """The comparison with a scorer's hypnogram, if there is one with a scored epoch."""
    if night.confusion is None or not night.confusion.sum():
        return None
    return {
        "accuracy": f"{100 * night.agreement['accuracy']:.1f}",
        "kappa": shown(night.agreement["cohen_kappa"], ".2f"),
        "n": f"{int(night.confusion.sum()):,}",
        "rows": [(name, [f"{n:,}" for n in row]) for name, row in zip(STAGES, night.confusion, strict=True)],
        "stages": STAGES,
    }


def _channels(night: Scoring) -> list[tuple[str, ...]]:
    """Label, role, rate, share of flat epochs, share of clipped samples, and the middle half of its amplitudes."""
    rows = []
    for role, label in night.recording.channels.items():
        one = night.recording.measured[role]
        quantiles = one["quantiles_uv"]
        clipped = np.nan if one["clipped_share"] is None else 100 * one["clipped_share"]
        amplitude = f"{quantiles['25']:.1f} to {quantiles['75']:.1f}"
        rate = f"{one['sampling_rate_hz']:g}"
        rows.append((label, role, rate, f"{100 * one['flat_share']:.1f}", shown(clipped, ".1f"), amplitude))
    return rows

"""The first 5 s of each epoch, simulated beside real: a part of the report, rows of its CSV and a figure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import EXCERPTS, DataLabel
from sleepbench.reporting.figures.style import BLACK, ORANGE, PAGE_WIDTH, new_figure, styled
from sleepbench.reporting.realism.excerpts import (
    AMPLITUDE_QUANTILES,
    BANDS,
    FREQUENCIES_HZ,
    Excerpts,
    ShortWindowStatistics,
    measure_excerpts,
)
from sleepbench.reporting.realism.stager import StagerScores
from sleepbench.reporting.realism.transfer import SEEDS, Transfer, held_to, measure_transfer
from sleepbench.reporting.rendering import DASH, pipe_table

DEVIATION_QUANTILES = (10, 25, 50, 75, 90)
SIDE_COLOURS = {"simulated": ORANGE, "real excerpts": BLACK}
QUANTITIES = {
    "deviation_uv": ("standard deviation, all samples (uV)", [""]),
    "deviation_quantiles_uv": ("standard deviation of an excerpt (uV)", [f"{q} %" for q in DEVIATION_QUANTILES]),
    "amplitude_uv": ("absolute amplitude (uV)", [f"{q} %" for q in AMPLITUDE_QUANTILES]),
    "kurtosis": ("excess kurtosis of an excerpt", [""]),
    "mean": ("mean log band power", list(BANDS)),
    "between_sd": ("log band power: SD between recordings", list(BANDS)),
    "within_sd": ("log band power: SD within recordings", list(BANDS)),
    "lag1": ("log band power: correlation with the next epoch", list(BANDS)),
    "fluctuation": ("band power: variation from second to second", list(BANDS)),
    "alpha": ("share of excerpts with an alpha peak", [""]),
    "spindles": ("sigma-band events per minute", [""]),
    "slow_waves": ("slow waves of 75 uV or more per minute", [""]),
    "slow_wave_uv": ("their median height (uV)", [""]),
}
"""What is printed: field of ShortWindowStatistics, its name, and the names of its columns."""


@dataclass(frozen=True)
class ExcerptComparison:
    """Both sides of the excerpts.

    real : None where the real excerpts are not at hand; `missing` then says what to do
    transfer : of a network from side to side; empty for a cohort that is not held to it
    """

    simulated: ShortWindowStatistics
    real: ShortWindowStatistics | None
    missing: str
    transfer: list[Transfer]


def compare_excerpts(
    simulated: Sequence[Excerpts], real: Sequence[Excerpts] | None, missing: str, is_held: bool
) -> ExcerptComparison:
    """Measure both sides; a cohort that is held to its bounds trains networks too."""
    return ExcerptComparison(
        measure_excerpts(simulated),
        measure_excerpts(real) if real else None,
        missing,
        measure_transfer(simulated, real) if real and is_held else [],
    )


def excerpt_checks(compared: ExcerptComparison) -> list[tuple[str, str, str, str, bool]]:
    """Quantity, simulated, real, allowed and whether it is kept, of each bound on the networks."""
    if not compared.transfer:
        return []
    real = next(np.mean(t.accuracy) for t in compared.transfer if t.trained == t.tested == "real")
    signs = ("at least", "at most")
    return [
        (f"{quantity} (excerpts of 5 s)", f"{found:.3f}", f"{real:.3f}", f"{sign} {bound:g}", kept)
        for sign, (quantity, found, bound, kept) in zip(signs, held_to(compared.transfer), strict=True)
    ]


def excerpt_rows(compared: ExcerptComparison, columns: Sequence[str]) -> pd.DataFrame:
    """Rows for the report's CSV: quantity, stage, of, simulated, real."""
    rows = []
    for field, (name, parts) in QUANTITIES.items():
        sides = [_values(side, field, len(parts)) for side in (compared.simulated, compared.real)]
        for code, stage in enumerate(STAGES):
            for i, part in enumerate(parts):
                rows.append((f"excerpts of 5 s: {name}", stage, part, *(side[code, i] for side in sides)))
    for one in compared.transfer:
        for seed, accuracy in zip(SEEDS, one.accuracy, strict=True):
            to = [accuracy, np.nan] if one.tested == "simulated" else [np.nan, accuracy]
            rows.append((f"excerpts of 5 s: accuracy, trained on {one.trained}", "", f"seed {seed}", *to))
    return pd.DataFrame(rows, columns=list(columns))


def _values(side: ShortWindowStatistics | None, field: str, n: int) -> np.ndarray:
    if side is None:
        return np.full((len(STAGES), n), np.nan)
    return np.asarray(getattr(side, field), dtype=float).reshape(len(STAGES), n)


def excerpt_sections(compared: ExcerptComparison) -> list[str]:
    """The part of the report: tables of both sides, then the networks."""
    parts = ["## The first 5 s of each epoch, Fpz-Cz: simulated beside real excerpts"]
    if compared.real is None:
        return [*parts, compared.missing]
    parts.append(
        f"Real: all 39 recordings of Sleep-EDF-20 ({EXCERPTS}). Each cell is: simulated (real excerpts); the "
        "simulation is calibrated to the means, spreads and mixtures of the band powers, and to the mean spectra."
    )
    for field, (name, columns) in QUANTITIES.items():
        sides = [_values(side, field, len(columns)) for side in (compared.simulated, compared.real)]
        rows = [
            [stage, *(_both(a, b) for a, b in zip(*(side[code] for side in sides), strict=True))]
            for code, stage in enumerate(STAGES)
        ]
        parts += [
            f"### {name[0].upper()}{name[1:]}",
            _pipe(["stage", *(column or "value" for column in columns)], rows),
        ]
    if compared.transfer:
        rows = [
            [
                f"{one.trained} to {one.tested}",
                *(f"{accuracy:.3f}" for accuracy in one.accuracy),
                f"{np.mean(one.macro_f1):.3f}",
                f"{np.mean(one.cohen_kappa):.3f}",
                *(f"{recall:.2f}" for recall in one.recall.mean(axis=0)),
            ]
            for one in compared.transfer
        ]
        names = ["trained to tested", *(f"accuracy, seed {seed}" for seed in SEEDS), "macro-F1", "kappa"]
        parts += [
            "### From simulated to real: ULW-SleepNet on excerpts of one channel, 8 training epochs",
            _pipe([*names, *(f"recall {stage}" for stage in STAGES)], rows),
            "Where both sides are one, subjects 00, 05, 10 and 15 are held out; else all of one side are trained on "
            "and all of the other tested. No result on Sleep-EDF.",
        ]
    return parts


def stager_section(scores: StagerScores | None) -> list[str]:
    """What YASA says of simulated nights, or how to have it said."""
    parts = ["## A trained stager on simulated nights"]
    if scores is None:
        return [*parts, "YASA is not installed; `pip install yasa==0.8.1` adds it (no requirement of the benchmark)."]
    row = [f"{len(scores.accuracy)}", f"{scores.pooled:.3f}", f"{min(scores.accuracy.values()):.3f}"]
    row += [f"{max(scores.accuracy.values()):.3f}", *(f"{recall:.2f}" for recall in scores.recall)]
    names = ["nights", "accuracy of YASA", "least", "most", *(f"recall {stage}" for stage in STAGES)]
    return [*parts, _pipe(names, [row])]


def _both(simulated: float, real: float) -> str:
    shown = [
        DASH if np.isnan(value) else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"
        for value in (simulated, real)
    ]
    return f"{shown[0]} ({shown[1]})"


def _pipe(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return pipe_table(names, rows, [n > 0 for n in range(len(names))])


def draw_excerpts(compared: ExcerptComparison, label: DataLabel) -> Figure:
    """Per stage the mean spectrum to 50 Hz, the amplitudes, and the spread of band powers; a real side where it is."""
    text = f"First 5 s of each epoch, Fpz-Cz: {label.dataset} ({label.warning}) beside real excerpts\n({EXCERPTS})"
    sides = {"simulated": compared.simulated, "real excerpts": compared.real}
    sides = {name: side for name, side in sides.items() if side is not None}
    with styled():
        figure = new_figure(PAGE_WIDTH, 5.6, text)
        grid = figure.subplots(3, len(STAGES), sharey="row")
        for code, stage in enumerate(STAGES):
            for name, side in sides.items():
                _draw_stage(grid[:, code], side, code, name)
            grid[0, code].set_title(stage)
            grid[0, code].set_xlabel("frequency (Hz)")
            grid[1, code].set_xlabel("samples below (%)")
            grid[2, code].set_xticks(range(len(BANDS)), BANDS, rotation=60)
        grid[0, 0].set_ylabel("(a) mean ln density\n(uV²/Hz)")
        grid[1, 0].set_ylabel("(b) |amplitude| (uV)")
        grid[2, 0].set_ylabel("(c) ln band power (uV²)\nmean ± SD between")
        grid[0, 0].legend(loc="lower left", fontsize=6)
    return figure


def _draw_stage(axes: Sequence[Axes], side: ShortWindowStatistics, code: int, name: str) -> None:
    colour = SIDE_COLOURS[name]
    axes[0].plot(FREQUENCIES_HZ[1:], side.log_density[code, 1:], color=colour, linewidth=0.9, label=name)
    positions = range(len(AMPLITUDE_QUANTILES))
    axes[1].plot(positions, side.amplitude_uv[code], "o-", color=colour, markersize=2.5, linewidth=0.9)
    axes[1].set_xticks(positions, [f"{q:g}" for q in AMPLITUDE_QUANTILES], rotation=60)
    axes[1].set_yscale("log")
    shift = -0.12 if name == "simulated" else 0.12
    axes[2].errorbar(
        np.arange(len(BANDS)) + shift,
        side.mean[code],
        side.between_sd[code],
        fmt="o",
        color=colour,
        markersize=2.5,
        linewidth=0.9,
    )

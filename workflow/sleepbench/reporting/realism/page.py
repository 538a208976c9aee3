"""The comparison of a simulated cohort with the real statistics, as a report, a CSV and a figure."""

import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from sleepbench.core.files import replacing, write_text
from sleepbench.core.stages import EPOCH_SECONDS, STAGES
from sleepbench.datasets.base import DataLabel, Dataset
from sleepbench.preparation.index import read_index
from sleepbench.preparation.prepared import load_prepared
from sleepbench.reporting.figures.style import BLACK, ORANGE, PAGE_WIDTH, STAGE_COLOURS, new_figure, save, styled
from sleepbench.reporting.realism.excerpts import Excerpts
from sleepbench.reporting.realism.excerpts_page import (
    compare_excerpts,
    draw_excerpts,
    excerpt_checks,
    excerpt_rows,
    excerpt_sections,
    stager_section,
)
from sleepbench.reporting.realism.measure import (
    BANDS,
    BOUTS,
    CHANNELS,
    FEATURES,
    HELD_FROM,
    QUANTILES,
    SCORES,
    SHOWN,
    SPECTRUM_HZ,
    Check,
    CohortStatistics,
    Night,
    Realism,
    measure_realism,
)
from sleepbench.reporting.realism.stager import is_installed, stage_nights
from sleepbench.reporting.rendering import DASH, TEXT_WIDTH, pipe_table

DECILES = tuple(f"tenth {i}" for i in range(1, 11))
SIDE_COLOURS = {"simulated": ORANGE, "real": BLACK}


def realism_report(
    dataset: Dataset,
    index: str | Path,
    predictions: Sequence[str | Path],
    markdown: str | Path,
    csv: str | Path,
    png: str | Path,
    pdf: str | Path,
    excerpts_png: str | Path,
    excerpts_pdf: str | Path,
    processes: int = 2,
    real: Sequence[Excerpts] | None = None,
    missing: str = "",
) -> None:
    """Compare a simulated cohort with the real statistics; write the report, the numbers and the figures.

    index : of the dataset's prepared recordings
    predictions : the predictions.parquet files of networks trained on them, or none
    real : the real excerpts of 5 s; None where they are not at hand, and `missing` says what to do
    """
    prepared = read_index(index)
    realism = measure_realism(dataset, prepared, networks_of(predictions), processes)
    simulated = [Excerpts.of(load_prepared(files)) for files in prepared.prepared.values()]
    is_held = realism.recordings >= HELD_FROM
    compared = compare_excerpts(simulated, real, missing, is_held)
    checks = [Check(*check) for check in excerpt_checks(compared)]
    realism = replace(realism, checks=[*realism.checks, *checks])
    scores = stage_nights(dataset, prepared) if is_held and is_installed() else None
    sections = [*excerpt_sections(compared), *(stager_section(scores) if is_held else [])]
    write_text(markdown, "\n\n".join([realism_markdown(realism, dataset.label).rstrip("\n"), *sections]) + "\n")
    table = realism_table(realism)
    with replacing(csv) as temporary:
        pd.concat([table, excerpt_rows(compared, table.columns)], ignore_index=True).to_csv(temporary, index=False)
    save(draw_realism(realism, dataset.label), png, pdf)
    save(draw_excerpts(compared, dataset.label), excerpts_png, excerpts_pdf)


def networks_of(predictions: Iterable[str | Path]) -> dict[str, list[Path]]:
    """Prediction files by network, named by the folders below "trainings".

    The fold's folder is left out of the name, so that the folds of a network join.
    """
    networks: dict[str, list[Path]] = {}
    for file in map(Path, predictions):
        parts = file.parent.parts
        start = parts.index("trainings") + 1 if "trainings" in parts else 0
        kept = [part for part in parts[start:] if not re.fullmatch(r"fold-\d+", part)]
        networks.setdefault(" / ".join(kept), []).append(file)
    return networks


# ------------------------------------------------------------------------------------------------------------------ CSV


def realism_table(realism: Realism) -> pd.DataFrame:
    """Every number of both sides: columns quantity, stage, of, simulated and real.

    A cell is empty where there is no such number. `of` is the feature, the following stage, the tenth of the sleep
    period, the quantile or the score.
    """
    deviations = [f"{channel}, {quantile} %" for channel, quantile in product(CHANNELS, QUANTILES)]
    tables = [
        _long("transition probability", realism, lambda side: side.transitions, STAGES),
        _long("share", realism, lambda side: side.shares[:, None], ["standard trimming"]),
        _long("share of sleep period", realism, lambda side: side.shares_by_decile.T, DECILES),
        _long("bout length (epochs)", realism, lambda side: side.bouts, BOUTS),
        _long("mean log band power", realism, lambda side: side.mean, FEATURES),
        _long("SD between recordings of log band power", realism, lambda side: side.between_sd, FEATURES),
        _long("SD within recordings of log band power", realism, lambda side: side.within_sd, FEATURES),
        _long("lag-1 autocorrelation of log band power", realism, lambda side: side.lag1, FEATURES),
        _long("epoch standard deviation (uV)", realism, lambda side: side.deviation_uv.reshape(5, -1), deviations),
    ]
    scores = [
        ("logistic regression across subjects", "", name, realism.simulated.scores[name], realism.real.scores[name])
        for name in SCORES
    ]
    networks = [("accuracy of a network", "", network.name, network.accuracy, np.nan) for network in realism.networks]
    regression = [
        ("accuracy of the logistic regression on its epochs", "", network.name, network.regression_accuracy, np.nan)
        for network in realism.networks
    ]
    rest = pd.DataFrame([*scores, *networks, *regression], columns=tables[0].columns)
    return pd.concat([*tables, rest], ignore_index=True)


def _long(
    quantity: str, realism: Realism, values: Callable[[CohortStatistics], np.ndarray], of: Sequence[str]
) -> pd.DataFrame:
    """Rows of one quantity, whose values of a side are an array (5, len(of))."""
    keys = [(quantity, stage, name) for stage, name in product(STAGES, of)]
    table = pd.DataFrame(keys, columns=["quantity", "stage", "of"])
    return table.assign(simulated=values(realism.simulated).ravel(), real=values(realism.real).ravel())


# ------------------------------------------------------------------------------------------------------------- Markdown


def realism_markdown(realism: Realism, label: DataLabel) -> str:
    """The report: the checks, then the tables behind them.

    Each cell is the simulated value and, in brackets, the real one.
    """
    held = realism.recordings >= HELD_FROM
    intro = (
        f"{realism.recordings} simulated recordings of {realism.subjects} subjects, {realism.epochs:,} epochs after "
        "standard trimming, beside the statistics of the 153 real ones. Band powers are of channels filtered and "
        "z-scored over the whole PSG as the real ones were, but without ICA and with wake of extreme amplitude left in."
    )
    if not held:
        intro += (
            f" A cohort of fewer than {HELD_FROM} recordings is held only to showing all five stages; the rest is for "
            "information, and nights much shorter than real ones cannot agree with it."
        )
    answers = {True: "yes", False: "NO", None: "not held to it"}
    checks = [[c.quantity, c.simulated, c.real, c.allowed, answers[c.within]] for c in realism.checks]
    simulated, real = realism.simulated, realism.real
    parts = [
        f"# {label.title(f'A simulated cohort beside the real recordings, {label.dataset}')}",
        textwrap.fill(intro, TEXT_WIDTH),
        "## What it is held to",
        _pipe(["quantity", "simulated", "real", "allowed", "within?"], checks),
    ]
    if realism.networks:
        rows = []
        for n in realism.networks:
            beats = "yes" if n.accuracy > n.regression_accuracy else "no"
            counts = [str(n.recordings), f"{n.epochs:,}", f"{n.left_out:,}"]
            rows.append([n.name, *counts, f"{n.accuracy:.3f}", f"{n.regression_accuracy:.3f}", beats])
        names = ["network", "recordings", "epochs", "left out", "accuracy", "regression, same epochs", "beats it?"]
        parts += ["## Networks and the logistic regression", _pipe(names, rows)]
        parts += ["Left out are epochs that a network predicted and the standard trimming does not keep."]
    scores = [[name, _both(simulated.scores[name], real.scores[name], ".3f")] for name in SCORES]
    parts += [
        "Below, each cell is: simulated (real).",
        "## Logistic regression across subjects",
        _pipe(["score", "value"], scores),
        "## Transition probabilities from one epoch (rows) to the next",
        _pipe(["from", *STAGES], _rows(STAGES, simulated.transitions, real.transitions, ".3f")),
        "## Stage shares after standard trimming, and in each tenth of the sleep period",
        _pipe(
            ["part", *STAGES],
            [
                *_rows(["all"], simulated.shares[None], real.shares[None], ".3f"),
                *_rows(DECILES, simulated.shares_by_decile, real.shares_by_decile, ".3f"),
            ],
        ),
        "## Bout lengths in epochs: mean and quantiles",
        _pipe(["stage", *BOUTS], _rows(STAGES, simulated.bouts, real.bouts, ".1f")),
    ]
    for heading, values in (
        ("Mean log band power", lambda side: side.mean),
        ("Log band power: standard deviation between recordings", lambda side: side.between_sd),
        ("Log band power: standard deviation within recordings", lambda side: side.within_sd),
        ("Log band power: lag-1 autocorrelation", lambda side: side.lag1),
    ):
        names = [f"{stage}, {channel}" for stage, channel in product(STAGES, CHANNELS)]
        body = _rows(names, *(values(side).reshape(-1, len(BANDS)) for side in (simulated, real)), ".2f")
        parts += [f"## {heading}", _pipe(["stage, channel", *BANDS], body)]
    names = [f"{stage}, {channel}" for stage, channel in product(STAGES, CHANNELS)]
    body = _rows(names, *(side.deviation_uv.reshape(-1, len(QUANTILES)) for side in (simulated, real)), ".1f")
    rms = [
        [stage, *(f"{_correlation_difference(side, i):.2f}" for side in _covariances(simulated, real))]
        for i, stage in enumerate(STAGES)
    ]
    parts += [
        "## Log band powers: root mean square difference of the correlations of the 15 features, simulated from real",
        _pipe(["stage", "between recordings", "within recordings"], rms),
        "## Standard deviation of an epoch in microvolts: quantiles (the real wake includes the day)",
        _pipe(["stage, channel", *(f"{q} %" for q in QUANTILES)], body),
    ]
    return "\n\n".join(parts) + "\n"


def _covariances(simulated: CohortStatistics, real: CohortStatistics) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (simulated.between_covariance, real.between_covariance),
        (simulated.within_covariance, real.within_covariance),
    ]


def _correlation_difference(sides: tuple[np.ndarray, np.ndarray], stage: int) -> float:
    """Root mean square difference of the correlations off the diagonal."""
    simulated, real = (c[stage] / np.sqrt(np.outer(np.diag(c[stage]), np.diag(c[stage]))) for c in sides)
    above = np.triu_indices(len(FEATURES), 1)
    return float(np.sqrt(np.mean((simulated - real)[above] ** 2)))


def _both(simulated: float, real: float, form: str) -> str:
    shown = [DASH if np.isnan(value) else format(value, form) for value in (simulated, real)]
    return f"{shown[0]} ({shown[1]})"


def _rows(names: Sequence[str], simulated: np.ndarray, real: np.ndarray, form: str) -> list[list[str]]:
    return [
        [name, *(_both(a, b, form) for a, b in zip(left, right, strict=True))]
        for name, left, right in zip(names, simulated, real, strict=True)
    ]


def _pipe(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, all columns but the first aligned to the right."""
    return pipe_table(names, rows, [n > 0 for n in range(len(names))])


# --------------------------------------------------------------------------------------------------------------- figure


def draw_realism(realism: Realism, label: DataLabel) -> Figure:
    """Spectra, transitions, scores of the logistic regression, shares over the night and a hypnogram."""
    text = f"A simulated cohort beside statistics of the 153 real recordings, {label.dataset}\n({label.warning})"
    with styled():
        figure = new_figure(PAGE_WIDTH, 9.3, text)
        spectra, middle, bottom = figure.subfigures(3, 1, height_ratios=[4.6, 2.6, 1.9])
        _draw_spectra(spectra, realism)
        simulated, real, scores, shares = middle.subplots(1, 4, width_ratios=[1, 1, 1.1, 1.2])
        _draw_transitions(simulated, realism.simulated.transitions, "(b) Transitions, simulated (%)")
        _draw_transitions(real, realism.real.transitions, "Transitions, real (%)")
        simulated.set_ylabel("stage of an epoch")
        _draw_scores(scores, realism)
        _draw_shares(shares, realism)
        _draw_hypnogram(bottom.subplots(), realism.example)
    return figure


def _draw_spectra(figure: SubFigure, realism: Realism) -> None:
    """Per channel and stage, the simulated mean spectrum and the band levels of both sides.

    Band levels are drawn with their SD between recordings.
    """
    grid = figure.subplots(len(CHANNELS), len(STAGES), sharex=True, sharey="row")
    edges = np.array(list(BANDS.values()))
    # A band's level is its mean log power per hertz, so that it can lie in the spectrum.
    level = -np.log(edges[:, 1] - edges[:, 0])
    centres = np.sqrt(edges.prod(axis=1))
    shape = (len(STAGES), len(CHANNELS), len(BANDS))
    sides = {
        name: (side.mean.reshape(shape) + level, side.between_sd.reshape(shape))
        for name, side in (("real", realism.real), ("simulated", realism.simulated))
    }
    for (i, channel), (j, stage) in product(enumerate(CHANNELS), enumerate(STAGES)):
        axes = grid[i, j]
        mean, sd = sides["real"][0][j, i], sides["real"][1][j, i]
        for band, (low, high) in enumerate(edges):
            axes.fill_between([low, high], mean[band] - sd[band], mean[band] + sd[band], color="0.85", linewidth=0)
            axes.plot([low, high], [mean[band]] * 2, color=SIDE_COLOURS["real"], linewidth=1.2)
        axes.plot(SPECTRUM_HZ[SHOWN], realism.log_density[j, i], color=SIDE_COLOURS["simulated"], linewidth=0.8)
        mean, sd = sides["simulated"][0][j, i], sides["simulated"][1][j, i]
        axes.errorbar(centres, mean, sd, fmt="o", color=SIDE_COLOURS["simulated"], markersize=2.2, linewidth=0.8)
        axes.set_xscale("log")
        axes.set_xticks([1, 4, 8, 16, 30], ["1", "4", "8", "16", "30"])
        axes.minorticks_off()
        axes.set_xlim(0.5, 30)
        if i == 0:
            axes.set_title(stage)
        if j == 0:
            axes.set_ylabel(f"{channel}\nln power per Hz")
        if i == len(CHANNELS) - 1:
            axes.set_xlabel("frequency (Hz)")
    # EOG's beta band lies beyond its low-pass and would flatten the rest.
    for axes in grid[-1]:
        axes.set_ylim(bottom=-13)
    figure.suptitle("(a) Spectra of z-scored channels: simulated, and real levels of the bands", fontsize=7.5)
    handles = [
        Line2D([], [], color=SIDE_COLOURS["simulated"], linewidth=0.8, label="simulated, mean spectrum"),
        Line2D(
            [],
            [],
            color=SIDE_COLOURS["simulated"],
            marker="o",
            markersize=2.2,
            linewidth=0,
            label="its band means ± SD",
        ),
        Line2D([], [], color=SIDE_COLOURS["real"], linewidth=1.2, label="real band means"),
        Patch(color="0.85", label="± SD (between recordings)"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _draw_transitions(axes: Axes, transitions: np.ndarray, text: str) -> None:
    axes.imshow(np.sqrt(np.nan_to_num(transitions)), cmap="Blues", vmin=0, vmax=1)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks(range(len(STAGES)), STAGES)
    axes.set_yticks(range(len(STAGES)), STAGES)
    axes.set_xlabel("stage of the next")
    axes.set_title(text)
    for i, j in np.ndindex(transitions.shape):
        value = transitions[i, j]
        shown = DASH if np.isnan(value) else f"{100 * value:.1f}"
        axes.text(j, i, shown, ha="center", va="center", color="white" if value > 0.4 else "black", fontsize=6)


def _draw_scores(axes: Axes, realism: Realism) -> None:
    positions = np.arange(len(STAGES))
    for shift, (name, side) in zip(
        (-0.2, 0.2), (("simulated", realism.simulated), ("real", realism.real)), strict=True
    ):
        f1 = [side.scores[f"f1_{stage}"] for stage in STAGES]
        label = f"{name}, acc. {side.scores['accuracy']:.3f}"
        axes.bar(positions + shift, f1, 0.38, color=SIDE_COLOURS[name], label=label)
    axes.set_xticks(positions, STAGES)
    axes.set_ylim(0, 1.25)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("F1")
    axes.set_title("(c) Logistic regression")
    axes.legend(loc="upper right", fontsize=6, handlelength=1, borderaxespad=0)


def _draw_shares(axes: Axes, realism: Realism) -> None:
    tenths = np.arange(1, 11)
    for stage, name in enumerate(STAGES):
        for side, style in ((realism.simulated, "-"), (realism.real, "--")):
            axes.plot(tenths, 100 * side.shares_by_decile[:, stage], style, color=STAGE_COLOURS[name])
    axes.set_xticks(tenths[::3])
    axes.set_xlabel("tenth of the sleep period")
    axes.set_ylabel("share of epochs (%)")
    axes.set_title("(d) Stages over the night")
    axes.set_ylim(0, 85)
    handles = [Line2D([], [], color=STAGE_COLOURS[name], label=name) for name in STAGES]
    handles += [
        Line2D([], [], color="0.3", linestyle=style, label=label) for style, label in (("-", "sim."), ("--", "real"))
    ]
    axes.legend(handles=handles, loc="upper center", ncols=3, fontsize=6, handlelength=1.4, columnspacing=0.8)


def _draw_hypnogram(axes: Axes, night: Night) -> None:
    """The part of a simulated night that the standard trimming keeps.

    Nothing is drawn across epochs that it leaves out.
    """
    order = ("N3", "N2", "N1", "REM", "W")
    height = np.array([order.index(stage) for stage in STAGES])
    hours = (night.epoch - night.epoch[0]) * EPOCH_SECONDS / 3600
    for part in np.split(np.arange(len(hours)), np.flatnonzero(np.diff(night.epoch) != 1) + 1):
        edges = np.append(hours[part], hours[part[-1]] + EPOCH_SECONDS / 3600)
        levels = height[night.stage[part]]
        axes.stairs(levels, edges, baseline=None, color="black", linewidth=0.6)
        rem_only = np.where(night.stage[part] == STAGES.index("REM"), levels, np.nan)
        axes.stairs(rem_only, edges, baseline=None, color=STAGE_COLOURS["REM"], linewidth=2.5)
    axes.set_yticks(range(len(STAGES)), order)
    axes.set_ylim(-0.4, len(STAGES) - 0.6)
    axes.set_xlim(0, hours[-1] + EPOCH_SECONDS / 3600)
    axes.set_ylabel("stage")
    axes.set_xlabel("hours from the first epoch that is kept")
    axes.set_title(f"(e) Hypnogram of a simulated night, {night.recording}", loc="left")

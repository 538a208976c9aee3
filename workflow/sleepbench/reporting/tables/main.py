"""Tables: computed from the runs table, written as CSV at full precision, rendered from that CSV as Markdown and LaTeX.

The CSV is the data. `render_table` reads nothing else, so a number in a rendered table is always a number of the CSV.
"""

import os
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, replacing, write_text
from sleepbench.core.stages import STAGES
from sleepbench.evaluation import metrics
from sleepbench.evaluation.claims import Claim, evaluate_claims, load_claims
from sleepbench.models import describe, model_names
from sleepbench.profiling.conventions import counts_per_epoch

SIMULATED = "SIMULATED data – not a result on Sleep-EDF"
TRIAL = "TRIAL on a few nights of Sleep-EDF – shows that the path works, not a benchmark result"
DATA_NAMES = {"sleep-edf-20": "Sleep-EDF-20", "sleep-edf-78": "Sleep-EDF-78", "try-real": "trial"}
DASH = "–"
TEXT_WIDTH = 118
"""Columns of running text in a Markdown table's caption and notes, for reading in a terminal."""

CONFUSION = tuple(metrics.confusion_items(np.zeros((len(STAGES), len(STAGES)))))
F1 = tuple(f"f1_{stage}" for stage in STAGES)
CLEAN = "clean"
IDENTITY = ("protocol", "model", "channels", "recipe", "seed", "fold")
"""What tells the runs of one dataset apart."""

RUN_COLUMNS = (
    *("run_key", "dataset", "simulated", "protocol", "model", "title", "channels", "n_channels", "recipe", "seed"),
    *("fold", "folds", "only_folds", "selection", "window", "training_epochs", "trained_epochs", "recipe_settings"),
    *("selected_epoch", "directory", *CONFUSION),
)


# ---------------------------------------------------------------------------------------------------------------- runs


def read_runs(path: str | Path) -> pd.DataFrame:
    """Read a runs table; run keys stay text even where all of their characters are digits."""
    texts = ("run_key", "git_commit", "directory", "only_folds")
    runs = pd.read_csv(path, dtype=dict.fromkeys(texts, str))
    missing = [column for column in RUN_COLUMNS if column not in runs]
    if missing:
        raise BenchmarkError(f"{path}: the runs table lacks {', '.join(missing)}; make it again")
    return runs.assign(only_folds=runs.only_folds.fillna(""))


def complete_runs(runs: pd.DataFrame, dataset: str, simulated: bool) -> pd.DataFrame:
    """The runs on one dataset; BenchmarkError if one is missing, there twice or of other settings than its like."""
    chosen = runs[runs.dataset == dataset]
    if chosen.empty:
        found = ", ".join(sorted(runs.dataset.unique())) or "none"
        raise BenchmarkError(
            f"the runs table holds no run on {dataset} (datasets there: {found}); run the training first"
        )
    if (chosen.simulated.astype(bool) != simulated).any():
        raise BenchmarkError(
            f"the runs table says simulated: {bool(chosen.simulated.iloc[0])} of {dataset}, but simulated: {simulated}"
            " was asked for; correct the configuration or make the runs table again"
        )
    problems = [*_duplicates(chosen), *_missing_folds(chosen), *_mixed_settings(chosen)]
    if problems:
        raise BenchmarkError(
            f"the runs on {dataset} cannot be summarised; finish or remove these runs:\n  " + "\n  ".join(problems)
        )
    return chosen


def _named(values: tuple, names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))


def _duplicates(runs: pd.DataFrame) -> list[str]:
    return [
        f"{_named(values, IDENTITY)}: there {len(same)} times (runs {', '.join(same.run_key)})"
        for values, same in runs.groupby(list(IDENTITY), sort=False)
        if len(same) > 1
    ]


def _missing_folds(runs: pd.DataFrame) -> list[str]:
    problems = []
    for values, group in runs.groupby(list(IDENTITY[:-1]), sort=False):
        folds = int(group.folds.max())
        # A trial asks for some of the folds only; its tables say how many of how many.
        asked = [int(fold) for fold in group.only_folds.iloc[0].split()] or range(folds)
        missing = sorted(set(asked) - set(group.fold))
        if missing:
            listed = ", ".join(map(str, missing))
            problems.append(f"{_named(values, IDENTITY[:-1])}: fold {listed} of {folds} missing")
    return problems


def _mixed_settings(runs: pd.DataFrame) -> list[str]:
    """Settings in which runs of one row of a table differ: their mean would mean nothing."""
    names = IDENTITY[:4]
    return [
        f"{_named(values, names)}: {setting} differs between runs ({', '.join(map(str, group[setting].unique()))})"
        for values, group in runs.groupby(list(names), sort=False)
        for setting in ("folds", "selection", "window", "training_epochs", "recipe_settings", "n_channels")
        if group[setting].nunique() > 1
    ]


def confusions(runs: pd.DataFrame) -> np.ndarray:
    """The confusion matrix of each run, int64, shape (n_runs, 5, 5)."""
    # CONFUSION names the cells row by row.
    return runs[list(CONFUSION)].to_numpy().astype(np.int64).reshape(-1, len(STAGES), len(STAGES))


def data_name(dataset: str, simulated: bool) -> str:
    """The dataset as printed: simulated data is never printed as anything but simulated."""
    return "simulated" if simulated else DATA_NAMES.get(dataset, dataset)


def final_protocol(protocols: Sequence[str]) -> str:
    """The protocol whose numbers count: the clean one where it was run, else the last."""
    return CLEAN if CLEAN in protocols else protocols[-1]


def title(dataset: str, simulated: bool, text: str) -> str:
    """A title that says which data the numbers are from."""
    if simulated:
        return f"{text} ({SIMULATED})"
    return f"{text} ({TRIAL})" if dataset == "try-real" else f"{text}, {data_name(dataset, simulated)}"


# -------------------------------------------------------------------------------------------------------- main results


TRAINED = ("training_epochs", "fewest_trained", "most_trained")
FITTED_IN_ONE_GO = frozenset(name for name in model_names() if describe(name).kind == "estimator")
AFTER_THE_DESCRIPTION = frozenset(name for name in model_names() if not describe(name).verified)
"""Models whose size equals neither a published one nor that of an independent build."""


def main_results(runs: pd.DataFrame, published: pd.DataFrame, dataset: str, simulated: bool) -> pd.DataFrame:
    """One row per protocol, model, channels and recipe, over folds and seeds; then what is published.

    Parameters
    ----------
    runs : the runs table; runs on other datasets are left out
    published : the table of published results

    Returns
    -------
    Accuracies, macro-F1 and F1 in percent; kappa in -1..1. `accuracy_mean_of_folds` and `accuracy_sd_of_folds` are over
    folds, each fold's accuracy being its mean over seeds; `accuracy_sd_of_seeds` is of the seeds' means over folds. The
    other metrics are pooled: of the sum of all confusion matrices. `macro_f1_stages` is the number of stages that the
    macro-F1 averages (see `metrics.macro_f1`). `training_epochs` are those of the recipe; a patience ends a training
    early: `fewest_trained` and `most_trained` are of the trainings as they were. All three are absent for a model that
    is fitted in one go. In published rows metrics are as published.
    """
    runs = complete_runs(runs, dataset, simulated)
    rows = []
    for protocol, of_protocol in runs.groupby("protocol", sort=False):
        for _, group in of_protocol.groupby(["model", "channels", "recipe"], sort=False):
            rows.append(_measured_row(group, data_name(dataset, simulated)))
        rows.append(_commonest_stage_row(protocol, of_protocol, data_name(dataset, simulated)))
    rows += _published_rows(published, dataset, simulated, set(runs.title))
    # Whole numbers stay whole beside the empty cells of published rows.
    return pd.DataFrame(rows).astype(dict.fromkeys((*TRAINED, "seeds", "macro_f1_stages", "n_epochs"), "Int64"))


def scores(fold: Sequence[int], seed: Sequence[int], matrices: np.ndarray) -> dict[str, float]:
    """Accuracies over folds and seeds, and pooled metrics, in percent but for kappa.

    `matrices` (n_runs, 5, 5) are the confusion matrices of runs with these folds and seeds. Pooled is what is computed
    of the sum over folds; with several seeds, the mean over seeds, and the fewest stages of the macro-F1 of any seed.
    """
    seed = np.asarray(seed)
    accuracy = pd.DataFrame({"fold": fold, "seed": seed, "accuracy": metrics.accuracy(matrices)})
    by_fold, by_seed = (accuracy.groupby(unit).accuracy.mean() for unit in ("fold", "seed"))
    sums = np.array([matrices[seed == one].sum(axis=0) for one in by_seed.index])
    of_seeds = [metrics.summary(matrix) for matrix in sums]
    pooled = pd.DataFrame(of_seeds).mean(skipna=False)
    return {
        "accuracy_mean_of_folds": 100 * by_fold.mean(),
        "accuracy_sd_of_folds": 100 * by_fold.std(ddof=1),
        "accuracy_sd_of_seeds": 100 * by_seed.std(ddof=1),
        "accuracy": 100 * pooled["accuracy"],
        "macro_f1": 100 * pooled["macro_f1"],
        "cohen_kappa": pooled["cohen_kappa"],
        **{name: 100 * pooled[name] for name in F1},
        "macro_f1_stages": int(metrics.macro_f1_stages(sums).min()),
        "n_epochs": of_seeds[0]["n_epochs"],
    }


def _measured_row(runs: pd.DataFrame, data: str) -> dict:
    first = runs.iloc[0]
    return {
        "data": data,
        "model": first.title,
        "protocol": first.protocol,
        "channels": first.channels,
        "recipe": first.recipe,
        "folds": f"{runs.fold.nunique()} of {first.folds}",
        "seeds": runs.seed.nunique(),
        **_trained_epochs(runs),
        **scores(runs.fold, runs.seed.to_numpy(), confusions(runs)),
        "mark": "measured",
        "source": measured_here(list(runs.run_key)),
        "run_keys": " ".join(runs.run_key),
    }


def _trained_epochs(runs: pd.DataFrame) -> dict[str, int]:
    """The recipe's training epochs, and the fewest and most there were; nothing of a model that is fitted in one go."""
    if runs.model.iloc[0] in FITTED_IN_ONE_GO:
        return {}
    trained = runs.trained_epochs
    return dict(zip(TRAINED, (runs.training_epochs.iloc[0], trained.min(), trained.max()), strict=True))


def measured_here(run_keys: list[str]) -> str:
    """The source of a number computed from runs; all of the keys are in the CSV."""
    keys = ", ".join(key[:8] for key in run_keys[:3]) + (", …" if len(run_keys) > 3 else "")
    return f"measured here ({len(run_keys)} run{'s' if len(run_keys) > 1 else ''}: {keys})"


def _commonest_stage_row(protocol: str, runs: pd.DataFrame, data: str) -> dict:
    """What always guessing the commonest scored stage of the test epochs would reach: the floor of a protocol."""
    scored = {}
    for values, group in runs.groupby(["model", "channels", "recipe", "seed"], sort=False):
        scored[values] = tuple(confusions(group).sum(axis=(0, 2)).tolist())
    if len(set(scored.values())) > 1:
        listed = "\n  ".join(f"{', '.join(map(str, key))}: {_named(counts, STAGES)}" for key, counts in scored.items())
        raise BenchmarkError(
            f"the models of protocol {protocol} were tested on different epochs; run them again:\n  {listed}"
        )
    one = runs[(runs[["model", "channels", "recipe", "seed"]] == list(next(iter(scored)))).all(axis=1)]
    scored_per_fold = confusions(one).sum(axis=2)
    commonest = int(scored_per_fold.sum(axis=0).argmax())
    always = np.zeros((len(one), len(STAGES), len(STAGES)), dtype=np.int64)
    always[:, :, commonest] = scored_per_fold
    return {
        "data": data,
        "model": "commonest stage, always",
        "protocol": protocol,
        "folds": f"{len(one)} of {one.folds.iloc[0]}",
        **scores(one.fold, one.seed.to_numpy(), always),
        "mark": "reference",
        "source": f"computed here: {STAGES[commonest]} guessed for every test epoch",
        "run_keys": " ".join(one.run_key),
    }


def _published_rows(published: pd.DataFrame, dataset: str, simulated: bool, titles: set[str]) -> list[dict]:
    """On real data every published row of that dataset; on simulated data those of the models run, on any dataset."""
    if simulated:
        # "ULW-SleepNet (re-run of released code)" is the model ULW-SleepNet; "Linear-BIM on ULW-SleepNet" is not.
        chosen = published[published.model.str.replace(r" \(.*\)$", "", regex=True).isin(titles)]
    else:
        chosen = published[published.dataset == dataset]
    return [
        {
            "data": data_name(row.dataset, simulated=False),
            "model": row.model,
            "protocol": row.protocol,
            "channels": row.input,
            "accuracy": row.accuracy,
            "macro_f1": row.macro_f1,
            "cohen_kappa": row.kappa,
            **{f"f1_{name}": getattr(row, f"f1_{name}") for name in STAGES},
            "mark": row.mark,
            "source": row.source,
        }
        for row in chosen.itertuples()
    ]


# ---------------------------------------------------------------------------------------------------------- complexity


COUNTS = ("parameters", "macs", "flops_2x", "flops_tensorflow", "flops_tensorflow_graph", "fvcore_flops")
LATENCIES = ("median_us", "iqr_us", "p99_us")
COMPLEXITY_COLUMNS = ("model", "n_channels", *COUNTS, *(f"latency_{name}_per_epoch" for name in LATENCIES))


def complexity(profiles: list[dict], claims: list[Claim]) -> pd.DataFrame:
    """Parameters, operations of one 30-s epoch by counting convention, and latency; then what the authors print.

    Operations and latency of a sequence model are those of one training sequence, divided by its length.

    Parameters
    ----------
    profiles : one dict per profiled model: title, n_channels, operations, latency (microseconds a pass)
    claims : published claims; those about parameters and operations become one row per model
    """
    rows = [
        {
            "model": profile["title"],
            "n_channels": profile["n_channels"],
            **counts_per_epoch(profile["operations"]),
            **{
                f"latency_{name}_per_epoch": profile["latency"][name] / profile["latency"]["length"]
                for name in LATENCIES
            },
            "mark": "measured",
            "source": profiled_here(profile),
        }
        for profile in profiles
    ]
    of_networks = [claim for claim in claims if claim.test["kind"] in COUNTS]
    for model in dict.fromkeys(claim.model for claim in of_networks):
        mine = [claim for claim in of_networks if claim.model == model]
        printed = " and ".join(claim.statement for claim in mine)
        rows.append(
            {
                "model": model,
                "n_channels": mine[0].test["n_channels"],
                **{claim.test["kind"]: claim.published for claim in mine},
                "mark": mine[0].mark,
                "source": f"{mine[0].source}, which prints {printed} and names no convention",
            }
        )
    table = pd.DataFrame(rows).reindex(columns=[*COMPLEXITY_COLUMNS, "mark", "source"])
    return table.astype(dict.fromkeys(COUNTS, "Int64"))


def profiled_here(profile: dict) -> str:
    """The source of counts and latency: how many passes were timed where, and of what."""
    latency, length = profile["latency"], profile["operations"]["length"]
    passes = f"{latency['runs']} passes" + (f" of sequences of {length} epochs" if length > 1 else "")
    size = (
        "; after the description: its size equals no published or independent one"
        if profile["model"] in AFTER_THE_DESCRIPTION
        else ""
    )
    return f"counted and timed here ({passes}), on {latency['hardware']} with torch {latency['torch']}{size}"


# ----------------------------------------------------------------------------------------------------------- rendering


@dataclass(frozen=True)
class Column:
    """A rendered column: its heading, and the text of a cell from a row of the CSV.

    `sort_by` is the number of the CSV that orders the rows where a reader can sort them; empty: what the cell shows.
    """

    heading: str
    cell: Callable[[pd.Series], str]
    align: str = "right"
    sort_by: str = ""


@dataclass(frozen=True)
class Layout:
    """How a table is rendered. A row's note is numbered and its number follows the row's last cell."""

    columns: tuple[Column, ...]
    note: Callable[[pd.Series], str]


def text(name: str) -> Callable[[pd.Series], str]:
    """Cells that show a column as it is, and a dash where it is empty."""
    return lambda row: DASH if pd.isna(row[name]) else str(row[name])


def number(name: str, form: str) -> Callable[[pd.Series], str]:
    """Cells that show a column in a number format, and a dash where it is empty."""
    return lambda row: shown(row[name], form)


def shown(value: float, form: str) -> str:
    """A number in a format, or a dash where there is none."""
    return DASH if pd.isna(value) else format(value, form)


def kappa(row: pd.Series) -> str:
    """Kappa without the zero before the point, as it is usually printed.

    A published value is not given more digits than its source gives, which is at least two.
    """
    value = row["cohen_kappa"]
    if pd.isna(value):
        return DASH
    decimals = (
        3 if row["mark"] in ("measured", "reference") else min(3, max(2, len(str(float(value)).partition(".")[2])))
    )
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.{decimals}f}")


def spread(row: pd.Series) -> str:
    """Mean and standard deviation of the fold accuracies."""
    mean, sd = row["accuracy_mean_of_folds"], row["accuracy_sd_of_folds"]
    return shown(mean, ".1f") if pd.isna(sd) else f"{mean:.1f} ± {sd:.1f}"


def measured_only(name: str) -> Callable[[pd.Series], str]:
    """Cells whose published values are sentences, which the notes hold."""
    return lambda row: text(name)(row) if row["mark"] in ("measured", "reference") else "see note"


def network_input(row: pd.Series) -> str:
    """The set of channels and the recipe of a measured row."""
    return f"{row['channels']}, {row['recipe']}" if row["mark"] == "measured" else measured_only("channels")(row)


def fewer_stages(row: pd.Series) -> str:
    """The end of a note on a macro-F1 that is not of all five stages; nothing where it is."""
    n = row["macro_f1_stages"]
    return "" if n == len(STAGES) else f"; macro-F1 of {n:.0f} of {len(STAGES)} stages"


def trained(row: pd.Series) -> str:
    """The training epochs of a row's recipe, and how many there were where some trainings ended before."""
    most, fewest, reached = (row[name] for name in TRAINED)
    if pd.isna(most):
        return "fitted in one go, nothing of the recipe applies"
    if fewest == most:
        return f"{most:.0f} training epochs"
    return f"{fewest:.0f}{f' to {reached:.0f}' if reached > fewest else ''} of at most {most:.0f} training epochs"


def main_results_note(row: pd.Series) -> str:
    """Where a row of the main table is from, and what it was measured on."""
    if row["mark"] == "measured":
        seeds = f"{row['seeds']:.0f} seed" + ("s" if row["seeds"] > 1 else "")
        over_seeds = shown(row["accuracy_sd_of_seeds"], ".2f")
        sd = "" if over_seeds == DASH else f" (standard deviation of the accuracy over seeds {over_seeds})"
        return (
            f"{row['source']}; folds {row['folds']}, {seeds}{sd}, {trained(row)}, "
            f"{row['n_epochs']:,.0f} test epochs{fewer_stages(row)}"
        )
    if row["mark"] == "reference":
        return row["source"]
    conditions = f"on {row['data']}; input: {row['channels']}; protocol: {row['protocol']}"
    return f"{row['model']}, {row['mark']}: {row['source']}; {conditions}"


MAIN_RESULTS = Layout(
    columns=(
        Column("Data", text("data"), "left"),
        # What a published row says in brackets after the model ("re-run of released code") is in its note.
        Column("Model", lambda row: re.sub(r" \(.*\)$", "", row["model"]), "left"),
        Column("Protocol", measured_only("protocol"), "left"),
        Column("Input, recipe", network_input, "left"),
        Column("By fold", spread, sort_by="accuracy_mean_of_folds"),
        Column("Acc.", number("accuracy", ".1f"), sort_by="accuracy"),
        Column("MF1", number("macro_f1", ".1f"), sort_by="macro_f1"),
        Column("Kappa", kappa, sort_by="cohen_kappa"),
        *(Column(stage, number(f"f1_{stage}", ".1f"), sort_by=f"f1_{stage}") for stage in STAGES),
        Column("Source", text("mark"), "left"),
    ),
    note=main_results_note,
)
MACRO_F1_IS = (
    "The macro-F1 is the mean F1 of the stages that were scored or predicted, of all five unless a note says otherwise."
)
MAIN_RESULTS_CAPTION = (
    "Input: the set of channels. By fold: mean ± standard deviation of the fold accuracies in percent. Acc. "
    "(accuracy), MF1 (macro-F1), the F1 of each stage W to REM, in percent, and Cohen's kappa are pooled: computed "
    f"from the sum of the confusion matrices of all folds; with several seeds, the mean over seeds. {MACRO_F1_IS} "
    "A recipe says how a network is trained; which training epoch is reported is the protocol's choice for all, also "
    "where the recipe's paper reports another. "
    "Source: measured here; published by the model's authors; or secondary, reported by others. The last two join "
    "folds and average stages as their source does."
)
NOT_COMPARABLE = "published rows are on Sleep-EDF and cannot be compared with simulated data"


def count(name: str) -> Callable[[pd.Series], str]:
    """Cells that show a count in full; a published one with the three digits its source prints."""

    def cell(row: pd.Series) -> str:
        value = row[name]
        if pd.isna(value) or row["mark"] == "measured":
            return shown(value, ",.0f")
        return f"{value / 1e6:.3g}M" if value >= 1e6 else f"{value / 1e3:.3g}K"

    return cell


def latency(row: pd.Series) -> str:
    """Median and interquartile range of the latency."""
    median, iqr = row["latency_median_us_per_epoch"], row["latency_iqr_us_per_epoch"]
    return DASH if pd.isna(median) else f"{median:,.0f} [{iqr:,.0f}]"


COMPLEXITY = Layout(
    columns=(
        Column("Model", text("model"), "left"),
        Column("Channels", number("n_channels", ".0f")),
        Column("Parameters", count("parameters"), sort_by="parameters"),
        Column("MACs", count("macs"), sort_by="macs"),
        Column("2 × MACs", count("flops_2x"), sort_by="flops_2x"),
        Column("TF FLOPs", count("flops_tensorflow"), sort_by="flops_tensorflow"),
        Column("TF, graph", count("flops_tensorflow_graph"), sort_by="flops_tensorflow_graph"),
        Column("fvcore FLOPs", count("fvcore_flops"), sort_by="fvcore_flops"),
        Column("Latency, µs [IQR]", latency, sort_by="latency_median_us_per_epoch"),
        Column("p99, µs", number("latency_p99_us_per_epoch", ",.0f"), sort_by="latency_p99_us_per_epoch"),
        Column("Source", text("mark"), "left"),
    ),
    note=text("source"),
)
COMPLEXITY_CAPTION = (
    "Trainable parameters, and operations of one 30-s epoch by convention: MACs are multiply-accumulates of "
    "convolutions, linear layers, recurrent gates and attention products. TF FLOPs: the TensorFlow profiler's float "
    "operations without AddV2. TF, graph: the same as read off the Keras graph, which holds the part applied to each "
    "channel twice: each kind of operator in it is halved, and the biases of the dense layers with it. fvcore counts "
    "1 per MAC and 2 per batch-norm element. Latency, per epoch: PyTorch eager, one thread, batch of one epoch; "
    "median, width of the interquartile range (IQR), 99th percentile (p99) over 400 passes, or over as many as 20 s "
    "hold, but at least 50; the notes say how many. A sequence model's operations and latency are those of one "
    "training sequence, divided by its length. Counts and latency depend on the network and its input, not on the "
    "data. Parameters equal those published or of an independent build, unless a note says 'after the description'. "
    f"Models that are no networks are left out. {DASH} in a measured row: the convention lacks a rule for an "
    "operator of the network, or (TF, graph) no part of the network is applied to each channel."
)


def in_unit(name: str) -> Callable[[pd.Series], str]:
    """Cells that show a number of a claim in the claim's unit."""
    return lambda row: shown(row[name], ".1f" if row["unit"] == "%" else ",.0f")


def tolerance(row: pd.Series) -> str:
    """The tolerance of a claim; that of a percentage is in points."""
    return f"± {row['tolerance']:.2f}" if row["unit"] == "%" else f"± {row['tolerance']:,.0f}"


def claim_note(row: pd.Series) -> str:
    """Why a verdict is what it is."""
    runs = "" if pd.isna(row["run_keys"]) else f"; {measured_here(row['run_keys'].split())}"
    return f"{row['why']}{runs}. Unit: {row['unit']}. Source: {row['source']}. Tolerance: {row['justification']}"


CLAIMS = Layout(
    columns=(
        Column("Model", text("model"), "left"),
        Column("Claim", text("claim"), "left"),
        Column("Published", text("printed"), sort_by="published"),
        Column("Tolerance", tolerance, sort_by="tolerance"),
        Column("Ours", in_unit("ours"), sort_by="ours"),
        Column("Ours, pooled", in_unit("ours_pooled"), sort_by="ours_pooled"),
        Column("Mark", text("mark"), "left"),
        Column("Verdict", text("verdict"), "left"),
    ),
    note=claim_note,
)
CLAIMS_CAPTION = (
    "A claim is reproduced if our number lies within the tolerance of the published one; it gets a verdict only if "
    "its own dataset, protocol, folds, channels and every setting of its recipe were run. Accuracies are compared as "
    "the mean of the fold accuracies; the pooled accuracy stands beside it. Parameters and operations do not depend on "
    "the data."
)


@dataclass(frozen=True)
class Cells:
    """What every rendering of a table shows: the text of each cell, and notes with the number (from 1) of each row's.

    `records` is the CSV itself, one row per row of `texts`.
    """

    records: pd.DataFrame
    texts: list[list[str]]
    notes: list[str]
    note_numbers: list[int]


def read_cells(csv: str | Path, layout: Layout) -> Cells:
    """Read a table's CSV and format its cells."""
    records = pd.read_csv(csv, keep_default_na=False, na_values=[""], dtype={"run_keys": str, "folds_sha256": str})
    rows = [row for _, row in with_network_names(records).iterrows()]
    note_of = [layout.note(row) for row in rows]
    notes = list(dict.fromkeys(note_of))
    texts = [[column.cell(row) for column in layout.columns] for row in rows]
    return Cells(records, texts, notes, [notes.index(note) + 1 for note in note_of])


def with_network_names(records: pd.DataFrame) -> pd.DataFrame:
    """Rows with a column `network`: the model, with input and recipe where the table has several networks of it."""
    networks = ["title", "channels", "recipe"]
    if not set(networks) <= set(records):
        return records
    several = records[networks].drop_duplicates().groupby("title").size().gt(1)
    name = records.title + " (" + records.channels.astype(str) + ", " + records.recipe.astype(str) + ")"
    return records.assign(network=name.where(records.title.map(several), records.title))


def write_table(
    table: pd.DataFrame,
    csv: str | Path,
    layout: Layout,
    dataset: str,
    title: str,
    caption: str,
    markdown: str | Path,
    latex: str | Path,
) -> None:
    """Write a table as CSV (full precision, empty where there is no number), then render that file."""
    with replacing(csv) as temporary:
        table.to_csv(temporary, index=False)
    render_table(csv, layout, dataset, title, caption, markdown, latex)


def render_table(
    csv: str | Path,
    layout: Layout,
    dataset: str,
    title: str,
    caption: str,
    markdown: str | Path,
    latex: str | Path,
) -> None:
    """Render a table's CSV as Markdown and as LaTeX (needs the packages booktabs, graphicx, longtable and lscape).

    The label in LaTeX is "tab:<dataset>:<stem of the CSV>", so that one document can hold the tables of many datasets.
    """
    shown = read_cells(csv, layout)
    cells = [[*row[:-1], f"{row[-1]} [{note}]"] for row, note in zip(shown.texts, shown.note_numbers, strict=True)]
    write_text(markdown, _markdown(layout, cells, shown.notes, title, caption))
    write_text(latex, _latex(layout, cells, shown.notes, title, caption, label=f"{dataset}:{Path(csv).stem}"))


def _markdown(layout: Layout, cells: list[list[str]], notes: list[str], title: str, caption: str) -> str:
    # Not pandas' to_markdown: it widens every column by two characters, too much for a terminal.
    lines = [[column.heading for column in layout.columns]]
    lines += [[cell.replace("|", r"\|") for cell in row] for row in cells]
    # At least two: "-:" is the shortest rule that Markdown takes for a column aligned to the right.
    widths = [max(2, *map(len, cells_of_column)) for cells_of_column in zip(*lines, strict=True)]
    right = [column.align == "right" for column in layout.columns]
    rule = ["-" * (width - 1) + ":" if r else "-" * width for width, r in zip(widths, right, strict=True)]
    padded = [
        [cell.rjust(width) if r else cell.ljust(width) for cell, width, r in zip(line, widths, right, strict=True)]
        for line in lines
    ]
    body = "\n".join(f"| {' | '.join(line)} |" for line in (padded[0], rule, *padded[1:]))
    numbered = [
        textwrap.fill(note, TEXT_WIDTH, initial_indent=f"{i}. ".ljust(4), subsequent_indent=" " * 4)
        for i, note in enumerate(notes, start=1)
    ]
    return "\n\n".join([f"## {title}", body, textwrap.fill(caption, TEXT_WIDTH), "\n".join(numbered)]) + "\n"


LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        DASH: "--",
        "…": r"\dots{}",
        "±": r"$\pm$",
        "×": r"$\times$",
        "µ": r"$\mu$",
    }
)


LATEX_LINES = 46
"""Rows of a table and lines of its caption and notes that a page holds; with more, the LaTeX table goes over pages."""
LATEX_CHARACTERS = 90
"""Characters of a table's widest row that a page holds upright, and of a line of its caption and notes."""


def _latex(layout: Layout, cells: list[list[str]], notes: list[str], title: str, caption: str, label: str) -> str:
    def line(row: list[str]) -> str:
        return " & ".join(cell.translate(LATEX) for cell in row) + r" \\"

    heading = [column.heading for column in layout.columns]
    numbered = [f"[{i}] {note.translate(LATEX)}" + r"\par" for i, note in enumerate(notes, start=1)]
    parts = {
        "alignment": "".join(column.align[0] for column in layout.columns),
        "heading": line(heading),
        "rows": [line(row) for row in cells],
        "notes": numbered,
        "caption": f"{title.translate(LATEX)}. {caption.translate(LATEX)}",
        "label": rf"\label{{tab:{label}}}",
    }
    texts = [f"{title}. {caption}", *notes]
    if len(cells) + sum(len(text) // LATEX_CHARACTERS + 1 for text in texts) <= LATEX_LINES:
        return _latex_on_a_page(**parts)
    widths = [max(map(len, column)) for column in zip(heading, *cells, strict=True)]
    # A column costs the space beside it, too.
    return _latex_over_pages(**parts, landscape=sum(widths) + len(widths) > LATEX_CHARACTERS)


def _latex_on_a_page(alignment: str, heading: str, rows: list[str], notes: list[str], caption: str, label: str) -> str:
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,graphicx}",
            r"\begin{table}[htbp]",
            r"\centering",
            rf"\caption{{{caption}}}",
            label,
            r"\small",
            # Shrinks a table that is too wide for the page, and leaves others alone.
            r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            heading,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}",
            r"",
            r"\smallskip",
            r"\begin{minipage}{\textwidth}\footnotesize\raggedright",
            *notes,
            r"\end{minipage}",
            r"\end{table}",
            "",
        ]
    )


def _latex_over_pages(
    alignment: str, heading: str, rows: list[str], notes: list[str], caption: str, label: str, landscape: bool
) -> str:
    return "\n".join(
        [
            r"% needs \usepackage{booktabs,longtable,lscape}",
            rf"\begin{{{'landscape' if landscape else 'center'}}}",
            # As wide as the lines of the turned page.
            r"\scriptsize\setlength{\tabcolsep}{2pt}\setlength{\LTcapwidth}{\linewidth}",
            rf"\begin{{longtable}}{{{alignment}}}",
            rf"\caption{{\normalsize {caption}}}",
            label + r"\\",
            r"\toprule",
            heading,
            r"\midrule",
            r"\endfirsthead",
            r"\toprule",
            heading,
            r"\midrule",
            r"\endhead",
            r"\bottomrule",
            r"\endfoot",
            *rows,
            r"\end{longtable}",
            r"\footnotesize\raggedright",
            *(r"\noindent " + note for note in notes),
            rf"\end{{{'landscape' if landscape else 'center'}}}",
            "",
        ]
    )


# ------------------------------------------------------------------------------------------------------ one per script


def write_main_results(
    runs: str, published: str, dataset: str, simulated: bool, csv: str, markdown: str, latex: str
) -> None:
    """The main table, from the runs table and the table of published results."""
    table = main_results(read_runs(runs), pd.read_csv(published), dataset, simulated)
    heading = title(dataset, simulated, "Sleep staging by protocol")
    heading += f"; {NOT_COMPARABLE}" if simulated else ""
    write_table(table, csv, MAIN_RESULTS, dataset, heading, MAIN_RESULTS_CAPTION, markdown, latex)


def write_complexity(
    profiles: list[str], claims: str, dataset: str, simulated: bool, csv: str, markdown: str, latex: str
) -> None:
    """The table of size and cost, from profiles and the published claims."""
    table = complexity([read_json(profile) for profile in profiles], load_claims(claims))
    heading = title(dataset, simulated, "Size and cost of the networks")
    write_table(table, csv, COMPLEXITY, dataset, heading, COMPLEXITY_CAPTION, markdown, latex)


def write_claims(
    claims: str, runs: str, profiles: list[str], dataset: str, simulated: bool, csv: str, markdown: str, latex: str
) -> None:
    """The table of verdicts on published claims."""
    read_profiles = [read_json(profile) for profile in profiles]
    table = evaluate_claims(load_claims(claims), read_runs(runs), read_profiles, dataset, simulated)
    heading = title(dataset, simulated, "Published claims")
    write_table(table, csv, CLAIMS, dataset, heading, CLAIMS_CAPTION, markdown, latex)


def summary(
    dataset: str,
    simulated: bool,
    audits: list[str],
    tables: list[str],
    figures: list[str],
    output: str,
    not_trained: Sequence[str] = (),
) -> str:
    """Join one sentence per protocol, rendered tables (Markdown) and links to figures; returns the document's text.

    `not_trained` are sentences on what was asked for and skipped.
    """
    sentences = [textwrap.fill(f"- {audit}", TEXT_WIDTH, subsequent_indent="  ") for audit in audits]
    parts = [f"# {title(dataset, simulated, 'Summary')}", "\n".join(sentences)]
    if not_trained:
        parts.append(textwrap.fill(f"Not trained. {' '.join(not_trained)}", TEXT_WIDTH))
    parts += [Path(table).read_text(encoding="utf-8").strip() for table in tables]
    links = [f"- [{Path(figure).name}]({os.path.relpath(figure, Path(output).parent)})" for figure in figures]
    parts.append("\n".join(["## " + title(dataset, simulated, "Figures"), "", *links]))
    document = "\n\n".join(parts) + "\n"
    write_text(output, document)
    return document

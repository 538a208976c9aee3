"""Table: the predictions of runs as they are, and smoothed, over the same subjects.

It reads what `sleepbench.postprocessing.job` wrote beside the trainings. No other table or figure does, so that the
smoothed runs are verified here.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document, read_unchanged, sha256_of_file
from sleepbench.core.stages import STAGES
from sleepbench.evaluation.bootstrap import bootstrap_differences, subject_confusions
from sleepbench.evaluation.metrics import macro_f1_stages
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import (
    INTERVALS_ARE,
    MACRO_F1_IS,
    MODEL,
    NOT_IN_PERCENT,
    POOLED_IS,
    PROTOCOL,
    SOURCE_IS,
    UNDEFINED_IS,
    change_of,
    fewer_stages,
    measured_on,
    metric_alone,
    trained_as,
)
from sleepbench.reporting.reading import COMPARED, KEY, predictions_path, read_predictions, read_runs
from sleepbench.reporting.rendering import Column

EPOCH = ("recording", "epoch", "stage")
"""What the smoothed predictions have in common with the plain ones, row by row."""
READ = (*EPOCH, "subject", "predicted")

COLUMNS = (
    *KEY,
    *(f"{metric}{of}" for metric in COMPARED for of in ("", "_smoothed", "_change", "_change_low", "_change_high")),
    *("macro_f1_stages", "macro_f1_stages_smoothed", "epochs_changed", "n_epochs", "n_subjects", "folds", "seeds"),
    "run_keys",
)


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per protocol and contender: pooled metrics, plain and smoothed, and the change.

    Accuracy, macro-F1 and `epochs_changed` (the share of epochs whose stage smoothing changes, all seeds together) are
    in percent, kappa as it is. Changes have bootstrap intervals paired by subject.

    BenchmarkError lists every run that is not smoothed, whose smoothed predictions are of another training or of other
    epochs, or whose smoothed files were changed since they were written.
    """
    smoothed = {document["run_key"]: (path, document) for path, document in map(_read, inputs.paths("smoothed"))}
    runs, said = read_runs(inputs), inputs.settings
    asked = runs[runs.model.isin(said["smoothed_models"]) & runs.protocol.isin(said["smoothed_protocols"])]
    if problems := [problem for run in asked.itertuples() for problem in _problems(run, smoothed)]:
        raise BenchmarkError("the table of post-processing cannot be made:\n  " + "\n  ".join(problems))
    rows = []
    for key, mine in asked.groupby(list(KEY), sort=False):
        plain = read_predictions(mine, READ)
        after = {
            seed: pd.concat([_predictions(smoothed[run.run_key][0]) for run in ordered.itertuples()], ignore_index=True)
            for seed, ordered in mine.sort_values(["seed", "fold"]).groupby("seed")
        }
        rows.append(dict(zip(KEY, key, strict=True)) | _compared(list(plain.values()), list(after.values()), mine))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _read(directory: Path) -> tuple[Path, dict[str, Any]]:
    path = directory / "hmm.json"
    document = read_document(path, f"delete {directory} and run again: this run is smoothed again")
    if missing := [key for key in ("run_key", "training_json_sha256", "files") if key not in document]:
        raise BenchmarkError(f"{path}: lacks {', '.join(missing)}; delete it and smooth this run again")
    return directory, document


def _predictions(directory: Path) -> pd.DataFrame:
    return pd.read_parquet(directory / "predictions.parquet", columns=list(READ))


def _problems(run: Any, smoothed: Mapping[str, tuple[Path, dict[str, Any]]]) -> list[str]:
    """What is wrong with the smoothed predictions of a row of the runs table."""
    if run.run_key not in smoothed:
        return [f"{run.directory}, {run.selection} (run {run.run_key}): is not smoothed"]
    directory, document = smoothed[run.run_key]
    try:
        read_unchanged(directory / "predictions.parquet", document["files"]["predictions.parquet"])
    except BenchmarkError as error:
        return [f"{error}; delete {directory} and run again"]
    if document["training_json_sha256"] != sha256_of_file(Path(run.directory) / "training.json"):
        return [f"{directory}: is of another training than {run.directory}; delete it and run again"]
    plain, after = pd.read_parquet(predictions_path(run), columns=list(EPOCH)), _predictions(directory)
    if not plain.equals(after[list(EPOCH)]):
        return [
            f"{directory}: the smoothed predictions are of other epochs than the plain ones; delete it and run again"
        ]
    return []


def _compared(plain: Sequence[pd.DataFrame], smoothed: Sequence[pd.DataFrame], runs: pd.DataFrame) -> dict[str, Any]:
    """The numbers of one row, from the predictions of each seed."""
    before, after = (subject_confusions(tables, check=False) for tables in (plain, smoothed))
    row: dict[str, Any] = {}
    for metric, change in bootstrap_differences(before, after, metrics=COMPARED).iterrows():
        scale = 1 if metric in NOT_IN_PERCENT else 100
        row |= {metric: scale * change["first"], f"{metric}_smoothed": scale * change.second}
        row |= {f"{metric}_change": scale * change.estimate}
        row |= {f"{metric}_change_{bound}": scale * change[bound] for bound in ("low", "high")}
    stages = [int(macro_f1_stages(matrices.sum(axis=1)).min()) for _, matrices in (before, after)]
    pairs = zip(plain, smoothed, strict=True)
    changed = np.mean([(one.predicted.to_numpy() != other.predicted.to_numpy()).mean() for one, other in pairs])
    return row | {
        **dict(zip(("macro_f1_stages", "macro_f1_stages_smoothed"), stages, strict=True)),
        **{"epochs_changed": 100 * changed, "n_epochs": len(plain[0]), "n_subjects": len(before[0])},
        **{"folds": f"{runs.fold.nunique()} of {runs.n_folds.iloc[0]}", "seeds": runs.seed.nunique()},
        "run_keys": " ".join(runs.sort_values(["seed", "fold"]).run_key),
    }


def note(row: pd.Series) -> str:
    """Input, recipe, what the row was measured on, and how much was smoothed."""
    changed = f"smoothing changes {row['epochs_changed']:.1f} % of {row['n_epochs']:,.0f} epochs"
    after = row["macro_f1_stages_smoothed"]
    smoothed = "" if after == row["macro_f1_stages"] else f"; smoothed, of {after:.0f} of {len(STAGES)}"
    return f"{trained_as(row)}; {measured_on(row)}, folds {row['folds']}; {changed}{fewer_stages(row)}{smoothed}"


def columns_of(metric: str, short: str) -> tuple[Column, ...]:
    """The columns of a metric."""
    smoothed = f"{metric}_smoothed"
    return (
        Column(short, metric_alone(metric), sort_by=metric),
        Column("Smoothed", metric_alone(metric, smoothed), sort_by=smoothed),
        change_of(metric),
    )


CAPTION = (
    "The predictions of each contender as they are, which every other table and figure shows, and smoothed by the "
    "post-processing of MobileSleepNet, which nothing else shows. MobileSleepNet has it behind ULW-SleepNet "
    "on one EEG derivation (here input one, trained by the row's recipe); other rows are smoothed alike. Smoothed: "
    "the stage probabilities by a Savitzky-Golay filter (window of 5 epochs, order 2), then the stages by a hidden "
    "Markov model of 5 states, "
    "decoded by Viterbi's algorithm for each unbroken run of epochs of a recording by itself. Its initial and "
    "transition probabilities are from the scored stages of the fold's training recordings, its emissions from the "
    "network's own predictions of these, filtered alike. Here 1 is added to every count, so that no probability is 0; "
    "test recordings decide nothing. "
    "Accuracy (acc.) and macro-F1 (MF1) in percent, and Cohen's kappa; changes in percentage points and in kappa. "
    f"{POOLED_IS} {MACRO_F1_IS} {INTERVALS_ARE} A resample takes the same subjects plain and smoothed. {UNDEFINED_IS} "
    f"{SOURCE_IS}"
)
NOT_ASKED = (
    "Nothing is smoothed: the configuration (postprocessing) names no model and protocol that were run on this dataset."
)

ARTEFACT = Table(
    name="postprocessing",
    place=130,
    heading="Post-processing: plain and smoothed predictions",
    caption=lambda table: NOT_ASKED if table.empty else CAPTION,
    inputs=("runs", "trainings", "smoothed"),
    settings=("smoothed_models", "smoothed_protocols"),
    build=build,
    columns=(
        MODEL,
        PROTOCOL,
        *columns_of("accuracy", "Acc."),
        *columns_of("macro_f1", "MF1"),
        *columns_of("cohen_kappa", "Kappa"),
    ),
    note=note,
    row_keys=KEY,
)

"""Trainings as files: keys, what a job writes per fold, and what makes a finished fold recognisable.

A training is (dataset, folds, trimming, model, input, recipe, seed, fold); a run is a training read through one
selection rule. A fold's directory appears whole, by one rename, and holds

    training.json                       settings, keys, environment, SHA-256 of the other files
    history.csv, weights.pt             one row per training epoch; the weights of every selected training epoch
    pretraining.csv                     one row per training epoch of a first phase, where the recipe has one
    <selection>/predictions.parquet     one row per test epoch
    <selection>/metrics.json
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sleepbench.config.keys import TrainingKey
from sleepbench.config.recipe import Recipe
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document, sha256_of_file, sha256_of_json

RECORD = "training.json"


def training_settings(
    document: Mapping[str, Any], key: TrainingKey, roles: Sequence[str], recipe: Recipe
) -> dict[str, Any]:
    """Everything the numbers of one training depend on besides the code; its hash is the training key.

    `document` is the content of the fold file, `roles` are those of the channels of the key's input.
    """
    return {
        "dataset": key.dataset,
        "data_sha256": document["data_sha256"],
        "folds": key.folds,
        "folds_sha256": document["folds_sha256"],
        "fold": key.fold,
        "trimming": key.trimming,
        "model": key.model,
        "input": key.input,
        "channels": list(roles),
        "recipe": {"name": recipe.name, **recipe.settings()},
        "seed": key.seed,
    }


def training_key(settings: Mapping[str, Any]) -> str:
    """16 hexadecimal digits that identify a training."""
    return sha256_of_json(settings)[:16]


def run_key(settings: Mapping[str, Any], selection: str) -> str:
    """16 hexadecimal digits that identify a run; they join files, MLflow and tables."""
    return sha256_of_json({**settings, "selection": selection})[:16]


def is_finished(
    directory: Path, settings: Mapping[str, Any], code_sha256: str, report: Callable[[str], None] = lambda line: None
) -> bool:
    """Whether a directory holds this training, by the same settings and code, with unchanged files.

    What is damaged is told to `report`.
    """
    if not (directory / RECORD).exists():
        return False
    try:
        record = read_document(directory / RECORD)
    except BenchmarkError:
        report(f"{directory / RECORD} is not as it was written")
        return False
    if record.get("settings") != settings or record.get("code_sha256") != code_sha256:
        return False
    if changed := changed_files(directory, record):
        report(f"{directory}: {', '.join(changed)} differs from what {RECORD} lists")
    return not changed


def changed_files(directory: Path, record: Mapping[str, Any]) -> list[str]:
    """The files of a finished training that are missing or differ from what was written."""
    return [
        name
        for name, sha256 in record["files"].items()
        if not (directory / name).exists() or sha256_of_file(directory / name) != sha256
    ]


def read_record(directory: Path) -> dict[str, Any]:
    """The record (training.json) of a finished training, alone.

    BenchmarkError, with what to delete, where it is missing, is not as it was written, or is not the one that the
    receipt of the job that made it lists.
    """
    path = directory / RECORD
    record = read_document(path, train_again(directory))
    for receipt in receipts_of(directory):
        remedy = "delete it and run again: it is written again, and finished folds are kept"
        entries = read_document(receipt, remedy)["trainings"]
        listed = [entry["training_json_sha256"] for entry in entries if entry["fold"] == record["settings"]["fold"]]
        if listed and listed != [sha256_of_file(path)]:
            raise BenchmarkError(f"{path}: is not the one that {receipt} lists: {train_again(directory)}")
    return record


def read_training(directory: Path) -> dict[str, Any]:
    """The record (training.json) of a finished training, all of whose files are as they were written.

    BenchmarkError as `read_record`, and where a file it lists is missing or was changed.
    """
    record = read_record(directory)
    if changed := changed_files(directory, record):
        raise BenchmarkError(
            f"{directory}: {', '.join(changed)} differs from what {RECORD} lists: {train_again(directory)}"
        )
    return record


def receipts_of(directory: Path) -> list[Path]:
    """The receipts beside a fold's directory of jobs that trained several folds, this one among them."""
    fold = int(directory.name.rpartition("-")[2])

    def covers(receipt: Path) -> bool:
        _, first, last = receipt.stem.split("-")
        return int(first) <= fold <= int(last)

    return sorted(filter(covers, directory.parent.glob("stack-*-*.json")))


def train_again(directory: Path) -> str:
    """What to do about a fold that is damaged, as the end of a message."""
    what = " and ".join(map(str, [directory, *receipts_of(directory)]))
    return f"delete {what} and run again: this fold is trained again"


def run_of(record: Mapping[str, Any], selection: str, directory: Path) -> dict[str, Any]:
    """The run (run_key, training_epoch) of a training by a selection rule.

    BenchmarkError where there is none; it says why.
    """
    if selection not in record["runs"]:
        reason = record.get("lacking", {}).get(selection, f"only {', '.join(record['runs'])}")
        raise BenchmarkError(f"{directory}: has no run of the selection '{selection}': {reason}")
    return record["runs"][selection]


def chosen(tuning: list[dict]) -> dict | None:
    """Of what the learning rates of a tuned recipe came to, that of the one that is taken; None where there is none.

    `tuning` is as in training.json: the validation accuracy of one with which the training diverged is None.
    """
    came_to = [one for one in tuning if one["validation_accuracy"] is not None]
    return max(came_to, key=lambda one: one["validation_accuracy"], default=None)

"""Trainings as files: keys, what a job writes per fold, and what makes a finished fold recognisable.

A training is (dataset, folds, trimming, model, input, recipe, seed, fold); a run is a training read through one
selection rule. A fold's directory appears whole, by one rename, and holds

    training.json                       settings, keys, environment, SHA-256 of the other files
    history.csv, weights.pt             one row per training epoch; the weights of every selected training epoch
    pretraining.csv                     one row per training epoch of a first phase, where the recipe has one
    <selection>/predictions.parquet     one row per test epoch
    <selection>/metrics.json
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sleepbench.config.keys import TrainingKey
from sleepbench.config.recipe import Recipe
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_file, sha256_of_json

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


def is_finished(directory: Path, settings: Mapping[str, Any], code_sha256: str) -> bool:
    """Whether a directory holds this training, by the same settings and code, with unchanged files."""
    if not (directory / RECORD).exists():
        return False
    record = read_json(directory / RECORD)
    if record["settings"] != settings or record["code_sha256"] != code_sha256:
        return False
    return not changed_files(directory, record)


def changed_files(directory: Path, record: Mapping[str, Any]) -> list[str]:
    """The files of a finished training that are missing or differ from what was written."""
    return [
        name
        for name, sha256 in record["files"].items()
        if not (directory / name).exists() or sha256_of_file(directory / name) != sha256
    ]


def read_training(directory: Path) -> dict[str, Any]:
    """The record (training.json) of a finished training.

    BenchmarkError where it is missing, or a file it lists is missing or was changed.
    """
    if not (directory / RECORD).exists():
        raise BenchmarkError(f"{directory / RECORD} is not there: train this fold again")
    record = read_json(directory / RECORD)
    if changed := changed_files(directory, record):
        raise BenchmarkError(
            f"{directory}: {', '.join(changed)} differs from what training.json lists: delete the directory and run "
            "again, the fold is then trained again"
        )
    return record


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

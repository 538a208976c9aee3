"""Trainings as files: keys, what a job writes per fold, and what makes a finished fold recognisable.

A training is (dataset, folds, window, model, channels, recipe, fold, seed); a run is a training read through one
selection rule. A fold's directory appears whole, by one rename, and holds

    training.json                       settings, keys, environment, SHA-256 of the other files
    history.csv, weights.pt             one row per training epoch; the weights of every selected training epoch
    pretraining.csv                     one row per training epoch of a first stage, where the recipe has one
    <selection>/predictions.parquet     one row per test epoch
    <selection>/metrics.json
"""

from collections.abc import Sequence
from pathlib import Path

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_file, sha256_of_json


def training_settings(
    folds_document: dict, fold: int, window: str, model: str, channels: Sequence[str], recipe: dict, seed: int
) -> dict:
    """Everything the numbers of one training depend on besides the code; its hash is the training key."""
    return {
        "dataset": folds_document["dataset"],
        "data_sha256": folds_document["data_sha256"],
        "folds": folds_document["name"],
        "folds_sha256": folds_document["folds_sha256"],
        "fold": fold,
        "window": window,
        "model": model,
        "channels": list(channels),
        "recipe": dict(recipe),
        "seed": seed,
    }


def training_key(settings: dict) -> str:
    """16 hexadecimal digits that identify a training."""
    return sha256_of_json(settings)[:16]


def run_key(settings: dict, selection: str) -> str:
    """16 hexadecimal digits that identify a run; they join files, MLflow and tables."""
    return sha256_of_json({**settings, "selection": selection})[:16]


def is_finished(directory: Path, settings: dict, code_sha256: str) -> bool:
    """Whether a fold's directory holds this very training, made by this code, with every file as it was written."""
    record_path = directory / "training.json"
    if not record_path.exists():
        return False
    record = read_json(record_path)
    if record["settings"] != settings or record["code_sha256"] != code_sha256:
        return False
    return not changed_files(directory, record)


def changed_files(directory: Path, record: dict) -> list[str]:
    """The files of a finished training that are missing or differ from what was written."""
    return [
        name
        for name, sha256 in record["files"].items()
        if not (directory / name).exists() or sha256_of_file(directory / name) != sha256
    ]


def check_training(directory: str | Path, receipt: str | Path) -> None:
    """Raise BenchmarkError unless the fold in `directory` is whole and listed in `receipt`."""
    directory = Path(directory)
    listed = {Path(training["directory"]): training for training in read_json(receipt)["trainings"]}
    if not (directory / "training.json").exists():
        raise BenchmarkError(f"{directory} is not there, though {receipt} exists: delete the receipt and run again")
    changed = changed_files(directory, read_json(directory / "training.json"))
    if changed or directory not in listed:
        raise BenchmarkError(
            f"{directory}: {', '.join(changed) or 'the fold'} differs from what {receipt} lists: "
            "delete the receipt and run again, the fold is then trained again"
        )

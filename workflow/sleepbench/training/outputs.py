"""The output files of a fold, and runs added to a fold that was finished before.

Runs are added for selection rules that are new or changed since.
"""

import csv
import io
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document, sha256_of_file, write_document, write_json
from sleepbench.core.stages import STAGES
from sleepbench.evaluation.metrics import confusion_items, confusion_matrix, summary
from sleepbench.protocols.selection import selected
from sleepbench.training.epochs import EpochSet
from sleepbench.training.keys import RECORD, is_finished, run_key, training_key
from sleepbench.training.loop import Training

Predict = Callable[[Mapping[str, torch.Tensor]], np.ndarray]
"""The stage probabilities (n, 5) of a fold's test set, of the model with a state_dict."""


@dataclass(frozen=True)
class FoldOutput:
    """A fold to be trained: its number, its directory, and the record known beforehand.

    The record holds settings, code and provenance.
    """

    number: int
    directory: Path
    record: dict[str, Any]

    def beside(self, suffix: str) -> Path:
        """A hidden file or directory of this fold, such as `.fold-3.checkpoint`."""
        return self.directory.with_name(f".{self.directory.name}.{suffix}")

    def is_finished(self, report: Callable[[str], None] = lambda line: None) -> bool:
        """Whether it is there, by the same settings and code, every file as it was written.

        What is damaged is told to `report`.
        """

        def damaged(what: str) -> None:
            report(f"fold {self.number}: is trained again, for {what}")

        return is_finished(self.directory, self.record["settings"], self.record["code_sha256"], damaged)


class _NotRepeatedError(BenchmarkError):
    """Weights do not give the predictions that the training was evaluated with."""


def write_folds(
    folds: Sequence[tuple[FoldOutput, dict[str, EpochSet], Training, Predict]], details: Mapping[str, Any]
) -> None:
    """Put finished folds in their places, whole; `details` (environment, times) are recorded with each.

    What a process that was killed had put in its place already is left as it is.
    """
    placed = [fold for fold in folds if not fold[0].is_finished()]
    try:
        for fold, sets, training, predict in placed:
            record = fold.record | {
                "n_epochs": {name: len(epochs) for name, epochs in sets.items()},
                **details,
                "remarks": training.remarks,
                **({"tuning": training.tuning} if training.tuning else {}),
            }
            shutil.rmtree(fold.beside("partial"), ignore_errors=True)  # of a process that was killed
            _write_fold(fold.beside("partial"), record, training, predict, sets["test"])
        for fold, *_ in placed:
            shutil.rmtree(fold.directory, ignore_errors=True)
            fold.beside("partial").replace(fold.directory)
    finally:
        for fold, *_ in placed:
            shutil.rmtree(fold.beside("partial"), ignore_errors=True)


def _write_fold(directory: Path, record: dict[str, Any], training: Training, predict: Predict, test: EpochSet) -> None:
    """Write all files of a fold, training.json last."""
    directory.mkdir(parents=True)
    pd.DataFrame(training.history).to_csv(directory / "history.csv", index=False)
    if training.pretraining:
        pd.DataFrame(training.pretraining).to_csv(directory / "pretraining.csv", index=False)
    weights = io.BytesIO()  # torch's own file writer hides why it failed
    torch.save(training.weights, weights)
    (directory / "weights.pt").write_bytes(weights.getvalue())
    record |= {"before_cycle_ends": training.before_cycle_ends, "runs": {}, "lacking": {}}
    probabilities = {n: predict(state) for n, state in training.weights.items()}
    for selection, n in training.selected.items():
        if n in probabilities:
            _write_run(directory / selection, test, probabilities[n], training.history[n - 1], record)
            record["runs"][selection] = {"run_key": run_key(record["settings"], selection), "training_epoch": n}
        else:
            record["lacking"][selection] = _not_kept(n, probabilities)
    names = sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())
    record["files"] = {name: sha256_of_file(directory / name) for name in names}
    write_document(directory / RECORD, {"training_key": training_key(record["settings"]), **record})


def add_runs(fold: FoldOutput, test: Callable[[], EpochSet], predict: Predict, report: Callable[[str], None]) -> None:
    """Give a finished fold the runs of rules that were added or changed since, without training it again.

    A rule is asked of the history; its predictions are made with the weights that were kept. Where those of the
    training epoch that it takes were not, or do not repeat its accuracy here, training.json says so under "lacking".
    Whatever is there and is what the rules take stays as it is.
    """
    record = read_document(fold.directory / RECORD)
    history = read_history(fold.directory)
    taken = selected(history, record["before_cycle_ends"])
    wanted = {name: n for name, n in taken.items() if record["runs"].get(name, {}).get("training_epoch") != n}
    if not wanted:
        return
    new = record | {
        "runs": {name: run for name, run in record["runs"].items() if name not in wanted},
        "lacking": {},
        "files": {name: sha for name, sha in record["files"].items() if name.partition("/")[0] not in wanted},
    }
    if new["runs"] != record["runs"]:  # no file is listed that is about to be removed
        write_document(fold.directory / RECORD, new)
    for selection in wanted:
        shutil.rmtree(fold.directory / selection, ignore_errors=True)
    weights = torch.load(fold.directory / "weights.pt", map_location="cpu", weights_only=True)
    for selection, n in wanted.items():
        try:
            if n not in weights:
                raise _NotRepeatedError(_not_kept(n, weights))
            shutil.rmtree(fold.beside("partial"), ignore_errors=True)
            _write_run(fold.beside("partial"), test(), predict(weights[n]), history[n - 1], record)
            fold.beside("partial").replace(fold.directory / selection)
        except _NotRepeatedError as error:
            new["lacking"][selection] = str(error)
            report(f"fold {fold.number}: no run of the selection '{selection}': {error}")
            continue
        finally:
            shutil.rmtree(fold.beside("partial"), ignore_errors=True)
        new["runs"][selection] = {"run_key": run_key(record["settings"], selection), "training_epoch": n}
        for path in sorted((fold.directory / selection).iterdir()):
            new["files"][f"{selection}/{path.name}"] = sha256_of_file(path)
        report(f"fold {fold.number}: the selection '{selection}' takes training epoch {n}; its run is added")
    new["files"] = dict(sorted(new["files"].items()))
    if new != record:
        write_document(fold.directory / RECORD, new)


def read_history(directory: Path) -> list[dict[str, float | None]]:
    """The rows of a fold's history.csv as they were while it was trained."""
    with (directory / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = [{name: float(text) if text else None for name, text in row.items()} for row in csv.DictReader(file)]
    return [row | {"training_epoch": int(row["training_epoch"])} for row in rows]


def _not_kept(training_epoch: int, weights: Mapping[int, object]) -> str:
    kept = ", ".join(map(str, sorted(weights)))
    return (
        f"it takes training epoch {training_epoch}, whose weights were not kept (those of {kept} were): delete the "
        "fold's directory and run again to train it again"
    )


def _write_run(
    directory: Path, test: EpochSet, probabilities: np.ndarray, row: Mapping[str, Any], record: Mapping[str, Any]
) -> None:
    """Write the predictions of a training epoch on the test set, and their metrics.

    `row` is the training epoch's row of the history. _NotRepeatedError where the accuracy is not the one in it.
    """
    predicted = probabilities.argmax(axis=1)
    confusion = confusion_matrix(test.stage, predicted)
    # JSON has no NaN: an undefined metric (the F1 of an absent stage) is null
    metrics = {name: None if np.isnan(value) else value for name, value in summary(confusion).items()}
    if metrics["accuracy"] != row["test_accuracy"]:
        raise _NotRepeatedError(
            f"fold {record['settings']['fold']}: the weights of training epoch {row['training_epoch']} do not repeat "
            f"its predictions (accuracy {metrics['accuracy']}, in training {row['test_accuracy']}, which was on "
            f"{record['environment']['device']}): delete the fold's directory and run again to train it again"
        )
    predictions = pd.DataFrame(
        {
            "recording": test.column("id"),
            "subject": test.column("subject"),
            "night": test.column("night").astype(np.int8),
            "epoch": test.column("epoch"),
            "onset_s": test.column("onset_s"),
            "stage": test.stage.astype(np.int8),
            "predicted": predicted.astype(np.int8),
            **{f"p_{name}": probabilities[:, i] for i, name in enumerate(STAGES)},
        }
    )
    predictions.attrs["simulated"] = record["provenance"]["simulated"]  # is kept in the file's metadata
    directory.mkdir()
    predictions.to_parquet(directory / "predictions.parquet", index=False)
    metrics |= {"n_recordings": len(test.recordings)} | confusion_items(confusion)
    write_json(directory / "metrics.json", metrics)

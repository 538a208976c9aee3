"""The job that smooths the test predictions of one run.

The model it smooths by is estimated on the fold's training recordings.
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import sleepbench
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import replacing, sha256_of_file, write_document
from sleepbench.core.stages import STAGES
from sleepbench.evaluation.bootstrap import check_predictions
from sleepbench.models import describe
from sleepbench.postprocessing.hmm import (
    POLYNOMIAL_ORDER,
    PSEUDOCOUNT,
    WINDOW_LENGTH,
    decoded,
    estimate,
    filtered,
)
from sleepbench.preparation.prepared import PreparedFiles
from sleepbench.protocols.folds import folds_of, read_folds
from sleepbench.training.epochs import EpochSet, fold_sets
from sleepbench.training.job import trained_model
from sleepbench.training.keys import RECORD, read_training, run_of, train_again
from sleepbench.training.loop import DivergedError, predict_probabilities, use_device
from sleepbench.training.sequences import segments

KEPT = ["recording", "subject", "night", "epoch", "onset_s", "stage"]
"""Columns of a run's predictions that the smoothed ones have as they are."""

METHOD = {
    "filter": "Savitzky-Golay, over the probabilities",
    "window_length": WINDOW_LENGTH,
    "polynomial_order": POLYNOMIAL_ORDER,
    "decoder": "Viterbi, by unbroken run of epochs",
    "pseudocount": PSEUDOCOUNT,
}


@dataclass(frozen=True)
class SmoothingJob:
    """What is needed to smooth the predictions of one run.

    training : the directory of the fold
    selection : the rule by which the run reads it
    folds : the fold file
    prepared : the prepared files of each recording
    output : the directory for predictions.parquet and hmm.json
    device, threads, code_sha256, provenance : as in a TrainingJob
    """

    training: Path
    selection: str
    folds: Path
    prepared: Mapping[str, PreparedFiles]
    output: Path
    device: str
    threads: int
    code_sha256: str
    provenance: Mapping[str, Any]


def smooth(job: SmoothingJob) -> None:
    """Write a run's smoothed predictions.parquet, then hmm.json, the parameters of the smoothing.

    Nothing but the fold's training recordings decides the parameters: their scored stages, and what the network of the
    run, with the weights of its selected training epoch, predicts of them. These predictions are filtered as the test
    ones are, so that the emissions are of what is decoded.

    In the Parquet file `predicted` is the decoded stage; there are no probabilities. The JSON names the run, and lists
    the SHA-256 of the Parquet file: together they are whole, or not to be used.
    """
    record = read_training(job.training)
    run, settings = run_of(record, job.selection, job.training), record["settings"]
    document = read_folds(job.folds)
    fold = folds_of(document)[settings["fold"]]
    if document["folds_sha256"] != settings["folds_sha256"]:
        raise BenchmarkError(
            f"{job.training}: was trained on other folds than {job.folds}: {train_again(job.training)}"
        )
    info, engine = describe(settings["model"]), record["environment"]["engine"]
    transformation, trimming = info.input_transformation, settings["trimming"]
    (sets,) = fold_sets([fold], job.prepared, settings["channels"], trimming, transformation)
    train, test = sets["train"], sets["test"]
    path = job.training / job.selection / "predictions.parquet"
    plain = pd.read_parquet(path)
    check_predictions(plain)
    _check_epochs(plain, test, path)

    place = use_device(job.device if info.kind == "network" else "cpu", job.threads)
    weights = torch.load(job.training / "weights.pt", map_location="cpu", weights_only=True)
    model = trained_model(info, test, weights[run["training_epoch"]], place)
    try:
        of_training = _filtered_stages(predict_probabilities(model, train, engine, info), segments(train))
    except DivergedError as error:
        raise BenchmarkError(f"{job.training}, training recordings: {error}; {train_again(job.training)}") from error
    hmm = estimate(train.stage, of_training, segments(train))
    probabilities = plain[[f"p_{name}" for name in STAGES]].to_numpy()
    stages = decoded(hmm, _filtered_stages(probabilities, segments(test)), segments(test))

    predictions = job.output / "predictions.parquet"
    smoothed = plain[KEPT].assign(predicted=stages.astype(np.int8))
    smoothed.attrs["simulated"] = job.provenance["simulated"]  # is kept in the file's metadata
    with replacing(predictions) as temporary:
        smoothed.to_parquet(temporary, index=False)
    write_document(
        job.output / "hmm.json",
        {
            **{"run_key": run["run_key"], "training_key": record["training_key"], "selection": job.selection},
            "training_epoch": run["training_epoch"],
            "training_json_sha256": sha256_of_file(job.training / RECORD),
            "method": METHOD,
            "stages": STAGES,
            "estimated_on": {"recordings": fold.train, "segments": len(segments(train)), "epochs": len(train)},
            **{name: part.tolist() for name, part in vars(hmm).items()},
            "code_sha256": job.code_sha256,
            "provenance": dict(job.provenance),
            "environment": {
                **{"device": place.type, "threads": job.threads, "engine": engine},
                **{"sleepbench": sleepbench.__version__, "python": platform.python_version()},
                **{"torch": torch.__version__, "numpy": np.__version__},
            },
            "files": {predictions.name: sha256_of_file(predictions)},
        },
    )
    changed = int((plain.predicted.to_numpy() != stages).sum())
    print(f"run {run['run_key']}: {changed:,} of {len(stages):,} test epochs are of another stage after smoothing")


def _check_epochs(plain: pd.DataFrame, test: EpochSet, path: Path) -> None:
    """The predictions are of the fold's test epochs as they are prepared, in their order."""
    if not (np.array_equal(plain.recording, test.column("id")) and np.array_equal(plain.epoch, test.column("epoch"))):
        raise BenchmarkError(
            f"{path}: is not of the test epochs as they are prepared now: {train_again(path.parents[1])}"
        )


def _filtered_stages(probabilities: np.ndarray, runs: Sequence[np.ndarray]) -> np.ndarray:
    """The stage of the largest filtered probability, int64 (n_epochs,)."""
    return filtered(probabilities, runs).argmax(axis=1)

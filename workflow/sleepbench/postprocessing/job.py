"""The smoothing job: the test predictions of one run, smoothed by a model of the fold's training recordings."""

import platform
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import sleepbench
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, replacing, sha256_of_file, write_json
from sleepbench.core.stages import STAGES
from sleepbench.models import create_model, describe
from sleepbench.models.registry import ModelInfo
from sleepbench.postprocessing.hmm import (
    POLYNOMIAL_ORDER,
    PSEUDOCOUNT,
    WINDOW_LENGTH,
    decoded,
    estimate,
    filtered,
)
from sleepbench.protocols.folds import folds_of
from sleepbench.signals.prepare import load_prepared
from sleepbench.training import estimators
from sleepbench.training.epochs import EpochSet, epoch_set
from sleepbench.training.keys import check_training
from sleepbench.training.loop import predict_probabilities, use_device
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


def smooth_run(
    training: Path,
    receipt: Path,
    folds_path: Path,
    prepared: Callable[[str], Path],
    predictions: Path,
    parameters: Path,
    *,
    selection: str,
    device: str,
    threads: int,
    code_sha256: str,
    provenance: dict,
) -> None:
    """Write the smoothed `predictions` (Parquet) of a run, then the `parameters` they were smoothed by (JSON).

    `training` is the directory of the fold, `receipt` lists it. Nothing but the fold's training recordings decides the
    parameters: their scored stages, and what the network of the run, with the weights of its selected training epoch,
    predicts of them. These predictions are filtered as the test ones are, so that the emissions are of what is decoded.
    `prepared` gives the path of a recording's prepared signals; `provenance` is recorded.

    In the Parquet file `predicted` is the decoded stage; there are no probabilities. The JSON names the run, and lists
    the SHA-256 of the Parquet file: together they are whole, or not to be used.
    """
    check_training(training, receipt)
    record = read_json(training / "training.json")
    if selection not in record["runs"]:
        raise BenchmarkError(f"{training}: has no run of the selection '{selection}', only {', '.join(record['runs'])}")
    run, settings = record["runs"][selection], record["settings"]
    document = read_json(folds_path)
    fold = folds_of(document)[settings["fold"]]
    if document["folds_sha256"] != settings["folds_sha256"]:
        raise BenchmarkError(f"{training}: was trained on other folds than {folds_path}; train this fold again")
    train, test = (
        epoch_set([load_prepared(prepared(id)) for id in ids], settings["channels"], settings["window"])
        for ids in (fold.train, fold.test)
    )
    plain = pd.read_parquet(training / selection / "predictions.parquet")
    _check_epochs(plain, test, training / selection / "predictions.parquet")

    info, engine = describe(settings["model"]), record["environment"]["engine"]
    place = use_device(device if info.kind == "network" else "cpu", threads)
    model = _trained(info, len(settings["channels"]), training / "weights.pt", run["training_epoch"], place)
    of_training = _filtered_stages(predict_probabilities(model, train, engine, info), segments(train))
    hmm = estimate(train.stage, of_training, segments(train))
    probabilities = plain[[f"p_{name}" for name in STAGES]].to_numpy()
    stages = decoded(hmm, _filtered_stages(probabilities, segments(test)), segments(test))

    smoothed = plain[KEPT].assign(predicted=stages.astype(np.int8))
    smoothed.attrs["simulated"] = provenance["simulated"]  # is kept in the file's metadata
    with replacing(predictions) as temporary:
        smoothed.to_parquet(temporary, index=False)
    write_json(
        parameters,
        {
            **{"run_key": run["run_key"], "training_key": record["training_key"], "selection": selection},
            "training_epoch": run["training_epoch"],
            "training_json_sha256": sha256_of_file(training / "training.json"),
            "method": METHOD,
            "stages": STAGES,
            "estimated_on": {"recordings": fold.train, "segments": len(segments(train)), "epochs": len(train)},
            **{name: part.tolist() for name, part in vars(hmm).items()},
            "code_sha256": code_sha256,
            "provenance": provenance,
            "environment": {
                **{"device": place.type, "threads": threads, "engine": engine, "sleepbench": sleepbench.__version__},
                **{"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
            },
            "files": {predictions.name: sha256_of_file(predictions)},
        },
    )
    changed = int((plain.predicted.to_numpy() != stages).sum())
    print(f"run {run['run_key']}: {changed:,} of {len(stages):,} test epochs are of another stage after smoothing")


def _check_epochs(plain: pd.DataFrame, test: EpochSet, path: Path) -> None:
    """The predictions are of the fold's test epochs as they are prepared, in their order."""
    ids = np.array([recording.id for recording in test.recordings])[test.recording]
    if not (np.array_equal(plain.recording, ids) and np.array_equal(plain.epoch, test.column("epoch"))):
        raise BenchmarkError(f"{path}: is not of the test epochs as they are prepared now; train this fold again")


def _trained(
    info: ModelInfo, n_channels: int, weights: Path, training_epoch: int, device: torch.device
) -> torch.nn.Module | object:
    """The model as it was after a training epoch."""
    state = torch.load(weights, map_location="cpu", weights_only=True)[training_epoch]
    if info.kind == "estimator":
        return estimators.from_state(state)
    model = create_model(info.name, n_channels)
    model.load_state_dict(state)
    return model.to(device)


def _filtered_stages(probabilities: np.ndarray, of: Sequence[np.ndarray]) -> np.ndarray:
    """The stage of the largest filtered probability, int64 (n_epochs,)."""
    return filtered(probabilities, of).argmax(axis=1)

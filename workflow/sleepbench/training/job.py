"""The training job: a group of folds, one after the other, each written as a whole directory."""

import io
import platform
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

import sleepbench
from sleepbench.data.preparation import load_prepared
from sleepbench.errors import BenchmarkError
from sleepbench.evaluation.metrics import confusion_items, confusion_matrix, summary
from sleepbench.files import read_json, sha256_of_file, sha256_of_json, write_json
from sleepbench.models import create_model, describe
from sleepbench.models.registry import ModelInfo
from sleepbench.protocols.folds import folds_of
from sleepbench.stages import STAGES
from sleepbench.training import estimators
from sleepbench.training.checkpoints import Checkpoint
from sleepbench.training.data import EpochSet, epoch_set
from sleepbench.training.engines import arrangement_of
from sleepbench.training.loop import Estimator, Training, predict_probabilities, train, use_device
from sleepbench.training.recipes import Recipe
from sleepbench.training.runs import is_finished, run_key, training_key, training_settings


def train_group(
    folds_path: Path,
    folds: Sequence[int],
    prepared: Callable[[str], Path],
    directory: Path,
    receipt: Path,
    *,
    window: str,
    model: str,
    channels: Sequence[str],
    recipe_name: str,
    recipe: dict,
    seed: int,
    engine: str,
    device: str,
    threads: int,
    code_sha256: str,
    provenance: dict,
) -> None:
    """Train the given folds, each into `directory`/fold-<number>, and write the receipt of the group.

    A fold that is there already, made by the same settings and code and unchanged since, is kept: nothing that was
    finished is done again. `prepared` gives the path of a recording's prepared signals; `provenance` is recorded.
    """
    document = read_json(folds_path)
    trainings = []
    for fold in folds:
        settings = training_settings(document, fold, window, model, channels, {"name": recipe_name, **recipe}, seed)
        target = directory / f"fold-{fold}"
        if is_finished(target, settings, code_sha256):
            print(f"fold {fold}: finished before with the same settings and code, kept", flush=True)
            _checkpoint_path(target).unlink(missing_ok=True)  # of a process killed between the two
        else:
            record = {"settings": settings, "code_sha256": code_sha256, "provenance": provenance}
            _train_fold(
                document,
                fold,
                prepared,
                target,
                record,
                recipe=Recipe.from_config(recipe_name, recipe),
                engine=engine,
                device_name=device,
                threads=threads,
            )
        trainings.append(_entry(target))
    write_json(receipt, {"folds": document["name"], "k": document["k"], "trainings": trainings})


def _checkpoint_path(target: Path) -> Path:
    return target.with_name(f".{target.name}.checkpoint")


def _entry(directory: Path) -> dict:
    record = read_json(directory / "training.json")
    return {
        "directory": str(directory),
        "training_key": record["training_key"],
        "fold": record["settings"]["fold"],
        "runs": {selection: run["run_key"] for selection, run in record["runs"].items()},
        "training_json_sha256": sha256_of_file(directory / "training.json"),
    }


def _train_fold(
    document: dict,
    fold: int,
    prepared: Callable[[str], Path],
    target: Path,
    record: dict,
    *,
    recipe: Recipe,
    engine: str,
    device_name: str,
    threads: int,
) -> None:
    settings = record["settings"]
    info = describe(settings["model"])
    is_network = info.kind == "network"
    device = use_device(device_name if is_network else "cpu", threads)
    arrangement = arrangement_of(info, engine, device)
    identity = _identity(record, device, threads, engine, arrangement)
    checkpoint = Checkpoint(_checkpoint_path(target), identity, _say)
    split = folds_of(document)[fold]
    sets = {
        name: epoch_set([load_prepared(prepared(id)) for id in ids], settings["channels"], settings["window"])
        for name, ids in (("train", split.train), ("validation", split.validation), ("test", split.test))
    }
    print(
        f"fold {fold}: "
        + ", ".join(f"{name} {len(epochs)}" for name, epochs in sets.items())
        + f" epochs, on {device}",
        flush=True,
    )
    torch.manual_seed(settings["seed"])
    model = create_model(info.name, len(settings["channels"]))
    if is_network:
        training = train(model.to(device), recipe, sets, settings["seed"], engine, info, _say, checkpoint)
    else:
        training = estimators.fit(model, recipe, sets, settings["seed"], engine, info, report=_say)

    record |= {
        "n_epochs": {name: len(epochs) for name, epochs in sets.items()},
        "environment": _environment(device, threads, engine, arrangement),
        "duration_s": round(checkpoint.spent_s, 1),
        "remarks": training.remarks,
    }
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed
    try:
        _write_fold(partial, record, training, model, sets["test"], engine, info)
        shutil.rmtree(target, ignore_errors=True)
        partial.replace(target)
        checkpoint.remove()
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _identity(record: dict, device: torch.device, threads: int, engine: str, arrangement: str) -> dict:
    """What a training must share with a checkpoint to end with the same bytes."""
    here = {"device": device.type, "threads": threads, "engine": engine, "arrangement": arrangement}
    here["torch"] = str(torch.__version__)
    return {"settings": sha256_of_json(record["settings"]), "code_sha256": record["code_sha256"], **here}


def _write_fold(
    directory: Path,
    record: dict,
    training: Training,
    model: nn.Module | Estimator,
    test: EpochSet,
    engine: str,
    info: ModelInfo,
) -> None:
    """Write all files of a fold, training.json last."""
    directory.mkdir(parents=True)
    pd.DataFrame(training.history).to_csv(directory / "history.csv", index=False)
    if training.pretraining:
        pd.DataFrame(training.pretraining).to_csv(directory / "pretraining.csv", index=False)
    weights = io.BytesIO()  # torch's own file writer hides why it failed
    torch.save(training.weights, weights)
    (directory / "weights.pt").write_bytes(weights.getvalue())
    probabilities = {}
    for training_epoch, state in training.weights.items():
        probabilities[training_epoch] = predict_probabilities(_with_weights(model, state), test, engine, info)
    settings, runs = record["settings"], {}
    for selection, training_epoch in training.selected.items():
        simulated = record["provenance"]["simulated"]
        metrics = _write_predictions(directory / selection, test, probabilities[training_epoch], simulated)
        if metrics["accuracy"] != training.history[training_epoch - 1]["test_accuracy"]:
            raise BenchmarkError(
                f"fold {settings['fold']}: the weights of training epoch {training_epoch} do not repeat its predictions"
            )
        runs[selection] = {"run_key": run_key(settings, selection), "training_epoch": training_epoch}
    names = sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())
    files = {name: sha256_of_file(directory / name) for name in names}
    key = training_key(settings)
    write_json(directory / "training.json", {"training_key": key, **record, "runs": runs, "files": files})


def _with_weights(model: nn.Module | Estimator, state: dict[str, torch.Tensor]) -> nn.Module | Estimator:
    """The model as it was when `state` was kept."""
    if not isinstance(model, nn.Module):
        return estimators.from_state(state)
    model.load_state_dict(state)
    return model


def _write_predictions(directory: Path, test: EpochSet, probabilities: np.ndarray, simulated: bool) -> dict:
    directory.mkdir()
    predicted = probabilities.argmax(axis=1)
    predictions = pd.DataFrame(
        {
            "recording": np.array([p.id for p in test.recordings])[test.recording],
            "subject": np.array([p.id[3:5] for p in test.recordings])[test.recording],
            "night": np.array([int(p.id[5]) for p in test.recordings], dtype=np.int8)[test.recording],
            "epoch": test.column("epoch"),
            "onset_s": test.column("onset_s"),
            "stage": test.stage.astype(np.int8),
            "predicted": predicted.astype(np.int8),
            **{f"p_{name}": probabilities[:, i] for i, name in enumerate(STAGES)},
        }
    )
    predictions.attrs["simulated"] = simulated  # is kept in the file's metadata
    predictions.to_parquet(directory / "predictions.parquet", index=False)
    confusion = confusion_matrix(test.stage, predicted)
    # JSON has no NaN: an undefined metric (the F1 of an absent stage) is null
    metrics = {name: None if np.isnan(value) else value for name, value in summary(confusion).items()}
    metrics |= {"n_recordings": len(test.recordings)} | confusion_items(confusion)
    write_json(directory / "metrics.json", metrics)
    return metrics


def _say(line: str) -> None:
    print(line, flush=True)


def _environment(device: torch.device, threads: int, engine: str, arrangement: str) -> dict:
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {platform.machine()}",
        "threads": threads,
        "engine": engine,
        "arrangement": arrangement,
        "sleepbench": sleepbench.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
    }

"""The training job: a group of folds, as one stack on a GPU, else one after the other; each a whole directory."""

import functools
import io
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import torch
from torch import nn

import sleepbench
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import alone, read_json, sha256_of_file, sha256_of_json, write_json
from sleepbench.core.stages import STAGES
from sleepbench.evaluation.metrics import confusion_items, confusion_matrix, summary
from sleepbench.models import create_model, describe
from sleepbench.models.registry import ModelInfo
from sleepbench.protocols.folds import folds_of
from sleepbench.signals.prepare import load_prepared
from sleepbench.training import estimators
from sleepbench.training.checkpoint import Checkpoint
from sleepbench.training.engines import arrangement_of
from sleepbench.training.epochs import EpochSet, epoch_set
from sleepbench.training.keys import is_finished, run_key, training_key, training_settings
from sleepbench.training.loop import Estimator, Training, predict_probabilities, train, use_device
from sleepbench.training.memory import is_out_of_memory
from sleepbench.training.recipe import Recipe
from sleepbench.training.stack import is_stackable, train_stack
from sleepbench.training.timing import Timing


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

    On a GPU they train as one stack, where the model and its recipe have that form; else one after the other.

    A fold that is there already, made by the same settings and code and unchanged since, is kept: nothing that was
    finished is done again. `prepared` gives the path of a recording's prepared signals; `provenance` is recorded.
    """
    # A job may outlive the Snakemake that started it and was killed; then its successor waits and keeps what it finds.
    lock = receipt.with_name(f".{receipt.stem}.lock")
    with alone(lock, lambda: _say(f"waiting for a process that trains these folds already; {lock} is its lock")):
        document = read_json(folds_path)
        of_recipe = Recipe.from_config(recipe_name, recipe)
        info = describe(model)
        on = use_device(device if info.kind == "network" else "cpu", threads)
        use = _Use(on, threads, engine, arrangement_of(info, engine, on))
        named_recipe = {"name": recipe_name, **recipe}
        records = {
            fold: {
                "settings": training_settings(document, fold, window, model, channels, named_recipe, seed),
                "code_sha256": code_sha256,
                "provenance": provenance,
            }
            for fold in folds
        }
        together = receipt.with_name(f".{receipt.stem}.checkpoint")
        to_train = _to_train(records, directory, together, use)
        waiting = _folds(document, {fold: records[fold] for fold in to_train}, directory, prepared)
        started = psutil.Process().create_time()
        if len(waiting) > 1 and is_stackable(info, of_recipe, engine, use.device):
            with _memory_explained(of_recipe, len(waiting), use.device):
                _train_stack(waiting, of_recipe, info, use, together, Timing(started))
        else:
            together.unlink(missing_ok=True)  # of a process killed when its folds were in place
            for fold in waiting:
                with _memory_explained(of_recipe, 1, use.device):
                    _train_alone(fold, of_recipe, info, use, Timing(started))
                started = time.time()  # of the next fold of this process
        trainings = [_entry(_directory_of(directory, fold)) for fold in folds]
        write_json(receipt, {"folds": document["name"], "k": document["k"], "trainings": trainings})


@dataclass(frozen=True)
class _Use:
    """What of the machine a job uses, and how."""

    device: torch.device
    threads: int
    engine: str
    arrangement: str


@dataclass(frozen=True)
class _Fold:
    """A fold that is to be trained: what is known of it before, and the epochs "train", "validation" and "test"."""

    number: int
    target: Path
    record: dict
    sets: dict[str, EpochSet]


def _to_train(records: dict[int, dict], directory: Path, together: Path, use: _Use) -> list[int]:
    """The folds that are not there yet; `records` has what is known of each before it is trained.

    All of them where a stack of all was trained and killed as it put one after the other in its place: its checkpoint,
    at `together`, is no use to a stack of fewer. What is there is left as it is.
    """
    waiting = []
    for number, record in records.items():
        target = _directory_of(directory, number)
        if is_finished(target, record["settings"], record["code_sha256"]):
            print(f"fold {number}: finished before with the same settings and code, kept", flush=True)
            _checkpoint_path(target).unlink(missing_ok=True)  # of a process killed between the two
        else:
            waiting.append(number)
    return list(records) if 0 < len(waiting) < len(records) and _is_trained(records, together, use) else waiting


def _is_trained(records: dict[int, dict], together: Path, use: _Use) -> bool:
    """Whether a checkpoint is of a stack of all these folds that has had all its training epochs."""
    kept = Checkpoint(together, _identity(list(records.values()), use), lambda line: None).load()
    wanted = next(iter(records.values()))["settings"]["recipe"]["training_epochs"]
    return bool(kept) and kept["stack"]["completed"] == wanted


def _folds(document: dict, records: dict[int, dict], directory: Path, prepared: Callable[[str], Path]) -> list[_Fold]:
    """The folds that `records` are of, with their epochs."""
    recording = functools.cache(lambda id: load_prepared(prepared(id)))
    folds = []
    for number, record in records.items():
        settings, split = record["settings"], folds_of(document)[number]
        sets = {
            name: epoch_set([recording(id) for id in ids], settings["channels"], settings["window"])
            for name, ids in (("train", split.train), ("validation", split.validation), ("test", split.test))
        }
        folds.append(_Fold(number, _directory_of(directory, number), record, sets))
    return folds


def _directory_of(directory: Path, fold: int) -> Path:
    return directory / f"fold-{fold}"


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


@contextmanager
def _memory_explained(recipe: Recipe, n_folds: int, device: torch.device) -> Iterator[None]:
    """A GPU's out-of-memory says what was asked of it, and what to lower; nothing is lowered for the user."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        fewer = (
            f"set training.folds_per_job below {n_folds}, which leaves the folds and their recipe as they are; or"
            if n_folds > 1
            else "leave the GPU to this job alone; or"
        )
        raise BenchmarkError(
            f"the GPU ({_name_of(device)}) has too little memory for batches of {recipe.batch_size} (recipe "
            f"{recipe.name}) of {n_folds} fold(s) at once: {fewer} set training.device: cpu. A lower "
            f"recipes.{recipe.name}.batch_size fits as well, but is another experiment. ({error})"
        ) from error


def _train_alone(fold: _Fold, recipe: Recipe, info: ModelInfo, use: _Use, timing: Timing) -> None:
    settings = fold.record["settings"]
    checkpoint = Checkpoint(_checkpoint_path(fold.target), _identity([fold.record], use), _say)
    print(f"fold {fold.number}: {_counts(fold)} epochs, on {use.device}", flush=True)
    model = _fresh_model(info, settings, use)
    if info.kind == "network":
        training = train(model, recipe, fold.sets, settings["seed"], use.engine, info, _say, checkpoint, timing)
    else:
        training = estimators.fit(model, recipe, fold.sets, settings["seed"], use.engine, info, timing, report=_say)

    def predict(state: dict[str, torch.Tensor]) -> np.ndarray:
        return predict_probabilities(_with_weights(model, state), fold.sets["test"], use.engine, info)

    spent = {"duration_s": round(checkpoint.spent_s, 1), "timing": timing.record()}
    _write_folds([fold], [training], [predict], _environment(use), spent)
    checkpoint.remove()


def _train_stack(
    folds: list[_Fold], recipe: Recipe, info: ModelInfo, use: _Use, checkpoint_path: Path, timing: Timing
) -> None:
    checkpoint = Checkpoint(checkpoint_path, _identity([fold.record for fold in folds], use), _say)
    for fold in folds:
        print(f"fold {fold.number}: {_counts(fold)} epochs", flush=True)
    print(f"{len(folds)} folds as one stack, on {use.device}", flush=True)
    settings = folds[0].record["settings"]
    model = _fresh_model(info, settings, use)
    sets = [fold.sets for fold in folds]
    trainings, stack = train_stack(model, recipe, sets, settings["seed"], info, _say, checkpoint, timing)
    environment = _environment(use) | {"stacked_folds": [fold.number for fold in folds]}
    predict = [functools.partial(stack.predict, i) for i in range(len(folds))]
    # Each fold's share of the time, so that those of all trainings add up.
    n = len(folds)
    spent = {"duration_s": round(checkpoint.spent_s / n, 1), "timing": timing.record(n)}
    _write_folds(folds, trainings, predict, environment, spent)
    checkpoint.remove()


def _fresh_model(info: ModelInfo, settings: dict, use: _Use) -> nn.Module | Estimator:
    torch.manual_seed(settings["seed"])
    model = create_model(info.name, len(settings["channels"]))
    return model.to(use.device) if info.kind == "network" else model


def _counts(fold: _Fold) -> str:
    return ", ".join(f"{name} {len(epochs)}" for name, epochs in fold.sets.items())


def _identity(records: list[dict], use: _Use) -> dict:
    """What a training of the folds that `records` are of must share with a checkpoint to end with the same bytes."""
    here = {"device": use.device.type, "threads": use.threads, "engine": use.engine, "arrangement": use.arrangement}
    here["torch"] = str(torch.__version__)
    settings = [record["settings"] for record in records]
    return {"settings": sha256_of_json(settings), "code_sha256": records[0]["code_sha256"], **here}


def _write_folds(
    folds: Sequence[_Fold],
    trainings: Sequence[Training],
    predict: Sequence[Callable[[dict[str, torch.Tensor]], np.ndarray]],
    environment: dict,
    spent: dict,
) -> None:
    """Put finished folds in their places, whole; `predict` gives a test set's probabilities for a state_dict.

    What a process that was killed had put in its place already is left as it is.
    """
    partial = {fold.number: fold.target.with_name(f".{fold.target.name}.partial") for fold in folds}
    try:
        for fold, training, own in zip(folds, trainings, predict, strict=True):
            if is_finished(fold.target, fold.record["settings"], fold.record["code_sha256"]):
                del partial[fold.number]
                continue
            record = fold.record | {
                "n_epochs": {name: len(epochs) for name, epochs in fold.sets.items()},
                "environment": environment,
                **spent,
                "remarks": training.remarks,
            }
            shutil.rmtree(partial[fold.number], ignore_errors=True)  # of a process that was killed
            _write_files(partial[fold.number], record, training, own, fold.sets["test"])
        for fold in folds:
            if fold.number in partial:
                shutil.rmtree(fold.target, ignore_errors=True)
                partial[fold.number].replace(fold.target)
    finally:
        for directory in partial.values():
            shutil.rmtree(directory, ignore_errors=True)


def _write_files(
    directory: Path,
    record: dict,
    training: Training,
    predict: Callable[[dict[str, torch.Tensor]], np.ndarray],
    test: EpochSet,
) -> None:
    """Write all files of a fold, training.json last."""
    directory.mkdir(parents=True)
    pd.DataFrame(training.history).to_csv(directory / "history.csv", index=False)
    if training.pretraining:
        pd.DataFrame(training.pretraining).to_csv(directory / "pretraining.csv", index=False)
    weights = io.BytesIO()  # torch's own file writer hides why it failed
    torch.save(training.weights, weights)
    (directory / "weights.pt").write_bytes(weights.getvalue())
    probabilities = {training_epoch: predict(state) for training_epoch, state in training.weights.items()}
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


def _name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {platform.machine()}"


def _environment(use: _Use) -> dict:
    return {
        "device": _name_of(use.device),
        "threads": use.threads,
        "engine": use.engine,
        "arrangement": use.arrangement,
        "sleepbench": sleepbench.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": version("scipy"),
        "scikit_learn": version("scikit-learn"),
        "platform": platform.platform(),
    }

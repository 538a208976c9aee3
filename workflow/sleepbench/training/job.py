"""The training job: trains some folds of one training, each into a directory of its own.

Folds are trained as one stack where that is faster and model and recipe allow it, otherwise one after the other.
A fold's directory appears only when it is complete.
"""

import functools
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

import sleepbench
from sleepbench.config.keys import TrainingKey
from sleepbench.config.recipe import Recipe
from sleepbench.core.errors import BenchmarkError, first_line
from sleepbench.core.files import read_document, sha256_of_file, sha256_of_json, write_document
from sleepbench.core.locks import alone
from sleepbench.models import create_model, describe
from sleepbench.models.base import Estimator, Network
from sleepbench.models.registry import ModelInfo
from sleepbench.preparation.prepared import PreparedFiles
from sleepbench.protocols.folds import folds_of, read_folds
from sleepbench.training import estimators, loop
from sleepbench.training.checkpoint import Checkpoint
from sleepbench.training.engines import arrangement_of
from sleepbench.training.epochs import EpochSet, fold_sets
from sleepbench.training.keys import RECORD, receipts_of, training_settings
from sleepbench.training.loop import DivergedError, predict_probabilities, use_device
from sleepbench.training.memory import is_out_of_memory
from sleepbench.training.outputs import FoldOutput, add_runs, write_folds
from sleepbench.training.stack import is_stackable, train_stack
from sleepbench.training.timing import Timing
from sleepbench.training.tuning import tune


@dataclass(frozen=True)
class TrainingJob:
    """What is needed to train some folds of one training.

    directories : where each fold goes; the keys differ in the fold alone
    folds : the fold file
    prepared : the prepared files of each recording
    recipe, roles : what the keys' recipe and input stand for
    engine, device, threads : how the machine is used; "auto" is the GPU where there is one
    code_sha256 : of the code that decides the numbers
    provenance : what else is recorded; "simulated" must be in it
    receipt : a file to be written at the end that lists the folds; None: none is
    """

    directories: Mapping[TrainingKey, Path]
    folds: Path
    prepared: Mapping[str, PreparedFiles]
    recipe: Recipe
    roles: tuple[str, ...]
    engine: str
    device: str
    threads: int
    code_sha256: str
    provenance: Mapping[str, Any]
    receipt: Path | None = None

    @property
    def key(self) -> TrainingKey:
        """That of the first fold."""
        return next(iter(self.directories))

    @property
    def info(self) -> ModelInfo:
        """The entry of the model."""
        return describe(self.key.model)

    def beside(self, suffix: str) -> Path:
        """A hidden file of the job, beside the folds that it trains."""
        numbers = [key.fold for key in self.directories]
        name = f"fold-{numbers[0]}" if len(numbers) == 1 else f"stack-{numbers[0]}-{numbers[-1]}"
        return self.directories[self.key].with_name(f".{name}.{suffix}")


def train(job: TrainingJob) -> None:
    """Train the folds of a job, each into its directory, and write the receipt if there is to be one.

    They train as one stack where `is_stackable` says so; else, or where that fails, one after the other.

    A fold that is there already, made by the same settings and code and unchanged since, is kept: nothing that was
    finished is done again. It gets the runs of selection rules that it lacks.
    """
    # A job may outlive the Snakemake that started it and was killed; then its successor waits and keeps what it finds.
    lock = job.beside("lock")
    with alone(lock, lambda: _say(f"waiting for a process that trains these folds already; {lock} is its lock")):
        document = read_folds(job.folds)
        use = _Use.of(job)
        folds = [
            FoldOutput(
                key.fold,
                directory,
                {
                    "settings": training_settings(document, key, job.roles, job.recipe),
                    "code_sha256": job.code_sha256,
                    "provenance": dict(job.provenance),
                },
            )
            for key, directory in job.directories.items()
        ]
        splits = folds_of(document)
        # Those of a job that is begun, or of other groups of folds, list what may be replaced here.
        for receipt in dict.fromkeys(path for fold in folds for path in receipts_of(fold.directory)):
            receipt.unlink()

        def sets_of(some: list[FoldOutput]) -> list[dict[str, EpochSet]]:
            own = [splits[fold.number] for fold in some]
            return fold_sets(own, job.prepared, job.roles, job.key.trimming, job.info.input_transformation)

        waiting = _waiting(folds, job.beside("checkpoint"), use)
        for fold in folds:
            if fold not in waiting:
                _complete(fold, job, use, functools.cache(lambda fold=fold: sets_of([fold])[0]["test"]))
        _train_waiting(list(zip(waiting, sets_of(waiting), strict=True)), job, use)
        if job.receipt:
            write_document(job.receipt, {"folds": document["name"], "trainings": [_entry(fold) for fold in folds]})


@dataclass(frozen=True)
class _Use:
    """What of the machine a job uses, and how."""

    device: torch.device
    threads: int
    engine: str
    arrangement: str

    @classmethod
    def of(cls, job: TrainingJob) -> "_Use":
        device = use_device(job.device if job.info.kind == "network" else "cpu", job.threads)
        return cls(device, job.threads, job.engine, arrangement_of(job.info, job.engine, device))

    @property
    def device_name(self) -> str:
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"cpu, {platform.machine()}"

    def environment(self) -> dict[str, Any]:
        """What is recorded of it, with the versions of what computes."""
        return {
            "device": self.device_name,
            "threads": self.threads,
            "engine": self.engine,
            "arrangement": self.arrangement,
            "sleepbench": sleepbench.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scipy": version("scipy"),
            "scikit_learn": version("scikit-learn"),
            "platform": platform.platform(),
        }


Work = list[tuple[FoldOutput, dict[str, EpochSet]]]
"""Folds to be trained, each with its epochs "train", "validation" and "test"."""


def _waiting(folds: list[FoldOutput], together: Path, use: _Use) -> list[FoldOutput]:
    """The folds that are not there yet.

    All of them where a stack of all was trained and killed as it put one after the other in its place: its checkpoint,
    at `together`, is no use to a stack of fewer. What is there is left as it is.
    """
    waiting = []
    for fold in folds:
        if fold.is_finished(_say):
            _say(f"fold {fold.number}: finished before with the same settings and code, kept")
            fold.beside("checkpoint").unlink(missing_ok=True)  # of a process killed between the two
        else:
            waiting.append(fold)
    return folds if 0 < len(waiting) < len(folds) and _is_trained(folds, together, use) else waiting


def _is_trained(folds: list[FoldOutput], together: Path, use: _Use) -> bool:
    """Whether a checkpoint is of a stack of all these folds that has had all its training epochs."""
    kept = Checkpoint(together, _identity(folds, use), _say).peek()
    return bool(kept) and kept["stack"]["completed"] == folds[0].record["settings"]["recipe"]["training_epochs"]


def _complete(fold: FoldOutput, job: TrainingJob, use: _Use, test: Callable[[], EpochSet]) -> None:
    """Give a finished fold the runs of selection rules that it lacks."""

    def predict(state: Mapping[str, torch.Tensor]) -> np.ndarray:
        model = trained_model(job.info, test(), state, use.device)
        return predict_probabilities(model, test(), use.engine, job.info)

    with _divergence_explained([fold], job):
        add_runs(fold, test, predict, _say)


def _train_waiting(work: Work, job: TrainingJob, use: _Use) -> None:
    started = psutil.Process().create_time()
    n_values = len(job.roles) * work[0][1]["train"].n_samples if work else 0
    if len(work) > 1 and is_stackable(job.info, job.recipe, use.engine, use.device, n_values):
        explained = _divergence_explained([fold for fold, _ in work], job)
        with explained, _memory_explained(job.recipe, len(work), use.device_name):
            if _train_stack(work, job, use, Timing(started)):
                return
        use = replace(use, engine="reference", arrangement=arrangement_of(job.info, "reference", use.device))
    if len(job.directories) > 1:
        job.beside("checkpoint").unlink(missing_ok=True)  # of a process killed when its folds were in place
    for fold, sets in work:
        with _divergence_explained([fold], job), _memory_explained(job.recipe, 1, use.device_name):
            _train_alone(fold, sets, job, use, Timing(started))
        started = time.time()  # of the next fold of this process


def _entry(fold: FoldOutput) -> dict[str, Any]:
    record = read_document(fold.directory / RECORD)
    return {
        "directory": str(fold.directory),
        "training_key": record["training_key"],
        "fold": fold.number,
        "runs": {selection: run["run_key"] for selection, run in record["runs"].items()},
        "training_json_sha256": sha256_of_file(fold.directory / RECORD),
    }


@contextmanager
def _divergence_explained(folds: list[FoldOutput], job: TrainingJob) -> Iterator[None]:
    """Say of which fold and recipe a number is not finite, and what to try."""
    try:
        yield
    except DivergedError as error:
        recipe = f"recipes.{job.recipe.name}"
        fitted = f"look at the signals in the table of quality: {job.info.title} has no learning rate to lower"
        remedy = f"a lower {recipe}.learning_rate, or {recipe}.clip_norm: 1.0 or lower"
        raise BenchmarkError(
            f"fold {folds[error.position].number}, recipe {job.recipe.name}: {error}; nothing of it is written. What "
            f"to try: {remedy if job.info.kind == 'network' else fitted}"
        ) from error


@contextmanager
def _memory_explained(recipe: Recipe, n_folds: int, device: str) -> Iterator[None]:
    """Turn a GPU's out-of-memory error into a BenchmarkError that says what to lower.

    It names the batch size and the number of folds that were asked for. Nothing is lowered automatically.
    """
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
            f"the GPU ({device}) has too little memory for batches of {recipe.batch_size} (recipe "
            f"{recipe.name}) of {n_folds} fold(s) at once: {fewer} set training.device: cpu. A lower "
            f"recipes.{recipe.name}.batch_size fits as well, but is another experiment. ({error})"
        ) from error


def _train_alone(fold: FoldOutput, sets: dict[str, EpochSet], job: TrainingJob, use: _Use, timing: Timing) -> None:
    checkpoint = Checkpoint(fold.beside("checkpoint"), _identity([fold], use), _say)
    _say(f"fold {fold.number}: {_counts(sets)} epochs, on {use.device}")
    model, info, seed = _fresh_model(job, use, sets["train"]), job.info, job.key.seed
    if info.kind == "network":

        def train_by(recipe: Recipe, checkpoint: Checkpoint) -> loop.Training:
            return loop.train(model, recipe, sets, seed, use.engine, info, _say, checkpoint, timing)

        if job.recipe.learning_rates:
            training = tune(train_by, model, job.recipe, sets["validation"], checkpoint, timing, _say)
        else:
            training = train_by(job.recipe, checkpoint)
    else:
        training = estimators.fit(model, job.recipe, sets, seed, use.engine, info, timing, report=_say)

    def predict(state: Mapping[str, torch.Tensor]) -> np.ndarray:
        return predict_probabilities(with_weights(model, state), sets["test"], use.engine, info)

    write_folds([(fold, sets, training, predict)], {"environment": use.environment(), **_spent(checkpoint, timing)})
    checkpoint.remove()


def _train_stack(work: Work, job: TrainingJob, use: _Use, timing: Timing) -> bool:
    """Train folds as one stack; False where this device cannot do that, which is said.

    It may lack an operator that the stack, and so the engine "fast", is computed by. The plain network has others.
    """
    checkpoint = Checkpoint(job.beside("checkpoint"), _identity([fold for fold, _ in work], use), _say)
    for fold, sets in work:
        _say(f"fold {fold.number}: {_counts(sets)} epochs")
    _say(f"{len(work)} folds as one stack, on {use.device}")
    every = [sets for _, sets in work]
    model = _fresh_model(job, use, every[0]["train"])
    try:
        trainings, stack = train_stack(model, job.recipe, every, job.key.seed, job.info, _say, checkpoint, timing)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        _say(f"Warning: no stack ({first_line(error)}): the folds are trained one after the other, slower")
        checkpoint.remove()
        return False
    environment = use.environment() | {"stacked_folds": [fold.number for fold, _ in work]}
    spent = _spent(checkpoint, timing, len(work))
    finished = [
        (fold, sets, training, functools.partial(stack.predict, i))
        for i, ((fold, sets), training) in enumerate(zip(work, trainings, strict=True))
    ]
    write_folds(finished, {"environment": environment, **spent})
    checkpoint.remove()
    return True


def _spent(checkpoint: Checkpoint, timing: Timing, n_folds: int = 1) -> dict[str, Any]:
    """When a training ended, and a fold's share of the time, so that those of all trainings add up."""
    ended = datetime.now(UTC).isoformat(timespec="seconds")
    return {"ended": ended, "duration_s": round(checkpoint.spent_s / n_folds, 1), "timing": timing.record(n_folds)}


def _fresh_model(job: TrainingJob, use: _Use, epochs: EpochSet) -> Network | Estimator:
    torch.manual_seed(job.key.seed)
    model = create_model(job.info.name, len(job.roles), n_samples=epochs.n_samples)
    return model.to(use.device) if job.info.kind == "network" else model


def trained_model(
    info: ModelInfo, epochs: EpochSet, state: Mapping[str, torch.Tensor], device: torch.device
) -> Network | Estimator:
    """A model for such epochs, with weights that were kept."""
    model = with_weights(create_model(info.name, len(epochs.channels), n_samples=epochs.n_samples), state)
    return model.to(device) if info.kind == "network" else model


def with_weights(model: Network | Estimator, state: Mapping[str, torch.Tensor]) -> Network | Estimator:
    """The model as it was when `state` was kept."""
    if not isinstance(model, Network):
        return estimators.from_state(state, model)
    model.load_state_dict(state)
    return model


def _counts(sets: dict[str, EpochSet]) -> str:
    return ", ".join(f"{name} {len(epochs)}" for name, epochs in sets.items())


def _identity(folds: list[FoldOutput], use: _Use) -> dict[str, Any]:
    """What a training of these folds must share with a checkpoint to end with the same bytes."""
    here = {"device": use.device.type, "threads": use.threads, "engine": use.engine, "arrangement": use.arrangement}
    here["torch"] = str(torch.__version__)
    settings = [fold.record["settings"] for fold in folds]
    return {"settings": sha256_of_json(settings), "code_sha256": folds[0].record["code_sha256"], **here}


def _say(line: str) -> None:
    print(line, flush=True)

"""The training loop of one fold: a network, a recipe, and training, validation and test set."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from sleepbench.config.arrangements import STATEFUL
from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation.metrics import confusion_matrix, macro_f1
from sleepbench.models import create_model, describe
from sleepbench.models.base import Estimator, Network, State
from sleepbench.models.registry import ModelInfo, architecture_of
from sleepbench.protocols.selection import selected
from sleepbench.training.augmentation import AUGMENTATIONS
from sleepbench.training.checkpoint import Checkpoint
from sleepbench.training.engines import forward_of
from sleepbench.training.epochs import EpochSet
from sleepbench.training.loss import IGNORED, cross_entropy_of, l2_parameters
from sleepbench.training.optimizer import make_optimizer, set_learning_rate, submodule_of
from sleepbench.training.schedule import cycle_ends, epochs_before_cycle_ends, learning_rate_at
from sleepbench.training.sequences import Batch, Sampler, averaged, inference_batches, segments
from sleepbench.training.timing import EVALUATION, TRAINING, WAITING, Timing

if TYPE_CHECKING:
    from sleepbench.config.recipe import Recipe, RecipeSettings

INFERENCE_BATCH = 32  # measured best on the CPU for ULW-SleepNet; in its C kernel 16 to 256 are within a tenth or so


@dataclass(frozen=True)
class Training:
    """What a training leaves behind.

    history : one dict per training epoch (losses are means over epochs of 30 s; learning_rate that of the last step)
    before_cycle_ends : the training epochs (from 1) at whose end a cycle of the schedule is about to end
    weights : state_dict on the CPU of every training epoch that a selection rule takes
    pretraining : the history of a first phase
    remarks : what was not as the recipe says
    tuning : of a recipe that is tuned, what each of its learning rates came to
    """

    history: list[dict]
    before_cycle_ends: list[int]
    weights: dict[int, dict[str, torch.Tensor]]
    pretraining: list[dict] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    tuning: list[dict] = field(default_factory=list)

    @property
    def selected(self) -> dict[str, int]:
        """The training epoch that each selection rule takes."""
        return selected(self.history, self.before_cycle_ends)


def use_device(device: str, threads: int) -> torch.device:
    """Make torch deterministic with a fixed number of CPU threads; "auto" is the GPU where one is found."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # asked for by deterministic cuBLAS
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.utils.deterministic.fill_uninitialized_memory = False  # a guard for debugging that costs 3 %
    torch.backends.cudnn.benchmark = False
    torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise BenchmarkError(
            "training.device is 'cuda', but torch finds no GPU: set it to auto or cpu, or install with GPU=1"
        )
    found = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
    # Some layers have no deterministic gradient on a GPU, such as max pooling: a warning says so, and training goes on.
    torch.use_deterministic_algorithms(True, warn_only=found.type == "cuda")
    return found


def train(
    model: Network,
    recipe: Recipe,
    sets: dict[str, EpochSet],
    seed: int,
    engine: str,
    info: ModelInfo,
    report: Callable[[str], None] = print,
    checkpoint: Checkpoint | None = None,
    timing: Timing | None = None,
) -> Training:
    """Train `model` in place by `recipe`, on the device it is on.

    Parameters
    ----------
    sets : "train", "validation" (may be empty) and "test"
    seed : of the shuffling, of dropout and of augmentation
    engine : "fast" or "reference", see `engines`
    info : the model's entry in the registry
    report : called with one line per training epoch
    checkpoint : where the training is kept after each training epoch, and what it is resumed from
    timing : counts where the time goes

    The test set never influences the training; it is evaluated after every training epoch because selection rules that
    look at it (best_test) are part of what this benchmark measures.
    """
    remarks = _remarks(recipe, sets)
    for remark in remarks:
        report(remark)
    kept = checkpoint.load() if checkpoint else {}
    timing = timing or Timing()
    timing.resume(kept.get("timing"))
    pretraining = kept.get("pretraining", [])
    if recipe.pretrain and "course" not in kept:
        _check_pretraining(recipe, info)
        pretraining = _pretrain(model, recipe, sets["train"], seed, engine, report, checkpoint, kept, timing)
    sampler = sampler_of(recipe, sets["train"], info)
    progress = Progress.at_start(recipe, sampler, seed)
    if "course" not in kept:
        _measure_input(model, sets["train"])
    course = _Course(model, recipe, sets["train"], sampler, seed, engine, timing)
    if "course" in kept:
        course.restore(kept["course"])
        progress.restore(kept["progress"])
        report(f"resumes after training epoch {progress.completed}, the last that was completed before")
    while progress.completed < recipe.training_epochs and not _is_patience_over(recipe, progress.history):
        row = course.training_epoch()
        for name in ("validation", "test"):
            with after_training_epoch(row):
                row |= {f"{name}_{key}": value for key, value in evaluate(model, sets[name], engine, info).items()}
            timing.lap(EVALUATION, evaluated=len(sets[name]))
        progress.add(row, model.state_dict())
        report(_line(row, recipe.training_epochs))
        if checkpoint:
            checkpoint.save(
                {
                    **{"course": course.state(), "progress": progress.state()},
                    **{"pretraining": pretraining, "timing": timing.totals},
                }
            )
    if progress.completed < recipe.training_epochs:
        remarks.append(f"stopped early: no better on the validation set for {recipe.patience} training epochs")
        report(remarks[-1])
    return progress.training(pretraining, remarks)


def _measure_input(model: Network, epochs: EpochSet) -> None:
    """Let a network take its statistics of the training set, in batches of a recording."""
    if type(model).measure_input is Network.measure_input:
        return
    device = next(model.parameters()).device
    numbers = [np.flatnonzero(epochs.recording == i) for i in range(len(epochs.recordings))]
    model.measure_input(torch.from_numpy(epochs.signals(own)).to(device) for own in numbers if len(own))


def _remarks(recipe: Recipe, sets: dict[str, EpochSet]) -> list[str]:
    if recipe.patience is None or len(sets["validation"]):
        return []
    return [
        f"patience {recipe.patience} of the recipe {recipe.name} is ignored: no validation subjects are held out; "
        f"all {recipe.training_epochs} training epochs are trained"
    ]


def _is_patience_over(recipe: Recipe, history: Sequence[dict]) -> bool:
    """Whether early stopping is due: `patience` training epochs since one was better than all before.

    What better is the recipe's `patience_metric` says. Never due without patience in the recipe, or without validation
    subjects.
    """
    known = [row for row in history if row["validation_accuracy"] is not None]
    if recipe.patience is None or not known:
        return False
    best, *later = known
    for row in later:
        if _is_better(row, best, recipe.patience_metric):
            best = row
    return len(history) - best["training_epoch"] >= recipe.patience


def _is_better(row: dict, best: dict, metric: str) -> bool:
    if metric == "both":
        is_no_worse = row["validation_macro_f1"] >= best["validation_macro_f1"]
        return is_no_worse and row["validation_accuracy"] > best["validation_accuracy"]
    return row[f"validation_{metric}"] > best[f"validation_{metric}"]


@dataclass
class Progress:
    """What a training has produced so far: its history, and the weights of selected training epochs."""

    before_cycle_ends: frozenset[int]
    history: list[dict] = field(default_factory=list)
    weights: dict[int, dict[str, Tensor]] = field(default_factory=dict)

    @classmethod
    def at_start(cls, recipe: Recipe, sampler: Sampler, seed: int) -> Self:
        """Nothing yet, of a training that draws its batches from `sampler`."""
        return cls(training_epochs_before_cycle_ends(recipe, sampler, seed))

    @property
    def completed(self) -> int:
        """Training epochs so far."""
        return len(self.history)

    def add(self, row: dict, state: Mapping[str, Tensor]) -> None:
        """Take note of the next training epoch: its row of the history, and the model's state_dict after it."""
        self.history.append(row)
        self.weights[self.completed] = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
        taken = selected(self.history, self.before_cycle_ends).values()
        self.weights = {n: kept for n, kept in self.weights.items() if n in taken}

    def state(self) -> dict:
        """All of it, for `restore`."""
        return {"history": self.history, "weights": self.weights}

    def restore(self, state: dict) -> None:
        """Be as the progress was whose `state` this is."""
        self.history, self.weights = state["history"], state["weights"]

    def training(self, pretraining: Sequence[dict] = (), remarks: Sequence[str] = ()) -> Training:
        """The finished training."""
        done = sorted(n for n in self.before_cycle_ends if n <= self.completed)
        return Training(self.history, done, self.weights, list(pretraining), list(remarks))


def _check_pretraining(recipe: Recipe, info: ModelInfo) -> None:
    """A part that is handed over must see the same in both phases."""
    first = describe(recipe.pretrain.model)
    if first.input_transformation != info.input_transformation:
        raise BenchmarkError(
            f"recipe {recipe.name}.pretrain.model: {first.name} and {info.name} transform their input differently "
            f"({first.input_transformation.settings()}, {info.input_transformation.settings()}); take another model"
        )


def _pretrain(
    model: Network,
    recipe: Recipe,
    epochs: EpochSet,
    seed: int,
    engine: str,
    report: Callable[[str], None],
    checkpoint: Checkpoint | None,
    kept: dict,
    timing: Timing,
) -> list[dict]:
    """Pretrain another model on the training set and copy a submodule of it into `model`.

    Returns the history of this first phase. BenchmarkError where the submodule is missing or does not fit.
    """
    phase = recipe.pretrain
    asked_by = f"recipe {recipe.name}.pretrain: submodule"
    part = submodule_of(model, phase.submodule, asked_by)
    first = create_model(phase.model, len(epochs.channels), n_samples=epochs.n_samples)
    first.to(next(model.parameters()).device)
    trained = submodule_of(first, phase.submodule, asked_by)
    course = _Course(first, phase, epochs, sampler_of(phase, epochs, describe(phase.model)), seed, engine, timing)
    history = []
    if "first_course" in kept:
        course.restore(kept["first_course"])
        history = kept["pretraining"]
        report(f"first phase resumes after training epoch {len(history)}, the last that was completed before")
    while len(history) < phase.training_epochs:
        history.append(course.training_epoch())
        report(f"first phase, {_progress(history[-1], phase.training_epochs)}")
        if checkpoint:
            checkpoint.save({"first_course": course.state(), "pretraining": history, "timing": timing.totals})
    try:
        part.load_state_dict(trained.state_dict())
    except RuntimeError as error:
        raise BenchmarkError(
            f"{asked_by}: {phase.submodule!r} of {phase.model} does not fit into {type(model).__name__}: {error}"
        ) from error
    return history


def sampler_of(recipe: RecipeSettings, epochs: EpochSet, info: ModelInfo) -> Sampler:
    """The sampler that draws the batches of a training set for a model.

    BenchmarkError for an empty training set, or where the recipe asks for what the model is not.
    """
    if not len(epochs):
        raise BenchmarkError("the training set holds no epochs")
    length = info.sequence_length
    if length is not None and recipe.balanced_sampling:
        raise BenchmarkError(
            f"recipe {recipe.name}: balanced_sampling is for models of single epochs, but {info.name} is trained on "
            "sequences; set it to false, or take sequences: balanced"
        )
    if length is None and recipe.sequences != "cut":
        raise BenchmarkError(
            f"recipe {recipe.name}: sequences is {recipe.sequences!r}, but {info.name} is a model of single epochs; "
            "leave it out"
        )
    if recipe.sequences in STATEFUL and not architecture_of(info).carries_state():
        raise BenchmarkError(
            f"recipe {recipe.name}: sequences is {recipe.sequences!r}, which carries a recurrent state, but "
            f"{info.name} has none to carry (no forward_from); take cut, overlapping or balanced"
        )
    return Sampler(
        epochs.stage,
        recipe.items_per_batch(info),
        [] if length is None else segments(epochs),
        length,
        recipe.balanced_sampling,
        recipe.sequences,
        epochs.recording,
        recipe.drop_last,
    )


def training_epochs_before_cycle_ends(recipe: Recipe, sampler: Sampler, seed: int) -> frozenset[int]:
    """The training epochs that the rule "cycle_end" selects from.

    Where the number of batches differs between training epochs, all are drawn in advance to count their batches. Empty
    for a schedule without cycles.
    """
    if recipe.schedule != "cosine_restarts":
        return frozenset()
    shuffling, n = torch.Generator().manual_seed(seed), recipe.training_epochs
    if sampler.varies:
        n_batches = [len(sampler.draw(shuffling)) for _ in range(n)]
    else:
        n_batches = [len(sampler.draw(shuffling))] * n
    steps_done = list(accumulate(n_batches))
    return epochs_before_cycle_ends(cycle_ends(recipe, steps_done[-1]), steps_done)


class _Course:
    """A network on its way through a training set; everything that its next training epoch depends on."""

    def __init__(
        self,
        model: Network,
        recipe: RecipeSettings,
        epochs: EpochSet,
        sampler: Sampler,
        seed: int,
        engine: str,
        timing: Timing,
    ):
        self.model, self.recipe, self.sampler, self.timing = model, recipe, sampler, timing
        self.learner = _Learner(model, recipe, epochs, seed, engine, timing)
        self.shuffling = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self.step = self.completed = 0

    def training_epoch(self) -> dict:
        """Train for one pass over the training set; what is known of it from the training itself."""
        losses, counted, correct = [], [], 0
        self.learner.start()
        batches = self.sampler.draw(self.shuffling)
        self.timing.start()
        for i, batch in enumerate(batches):
            rate = learning_rate_at(self.recipe, self.step, self.completed + i / len(batches))
            loss, hits = self.learner.step(batch, rate)
            check_loss(loss, self.completed + 1, i + 1, len(batches))
            losses.append(loss)
            counted.append(int(batch.counted.sum()))
            correct += hits
            self.timing.lap(TRAINING, trained=counted[-1])
            self.step += 1
        self.completed += 1
        row = {
            "training_epoch": self.completed,
            "learning_rate": rate,
            "train_loss": float(np.average(losses, weights=counted)),
            "train_accuracy": correct / sum(counted),
        }
        with after_training_epoch(row):
            check_weights(self.model.state_dict())
        return row

    def state(self) -> dict:
        """All of it, for `restore`."""
        cuda = torch.cuda.get_rng_state_all() if self.learner.device.type == "cuda" else []
        return {
            "model": self.model.state_dict(),
            "optimizer": self.learner.optimizer.state_dict(),
            "augmenting": self.learner.augmenting.bit_generator.state,
            "shuffling": self.shuffling.get_state(),
            "drawing": torch.get_rng_state(),
            "drawing_on_gpu": cuda,
            "step": self.step,
            "completed": self.completed,
        }

    def restore(self, state: dict) -> None:
        """Be as the course was whose `state` this is."""
        self.model.load_state_dict(state["model"])
        self.learner.optimizer.load_state_dict(state["optimizer"])
        self.learner.augmenting.bit_generator.state = state["augmenting"]
        self.shuffling.set_state(state["shuffling"])
        torch.set_rng_state(state["drawing"])
        if state["drawing_on_gpu"]:
            torch.cuda.set_rng_state_all(state["drawing_on_gpu"])
        self.step, self.completed = state["step"], state["completed"]


class DivergedError(BenchmarkError):
    """A loss, a weight or a probability of a training is not finite.

    position : of the fold among those that are trained at once
    """

    def __init__(self, message: str, position: int = 0):
        super().__init__(message)
        self.position = position


def check_loss(loss: float, training_epoch: int, step: int, n_steps: int, position: int = 0) -> None:
    """Raise DivergedError when the loss of an optimizer step is not finite."""
    if not math.isfinite(loss):
        where = f"step {step} of {n_steps} of training epoch {training_epoch}"
        raise DivergedError(f"the training loss is {loss} in {where}", position)


def check_weights(state: Mapping[str, Tensor], position: int = 0) -> None:
    """Raise DivergedError when a tensor of a state_dict is not finite."""
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise DivergedError(f"not all weights of '{name}' are finite", position)


def check_probabilities(probabilities: np.ndarray, position: int = 0) -> None:
    """Raise DivergedError when one of the probabilities (n_epochs, n_classes) is not finite."""
    if n := np.count_nonzero(~np.isfinite(probabilities).all(axis=1)):
        raise DivergedError(f"{n:,} of {len(probabilities):,} epochs have probabilities that are not finite", position)


@contextmanager
def after_training_epoch(row: Mapping[str, Any]) -> Iterator[None]:
    """Say after which training epoch something is not finite."""
    try:
        yield
    except DivergedError as error:
        raise DivergedError(f"{error} after training epoch {row['training_epoch']}", error.position) from error


def _require_folds(model: Network, recipe: RecipeSettings) -> None:
    if recipe.frozen_norms or not model.has_folds():
        raise BenchmarkError(
            f"recipe {recipe.name}: activations is 'bfloat16', which is for networks with forward_folds alone, and for "
            f"norms that are not frozen, not for {type(model).__name__}: leave the key out"
        )


class _Learner:
    """A network with what changes it: the recipe's optimizer and loss, on the epochs of a training set."""

    def __init__(
        self, model: Network, recipe: RecipeSettings, epochs: EpochSet, seed: int, engine: str, timing: Timing
    ):
        self.model, self.recipe, self.epochs, self.timing = model, recipe, epochs, timing
        self.device = next(model.parameters()).device
        # The fast arrangement norms by the network's own mode.
        self.forward = forward_of(model, "reference" if recipe.frozen_norms else engine)
        if recipe.activations == "bfloat16":
            _require_folds(model, recipe)
            self.forward = lambda signals: model.forward_fast(signals.to(torch.bfloat16))
        self.state: State | None = None
        self.optimizer = make_optimizer(model, recipe)
        self.cross_entropy = cross_entropy_of(recipe, epochs.stage, next(model.parameters()))
        self.penalised = l2_parameters(model, recipe)
        self.augmenting = np.random.default_rng(seed)

    def start(self) -> None:
        """Set the network to training."""
        self.model.train()
        if self.recipe.frozen_norms:
            for module in self.model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def step(self, batch: Batch, learning_rate: float) -> tuple[float, int]:
        """One optimizer step: the batch's mean cross-entropy and its number of correct epochs.

        Only epochs that count are in either.
        """
        signals, labels = self._load(batch)
        self.timing.lap(WAITING)
        set_learning_rate(self.optimizer, learning_rate)
        self.optimizer.zero_grad(set_to_none=True)
        logits = self._logits(batch, signals).flatten(0, -2)  # of a sequence model (batch, length, n_classes)
        loss = self.cross_entropy(logits, labels)
        (loss + self._penalty() if self.penalised else loss).backward()
        if self.recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        return loss.item(), int((logits.argmax(dim=1) == labels).sum())

    def _logits(self, batch: Batch, signals: Tensor) -> Tensor:
        if batch.continues is None:
            return self.forward(signals)
        logits, state = self.model.forward_from(signals, self._carried(batch.continues))
        self.state = tuple(tensor.detach() for tensor in state)
        return logits

    def _carried(self, continues: np.ndarray) -> State | None:
        """The state that each row goes on from, zeros where it goes on from none."""
        if (continues < 0).all():
            return None
        rows = torch.from_numpy(continues).to(self.device)
        goes_on = (rows >= 0).unsqueeze(1)
        return tuple(torch.where(goes_on, tensor[rows.clamp(min=0)], 0) for tensor in self.state)

    def _load(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The signals of a batch, augmented, and the labels (n,) of all its epochs in a row."""
        signals = self.epochs.signals(batch.epochs)
        for name in self.recipe.augmentation:
            signals = AUGMENTATIONS[name](signals, self.augmenting)
        labels = np.where(batch.counted, self.epochs.stage[batch.epochs], IGNORED).reshape(-1)
        return torch.from_numpy(signals).to(self.device), torch.from_numpy(labels).to(self.device)

    def _penalty(self) -> Tensor:
        return self.recipe.l2 / 2 * torch.stack([parameter.square().sum() for parameter in self.penalised]).sum()


def predict_probabilities(model: Network | Estimator, epochs: EpochSet, engine: str, info: ModelInfo) -> np.ndarray:
    """Stage probabilities of every epoch in evaluation mode, float32 (n_epochs, 5).

    DivergedError where they are not finite: the largest of NaNs would be that of W.
    """
    probabilities = _probabilities(model, epochs, engine, info)
    check_probabilities(probabilities)
    return probabilities


@torch.inference_mode()
def _probabilities(model: Network | Estimator, epochs: EpochSet, engine: str, info: ModelInfo) -> np.ndarray:
    batches = inference_batches(epochs, info.sequence_length, info.inference, INFERENCE_BATCH)
    if info.kind == "estimator":
        probabilities = [model.predict_proba(epochs.signals(batch.epochs)).astype(np.float32) for batch in batches]
        return np.concatenate(probabilities)
    model.eval()
    device = next(model.parameters()).device
    if info.inference == "fused":
        return _fused_probabilities(model, epochs, batches, INFERENCE_BATCH * info.sequence_length)
    forward = forward_of(model, engine)
    logits = [forward(torch.from_numpy(epochs.signals(batch.epochs)).to(device)).flatten(0, -2) for batch in batches]
    return averaged(torch.cat(logits).softmax(dim=1).cpu().numpy(), batches, len(epochs))


def _fused_probabilities(model: Network, epochs: EpochSet, batches: list[Batch], at_once: int) -> np.ndarray:
    """Each epoch is encoded once and classified in every window that holds it; `at_once` epochs are encoded at once."""
    device = next(model.parameters()).device
    parts = np.split(np.arange(len(epochs)), range(at_once, len(epochs), at_once))
    encoded = torch.cat([model.encode_epochs(torch.from_numpy(epochs.signals(part)).to(device)) for part in parts])
    windows = [
        model.classify_encoded(encoded[torch.from_numpy(batch.epochs).to(device)]).flatten(0, 1) for batch in batches
    ]
    logarithms = averaged(torch.cat(windows).log_softmax(dim=1).cpu().numpy(), batches, len(epochs))
    return torch.from_numpy(logarithms).softmax(dim=1).numpy()


def evaluate(model: Network | Estimator, epochs: EpochSet, engine: str, info: ModelInfo) -> dict[str, float | None]:
    """Cross-entropy, accuracy and macro-F1 of a model's predictions; None on an empty set."""
    if not len(epochs):
        return dict.fromkeys(("loss", "accuracy", "macro_f1"))
    return scores(predict_probabilities(model, epochs, engine, info), epochs.stage)


def scores(probabilities: np.ndarray, stage: np.ndarray) -> dict[str, float]:
    """Cross-entropy, accuracy and macro-F1 of stage probabilities (n, n_classes), at least one."""
    of_stage = probabilities[np.arange(len(stage)), stage].astype(np.float64)
    predicted = probabilities.argmax(axis=1)
    return {
        "loss": float(-np.log(np.maximum(of_stage, np.finfo(np.float32).tiny)).mean()),
        "accuracy": float((predicted == stage).mean()),
        "macro_f1": macro_f1(confusion_matrix(stage, predicted)),
    }


def _progress(row: dict, n: int) -> str:
    return (
        f"training epoch {row['training_epoch']:>{len(str(n))}}/{n}  loss {row['train_loss']:.4f}  "
        f"accuracy: training {row['train_accuracy']:.3f}"
    )


def _line(row: dict, n: int) -> str:
    validation = "" if row["validation_accuracy"] is None else f"  validation {row['validation_accuracy']:.3f}"
    return f"{_progress(row, n)}{validation}  test {row['test_accuracy']:.3f}"

"""Several folds of a training at once, as a stack of K networks of one architecture.

For a device that one network alone would leave mostly idle, and for steps so small that most of one is overhead.

Every tensor of the stack has a first axis of folds, and nothing crosses it: batch norm, loss, gradient clipping, Adam's
moments, learning rate and order of batches are each fold's own, so that a fold ends as it would alone, but for rounding
and for its dropout, which is drawn for all folds together. The signals of all recordings are loaded to the device once.

Folds have training sets of different size. A training epoch of the stack takes as many steps as that of its largest
fold; where a fold's batch is smaller, or it has none left, the epochs that fill it up do not count, and a fold without
a batch is not changed by the step. On a GPU the step is replayed as a CUDA graph.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sleepbench.core.errors import first_line
from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network
from sleepbench.models.registry import ModelInfo, architecture_of
from sleepbench.training.checkpoint import Checkpoint
from sleepbench.training.epochs import EpochSet
from sleepbench.training.loop import (
    INFERENCE_BATCH,
    Progress,
    Training,
    after_training_epoch,
    check_loss,
    check_probabilities,
    check_weights,
    sampler_of,
    scores,
)
from sleepbench.training.loss import IGNORED, class_weights_of, cross_entropies
from sleepbench.training.memory import is_out_of_memory
from sleepbench.training.optimizer import StackedAdam
from sleepbench.training.schedule import learning_rate_at
from sleepbench.training.sequences import Batch
from sleepbench.training.timing import EVALUATION, TRAINING, WAITING, Timing

if TYPE_CHECKING:
    from sleepbench.config.recipe import Recipe

GPU_INFERENCE_BATCH = 128  # of each fold
SMALL_BATCH = 2**15
"""Values of a fold's batch up to which a stack saves time on a CPU: `benchmark stack` measures it."""
WARM_UP_STEPS = 3  # before a CUDA graph is captured, as PyTorch's documentation asks


def is_stackable(info: ModelInfo, recipe: Recipe, engine: str, device: torch.device, n_values: int) -> bool:
    """Whether the folds of a training on epochs of `n_values`, of all channels, are to be one stack.

    The model must have that form, and the recipe ask for nothing that a stack does not do. A CPU, which memory holds
    up, gains nothing from it unless batches are small.
    """
    alone = (
        *(recipe.augmentation, recipe.l2, recipe.learning_rate_of, recipe.pretrain, recipe.patience),
        *(recipe.learning_rates, recipe.frozen_norms, recipe.loss_mean != "weights"),
    )
    if info.kind != "network" or engine != "fast" or any(alone):
        return False
    if device.type == "cpu" and recipe.items_per_batch(info) * (info.sequence_length or 1) * n_values > SMALL_BATCH:
        return False
    return architecture_of(info).has_folds()


def train_stack(
    model: Network,
    recipe: Recipe,
    sets: Sequence[dict[str, EpochSet]],
    seed: int,
    info: ModelInfo,
    report: Callable[[str], None] = print,
    checkpoint: Checkpoint | None = None,
    timing: Timing | None = None,
) -> tuple[list[Training], Stack]:
    """Train a copy of `model` for each fold: `loop.train` of the engine "fast" for several folds at once.

    Parameters
    ----------
    model : with the weights that every fold starts from, on the device that trains; it is left as it is
    sets : of each fold "train", "validation" (may be empty) and "test"
    seed, report, checkpoint, timing : as in `loop.train`; of all folds together

    Returns
    -------
    What each fold leaves behind, and the stack, for its `predict`
    """
    timing = timing or Timing()
    stack = Stack(model, recipe, sets, seed, info, timing, report)
    progress = [Progress.at_start(recipe, sampler, seed) for sampler in stack.samplers]
    kept = checkpoint.load() if checkpoint else {}
    if kept:
        stack.restore(kept["stack"])
        timing.resume(kept["timing"])
        for one, state in zip(progress, kept["progress"], strict=True):
            one.restore(state)
        report(f"resumes after training epoch {stack.completed}, the last that was completed before")
    while stack.completed < recipe.training_epochs:
        rows = stack.training_epoch()
        for name in ("validation", "test"):
            with after_training_epoch(rows[0]):
                evaluated = stack.evaluate(name)
            for row, values in zip(rows, evaluated, strict=True):
                row |= {f"{name}_{key}": value for key, value in values.items()}
            timing.lap(EVALUATION, evaluated=sum(len(fold[name]) for fold in sets))
        states = stack.state_dicts()
        for position, state in enumerate(states):
            with after_training_epoch(rows[position]):
                check_weights(state, position)
        for one, row, state in zip(progress, rows, states, strict=True):
            one.add(row, state)
        report(_line(rows, recipe.training_epochs))
        if checkpoint:
            of_folds = [one.state() for one in progress]
            checkpoint.save({"stack": stack.state(), "progress": of_folds, "timing": timing.totals})
    return [one.training() for one in progress], stack


class Stack:
    """K networks in training, each on its own training set.

    Holds everything that the next training epoch depends on.
    """

    def __init__(
        self,
        model: Network,
        recipe: Recipe,
        sets: Sequence[dict[str, EpochSet]],
        seed: int,
        info: ModelInfo,
        timing: Timing,
        report: Callable[[str], None] = print,
    ):
        self.model, self.recipe, self.sets, self.timing, self.report = model, recipe, sets, timing, report
        self.device = next(model.parameters()).device
        n_folds = len(sets)
        self.parameters, own = _stacked(dict(model.named_parameters()), n_folds)
        leaves = {name: view.detach().requires_grad_() for name, view in own.items()}
        statistics = {name: tensor for name, tensor in model.named_buffers() if tensor.is_floating_point()}
        counters = {name: tensor for name, tensor in model.named_buffers() if not tensor.is_floating_point()}
        self.statistics, statistics = _stacked(statistics, n_folds)
        self.counters, counters = _stacked(counters, n_folds)
        self.networks = leaves | statistics | counters
        self.leaves = list(leaves.values())
        self.adam = StackedAdam(self.parameters, recipe)
        weights = [class_weights_of(recipe, fold["train"].stage) for fold in sets]
        self.class_weights = self.parameters.new_tensor(
            np.array([np.ones(len(STAGES)) if w is None else w for w in weights])
        )

        self.samplers = [sampler_of(recipe, fold["train"], info) for fold in sets]
        self.shuffling = [torch.Generator().manual_seed(seed) for _ in sets]
        torch.manual_seed(seed)
        self.signals, position_of = _load(sets, self.parameters)
        self.positions = {name: [position_of(fold[name]) for fold in sets] for name in ("train", "validation", "test")}
        self.steps = [0] * n_folds
        self.completed = 0
        self.at = torch.zeros(1, dtype=torch.int64, device=self.device)
        self.hits = torch.zeros(n_folds, dtype=torch.int64, device=self.device)
        self.tables: dict[str, Tensor] = {}
        self.graphs: dict[bool, torch.cuda.CUDAGraph] = {}
        self.is_captured = self.device.type == "cuda"

    def training_epoch(self) -> list[dict]:
        """Train every fold for one pass over its training set; the row of each fold's history.

        The rows hold what is known from the training itself. DivergedError where a loss is not finite.
        """
        self.timing.start()
        batches, sizes, rates = self.draw()
        self.timing.lap(WAITING)
        for step, is_whole in enumerate((sizes == self.tables["index"].shape[2]).all(axis=1)):
            self._run_step(masked=not is_whole)
            if step == 0:
                self.at.item()  # waits for the GPU: the job's first step is done
                self.timing.lap(TRAINING)
        self.completed += 1
        losses, hits = self.tables["losses"].cpu().numpy(), self.hits.cpu().numpy()
        self.timing.lap(TRAINING, trained=int(sizes.sum()))
        rows = []
        for i, own in enumerate(batches):
            self.steps[i] += len(own)
            n = len(own)
            for step, loss in enumerate(losses[:n, i].tolist(), start=1):
                check_loss(loss, self.completed, step, n, i)
            row = {
                "training_epoch": self.completed,
                "learning_rate": float(rates[n - 1, i]),
                "train_loss": float(np.average(losses[:n, i].astype(np.float64), weights=sizes[:n, i])),
                "train_accuracy": float(hits[i] / sizes[:, i].sum()),
            }
            rows.append(row)
        return rows

    def draw(self) -> tuple[list[list[Batch]], np.ndarray, np.ndarray]:
        """Prepare a training epoch: the batches of each fold, their sizes and learning rates.

        Sizes and learning rates are (n_steps, n_folds), 0 where a fold has no batch. Everything is set for the first
        step.
        """
        batches = [sampler.draw(shuffling) for sampler, shuffling in zip(self.samplers, self.shuffling, strict=True)]
        sizes, rates = _sizes(batches), self._rates(batches)
        self._fill_tables(batches, sizes, rates)
        self.model.train()
        self.at.zero_()
        self.hits.zero_()
        return batches, sizes, rates

    def _rates(self, batches: Sequence[Sequence]) -> np.ndarray:
        """Learning rates (n_steps, n_folds); where a fold has no batch, 0."""
        rates = np.zeros((max(map(len, batches)), len(batches)))
        for i, own in enumerate(batches):
            for j in range(len(own)):
                rates[j, i] = learning_rate_at(self.recipe, self.steps[i] + j, self.completed + j / len(own))
        return rates

    def _fill_tables(self, batches: Sequence[Sequence], sizes: np.ndarray, rates: np.ndarray) -> None:
        """Put the inputs of each step on the device.

        While their shape stays the same they are in the same memory, from which a CUDA graph reads them.
        """
        shape = (*sizes.shape, self.samplers[0].batch_size)
        index, labels = np.zeros(shape, np.int64), np.full(shape, IGNORED, np.int64)
        for i, own in enumerate(batches):
            stage, positions = self.sets[i]["train"].stage, self.positions["train"][i]
            for j, batch in enumerate(own):
                index[j, i, : len(batch.epochs)] = positions[batch.epochs]
                labels[j, i, : len(batch.epochs)] = stage[batch.epochs]
        contents = {
            "index": torch.from_numpy(index),
            "labels": torch.from_numpy(labels),
            "rates": torch.from_numpy(rates),
            "losses": torch.zeros(sizes.shape, dtype=self.parameters.dtype),
            "step": torch.arange(len(sizes)).unsqueeze(1),
        }
        if self.tables and self.tables["index"].shape == shape:
            for name, content in contents.items():
                self.tables[name].copy_(content)
        else:
            self.tables = {name: content.to(self.device) for name, content in contents.items()}
            self.graphs.clear()

    def _run_step(self, masked: bool) -> None:
        if self.is_captured and masked not in self.graphs:
            self._capture(masked)
        if self.is_captured:
            self.graphs[masked].replay()
        else:
            self.step(masked)

    def step(self, masked: bool) -> None:
        """One optimizer step of every fold; `masked` when not all folds have a whole batch."""
        index, labels, rates = (self.tables[name].index_select(0, self.at)[0] for name in ("index", "labels", "rates"))
        counted = labels != IGNORED if masked else None
        signals = self.signals[index]
        if self.recipe.activations == "bfloat16":
            signals = signals.to(torch.bfloat16)
        logits = self.model.forward_folds(self.networks, signals, counted)
        losses = cross_entropies(logits, labels, self.class_weights, self.recipe.label_smoothing)
        gradients = torch.autograd.grad(losses.sum(), self.leaves, materialize_grads=True)
        with torch.no_grad():
            gradient = torch.cat([part.flatten(1) for part in gradients], dim=1)
            self.adam.step(gradient, rates.unsqueeze(1), counted.any(dim=1, keepdim=True) if masked else None)
            is_now = self.tables["step"] == self.at
            self.tables["losses"].copy_(torch.where(is_now, losses, self.tables["losses"]))
            self.hits += (logits.argmax(dim=-1) == labels).sum(dim=1)
            self.at += 1

    def _capture(self, masked: bool) -> None:
        """Capture a step as a CUDA graph, and restore everything that this changes.

        Where no graph can be captured, steps are launched one by one, as on a CPU.

        Memory that PyTorch had set aside for a graph whose capture failed may stay taken until the process ends.
        """
        before, drawing = [tensor.clone() for tensor in self._tensors()], torch.cuda.get_rng_state(self.device)
        graph, stream, current = torch.cuda.CUDAGraph(), torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(current)
        try:
            # torch.cuda.graph leaves its stream only if the capture ends well; this block does in any case.
            with torch.cuda.stream(stream):
                self.at.zero_()
                for _ in range(min(WARM_UP_STEPS, len(self.tables["index"]))):
                    self.step(masked)
                self.at.zero_()
                with torch.cuda.graph(graph, stream=stream):
                    self.step(masked)
            self.graphs[masked] = graph
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            self.is_captured = False
            self.report(f"Warning: no CUDA graph ({first_line(error)}): steps are launched one by one, slower")
        current.wait_stream(stream)
        for tensor, old in zip(self._tensors(), before, strict=True):
            tensor.copy_(old)
        torch.cuda.set_rng_state(drawing, self.device)

    def _tensors(self) -> list[Tensor]:
        """What a step changes."""
        of_networks = [self.parameters, self.statistics, self.counters, *self.adam.state.values()]
        return [*of_networks, self.at, self.hits, self.tables["losses"]]

    def evaluate(self, name: str) -> list[dict[str, float | None]]:
        """For each fold, cross-entropy, accuracy and macro-F1 on its set of that name; None on an empty set."""
        probabilities = self._probabilities(self.positions[name])
        return [
            scores(own, fold[name].stage) if len(own) else dict.fromkeys(("loss", "accuracy", "macro_f1"))
            for own, fold in zip(probabilities, self.sets, strict=True)
        ]

    def predict(self, fold: int, state: Mapping[str, Tensor]) -> np.ndarray:
        """Stage probabilities (n, n_classes) of a fold's test set with the weights `state`.

        The weights, a state_dict of its network, replace those in the stack. The probabilities are bit for bit those
        that the fold was evaluated with when it had these weights: batches have the same shape.
        """
        with torch.no_grad():
            for name, tensor in state.items():
                self.networks[name][fold].copy_(tensor)
        nothing = self.positions["test"][fold][:0]
        return self._probabilities([p if i == fold else nothing for i, p in enumerate(self.positions["test"])])[fold]

    @torch.no_grad()
    def _probabilities(self, positions: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Stage probabilities, float32 (n, n_classes) for each fold, of the epochs at its n positions."""
        size = GPU_INFERENCE_BATCH if self.device.type == "cuda" else INFERENCE_BATCH
        n_steps = math.ceil(max(map(len, positions)) / size)
        if not n_steps:
            return [np.empty((0, len(STAGES)), np.float32) for _ in positions]
        table = np.zeros((len(positions), n_steps * size), np.int64)
        for row, own in zip(table, positions, strict=True):
            row[: len(own)] = own
        self.model.eval()
        parts = [
            self.model.forward_folds(self.networks, self.signals[index]).softmax(dim=-1)
            for index in torch.from_numpy(table).to(self.device).split(size, dim=1)
        ]
        joined = torch.cat(parts, dim=1).cpu().numpy()
        probabilities = [joined[i, : len(own)] for i, own in enumerate(positions)]
        for position, of_fold in enumerate(probabilities):
            check_probabilities(of_fold, position)
        return probabilities

    def state_dicts(self) -> list[dict[str, Tensor]]:
        """Each fold's state_dict, on the CPU."""
        networks = {name: tensor.detach().cpu() for name, tensor in self.networks.items()}
        return [{name: networks[name][i] for name in self.model.state_dict()} for i in range(len(self.sets))]

    def state(self) -> dict:
        """All of it after a training epoch, for `restore`."""
        return {
            **{"parameters": self.parameters, "statistics": self.statistics, "counters": self.counters},
            "adam": self.adam.state,
            "shuffling": [generator.get_state() for generator in self.shuffling],
            "drawing": torch.get_rng_state(),
            "drawing_on_gpu": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
            "steps": self.steps,
            "completed": self.completed,
        }

    def restore(self, state: dict) -> None:
        """Be as the stack was whose `state` this is."""
        for name in ("parameters", "statistics", "counters"):
            getattr(self, name).copy_(state[name])
        for name, tensor in self.adam.state.items():
            tensor.copy_(state["adam"][name])
        for generator, kept in zip(self.shuffling, state["shuffling"], strict=True):
            generator.set_state(kept)
        torch.set_rng_state(state["drawing"])
        if state["drawing_on_gpu"]:
            torch.cuda.set_rng_state_all(state["drawing_on_gpu"])
        self.steps, self.completed = list(state["steps"]), state["completed"]


def _stacked(tensors: Mapping[str, Tensor], n_folds: int) -> tuple[Tensor, dict[str, Tensor]]:
    """`n_folds` copies of some tensors in one (n_folds, n), and views of it by name (n_folds, *shape)."""
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors.values()]).repeat(n_folds, 1)
    parts = flat.split([tensor.numel() for tensor in tensors.values()], dim=1)
    views = zip(tensors.items(), parts, strict=True)
    return flat, {name: part.view(n_folds, *tensor.shape) for (name, tensor), part in views}


def _load(sets: Iterable[dict[str, EpochSet]], like: Tensor) -> tuple[Tensor, Callable[[EpochSet], np.ndarray]]:
    """Load the signals of all epochs in some sets, each once.

    Returns them (n, n_channels, n_samples), of the type and on the device of `like`, and a function that gives the
    positions (n_epochs,) of an `EpochSet` in them.
    """
    every = [epochs for fold in sets for epochs in fold.values() if len(epochs)]
    rows, stored = {}, {}
    for epochs in every:
        for i, prepared in enumerate(epochs.recordings):
            rows[prepared.id] = np.union1d(rows.get(prepared.id, []), epochs.row[epochs.recording == i]).astype(int)
            stored[prepared.id] = functools.partial(epochs.stored, i)
    bounds = np.cumsum([0, *map(len, rows.values())])
    start = dict(zip(rows, bounds[:-1].tolist(), strict=True))
    signals = like.new_empty(bounds[-1], len(every[0].channels), every[0].n_samples)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # is only read
        for id, own in rows.items():
            signals[start[id] : start[id] + len(own)] = torch.from_numpy(stored[id](own))

    def position_of(epochs: EpochSet) -> np.ndarray:
        position = np.empty(len(epochs), np.int64)
        for i, prepared in enumerate(epochs.recordings):
            own = epochs.recording == i
            position[own] = start[prepared.id] + np.searchsorted(rows[prepared.id], epochs.row[own])
        return position

    return signals, position_of


def _sizes(batches: Sequence[Sequence]) -> np.ndarray:
    """Epochs in each fold's batch of each step (n_steps, n_folds); 0 where it has none."""
    sizes = np.zeros((max(map(len, batches)), len(batches)), np.int64)
    for i, own in enumerate(batches):
        sizes[: len(own), i] = [len(batch.epochs) for batch in own]
    return sizes


def _line(rows: Sequence[dict], n: int) -> str:
    """The progress of all folds: means over them."""

    def mean(column: str) -> float | None:
        values = [row[column] for row in rows if row[column] is not None]
        return float(np.mean(values)) if values else None

    validation = mean("validation_accuracy")
    return (
        f"training epoch {rows[0]['training_epoch']:>{len(str(n))}}/{n}  mean of {len(rows)} folds: "
        f"loss {mean('train_loss'):.4f}  accuracy: training {mean('train_accuracy'):.3f}"
        f"{'' if validation is None else f'  validation {validation:.3f}'}  test {mean('test_accuracy'):.3f}"
    )

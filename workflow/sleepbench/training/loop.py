"""One training: a network, a recipe and the three sets of a fold, epoch after epoch."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sleepbench.errors import BenchmarkError
from sleepbench.training.data import EpochSet
from sleepbench.training.engines import forward_of
from sleepbench.training.recipes import Recipe, cycle_ends, learning_rate_at, make_optimizer, set_learning_rate
from sleepbench.training.selection import Selections, epochs_before_cycle_ends

INFERENCE_BATCH = 32  # measured best on the CPU for ULW-SleepNet: larger batches fall out of the cache


@dataclass(frozen=True)
class Training:
    """What a training leaves behind.

    history : one dict per training epoch (losses are means over epochs of 30 s; learning_rate that of the last step)
    selected : the 1-based training epoch that each selection rule chose
    weights : state_dict on the CPU of every chosen training epoch
    """

    history: list[dict]
    selected: dict[str, int]
    weights: dict[int, dict[str, torch.Tensor]]


def use_device(device: str, threads: int) -> torch.device:
    """Make torch deterministic with a fixed number of CPU threads; "auto" is the GPU where one is found."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # asked for by deterministic cuBLAS
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a guard for debugging that costs 3 %
    torch.backends.cudnn.benchmark = False
    torch.set_num_threads(threads)
    if device == "cuda" and not torch.cuda.is_available():
        raise BenchmarkError(
            "training.device is 'cuda', but torch finds no GPU: set it to auto or cpu, or install with GPU=1"
        )
    return torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")


def train(
    model: nn.Module,
    recipe: Recipe,
    sets: dict[str, EpochSet],
    seed: int,
    engine: str,
    report: Callable[[str], None] = print,
) -> Training:
    """Train `model` in place by `recipe`, on the device it is on.

    Parameters
    ----------
    sets : "train", "validation" (may be empty) and "test"
    seed : of the shuffling and of dropout
    engine : "fast" or "reference", see `engines`
    report : called with one line per training epoch

    The test set never influences the training; it is evaluated after every training epoch because selection rules that
    look at it (best_test) are part of what this benchmark measures.
    """
    if not len(sets["train"]):
        raise BenchmarkError("the training set holds no epochs")
    device = next(model.parameters()).device
    forward = forward_of(model, engine)
    optimizer = make_optimizer(model, recipe)
    shuffling = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    selections = _selections(recipe, sets)
    history, weights, step = [], {}, 0
    for training_epoch in range(1, recipe.training_epochs + 1):
        losses, correct = [], 0
        model.train()
        for indices in torch.randperm(len(sets["train"]), generator=shuffling).split(recipe.batch_size):
            rate = learning_rate_at(recipe, step)
            set_learning_rate(optimizer, rate)
            loss, hits = _step(forward, optimizer, sets["train"], indices.numpy(), device)
            losses.append((loss, len(indices)))
            correct += hits
            step += 1
        row = {
            "training_epoch": training_epoch,
            "learning_rate": rate,
            "train_loss": float(np.average([loss for loss, _ in losses], weights=[n for _, n in losses])),
            "train_accuracy": correct / len(sets["train"]),
        }
        for name in ("validation", "test"):
            row |= {f"{name}_{key}": value for key, value in _evaluate(model, sets[name], engine).items()}
        if not np.isfinite(row["train_loss"]):
            raise BenchmarkError(f"the training loss is {row['train_loss']} in training epoch {training_epoch}")
        history.append(row)
        selections.update(row)
        weights[training_epoch] = {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}
        weights = {epoch: state for epoch, state in weights.items() if epoch in selections.selected.values()}
        report(_line(row, recipe.training_epochs))
    return Training(history, dict(selections.selected), weights)


def _selections(recipe: Recipe, sets: dict[str, EpochSet]) -> Selections:
    steps_per_epoch = math.ceil(len(sets["train"]) / recipe.batch_size)
    ends = cycle_ends(recipe, recipe.training_epochs * steps_per_epoch)
    return Selections(len(sets["validation"]) > 0, epochs_before_cycle_ends(ends, steps_per_epoch))


def _step(
    forward: Callable[[Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    epochs: EpochSet,
    indices: np.ndarray,
    device: torch.device,
) -> tuple[float, int]:
    """One optimizer step; returns the batch's mean cross-entropy and the number of epochs classified rightly."""
    signals = torch.from_numpy(epochs.signals(indices)).to(device)
    stage = torch.from_numpy(epochs.stage[indices]).to(device)
    optimizer.zero_grad(set_to_none=True)
    logits = forward(signals)
    loss = nn.functional.cross_entropy(logits, stage)
    loss.backward()
    optimizer.step()
    return loss.item(), int((logits.argmax(dim=1) == stage).sum())


@torch.inference_mode()
def predict_probabilities(model: nn.Module, epochs: EpochSet, engine: str) -> np.ndarray:
    """Stage probabilities of every epoch in evaluation mode, float32 (n_epochs, 5)."""
    model.eval()
    device = next(model.parameters()).device
    batches = np.array_split(np.arange(len(epochs)), range(INFERENCE_BATCH, len(epochs), INFERENCE_BATCH))
    forward = forward_of(model, engine)
    logits = [forward(torch.from_numpy(epochs.signals(batch)).to(device)) for batch in batches]
    return torch.cat(logits).softmax(dim=1).cpu().numpy()


def _evaluate(model: nn.Module, epochs: EpochSet, engine: str) -> dict[str, float | None]:
    if not len(epochs):
        return {"loss": None, "accuracy": None}
    probabilities = predict_probabilities(model, epochs, engine).astype(np.float64)
    of_stage = probabilities[np.arange(len(epochs)), epochs.stage]
    return {
        "loss": float(-np.log(np.maximum(of_stage, np.finfo(np.float32).tiny)).mean()),
        "accuracy": float((probabilities.argmax(axis=1) == epochs.stage).mean()),
    }


def _line(row: dict, n: int) -> str:
    validation = "" if row["validation_accuracy"] is None else f"  validation {row['validation_accuracy']:.3f}"
    return (
        f"training epoch {row['training_epoch']:>{len(str(n))}}/{n}  loss {row['train_loss']:.4f}  "
        f"accuracy: training {row['train_accuracy']:.3f}{validation}  test {row['test_accuracy']:.3f}"
    )

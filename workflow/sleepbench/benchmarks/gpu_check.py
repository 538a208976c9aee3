"""Whether a GPU trains as it should, and how fast: `make check-gpu`, in seven minutes at most.

It runs from a plain checkout, without a network and without what checks configurations, reads EDF or draws:

    PYTHONPATH=workflow python3 -m sleepbench.benchmarks.gpu_check

What is imported besides Python's own: `NEEDS`. Every check ends with a line, whatever becomes of it, and what it found
is in one JSON file. On a CPU the same checks are made at a small size, but for what only a GPU has.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from sleepbench.benchmarks.made_up import NIGHT, made_up_epochs, made_up_night, made_up_stack, silent
from sleepbench.benchmarks.passes import evaluation_rate, measure, traffic
from sleepbench.core.errors import BenchmarkError, first_line
from sleepbench.core.files import write_json
from sleepbench.models import create_model, describe
from sleepbench.training import loop
from sleepbench.training.checkpoint import Checkpoint
from sleepbench.training.engines import ENGINES
from sleepbench.training.epochs import EpochSet
from sleepbench.training.memory import is_out_of_memory
from sleepbench.training.stack import Stack, train_stack
from sleepbench.training.timing import Timing

NEEDS = ("torch", "numpy", "psutil", "yaml", "filelock")
"""Packages that are imported here; PyTorch brings filelock, and takes scipy where it is there."""
MODEL, N_CHANNELS = "ulw_sleepnet", 4
RECIPE = {
    **{"learning_rate": 1e-3, "schedule": "cosine_restarts", "batch_size": 32, "training_epochs": 50},
    **{"optimizer": "adam", "amsgrad": True, "epsilon": 1e-7, "first_cycle_steps": 10, "cycle_multiplier": 2},
    **{"steps": None, "batch_unit": "epochs", "sequences": "cut", "drop_last": False, "weight_decay": 0.0},
    **{"clip_norm": None, "frozen_norms": False, "class_weights": "none", "loss_mean": "weights"},
    **{"label_smoothing": 0.0, "augmentation": [], "l2": 0.0, "balanced_sampling": False, "learning_rate_of": {}},
    **{"activations": "float32", "learning_rates": None, "patience": None, "patience_metric": "accuracy"},
    **{"pretrain": None},
}
"""The recipe `ulw`, as it is configured."""
RELEASED = {"sleep-edf-20": (46_950, 1_642_150), "sleep-edf-78": (279_200, 9_754_950)}
"""Of the protocol `released`: steps of ten folds as one stack, and epochs that the folds evaluate, in all trainings."""
SMALL_BATCH, SMALL_EPOCHS, SMALL_TRAINING_EPOCHS = 8, (72, 61, 37), 3
"""Epochs in a batch and in the training sets of the folds that are compared: they end at different steps."""
CLOSE = {"float64": 1e-6, "float32": 2e-3}
"""How far weights (float64), and losses of a training epoch (float32), may be from those of a fold trained alone."""
COPIED_BYTES = 2**30


class Plain(SimpleNamespace):
    """A recipe whose settings nobody checked, as trainings read it."""

    def items_per_batch(self, info: object) -> int:
        """Epochs in a batch, as of a model of single epochs."""
        return self.batch_size


@dataclass(frozen=True)
class Size:
    """How much is done.

    Folds, steps in a training epoch, seconds that these are timed, bytes that are copied, and epochs of the night.
    """

    folds: int = 10
    steps: int = 200
    seconds: float = 60
    short_s: float = 10
    copied: int = COPIED_BYTES
    night: int = NIGHT


SMALL = Size(folds=2, steps=1, seconds=0.2, short_s=0.1, copied=2**20, night=32)


class Double(EpochSet):
    """Epochs whose signals come in double precision."""

    def signals(self, indices: np.ndarray) -> np.ndarray:
        """Those of an EpochSet, float64."""
        return super().signals(indices).astype(np.float64)


PRECISIONS = {"float64": Double, "float32": EpochSet}


class Wrong(Exception):
    """A check found something other than what is right; what it found is kept."""

    def __init__(self, message: str, found: dict[str, Any]):
        super().__init__(message)
        self.found = found


Found = tuple[str, dict[str, Any]]
"""A line, and the numbers behind it."""


def recipe(**changes: Any) -> Plain:
    """The recipe with some settings changed."""
    return Plain(name="ulw", **RECIPE | changes)


def network(device: torch.device, dtype: torch.dtype = torch.float32, dropout: bool = False) -> nn.Module:
    """A fresh network, always the same, without dropout unless it is asked for."""
    torch.manual_seed(5)
    model = create_model(MODEL, N_CHANNELS).to(device, dtype)
    for module in model.modules():
        if isinstance(module, nn.Dropout) and not dropout:
            module.p = 0.0
    return model


def small_folds(kind: type[EpochSet] = EpochSet) -> list[dict[str, EpochSet]]:
    """Folds with training sets of different size, the last one without a validation set."""
    night = made_up_night(N_CHANNELS, 96)
    folds = []
    for number, n in enumerate(SMALL_EPOCHS):
        sizes = {"train": n, "validation": 0 if number == len(SMALL_EPOCHS) - 1 else 16, "test": 24}
        sets = {name: made_up_epochs(night, size) for name, size in sizes.items()}
        folds.append({name: kind(**{key: getattr(one, key) for key in vars_of(one)}) for name, one in sets.items()})
    return folds


def vars_of(epochs: EpochSet) -> tuple[str, ...]:
    """The fields that an EpochSet is made of."""
    return tuple(field for field in epochs.__dataclass_fields__ if field != "measured")


# -------------------------------------------------------------------------------------------------------------- checks


def same_as_alone(device: torch.device, size: Size) -> Found:
    """A stack ends as its folds do when each is trained alone, by the same arrangement and by the plain network."""
    found: dict[str, Any] = {}
    for name, kind in PRECISIONS.items():
        dtype, folds = getattr(torch, name), small_folds(kind)
        small = recipe(batch_size=SMALL_BATCH, training_epochs=SMALL_TRAINING_EPOCHS)
        stacked = train_stack(network(device, dtype), small, folds, 5, describe(MODEL), silent)[0]
        for engine in ENGINES:
            alone = [
                loop.train(network(device, dtype), small, fold, 5, engine, describe(MODEL), silent) for fold in folds
            ]
            apart = _weights_apart if name == "float64" else _losses_apart
            found[f"{name}_{engine}"] = max(apart(one, other) for one, other in zip(alone, stacked, strict=True))
    line = ", ".join(f"{name.replace('_', ' ')} {value:.1e}" for name, value in found.items())
    if any(not value <= CLOSE[name.partition("_")[0]] for name, value in found.items()):
        raise Wrong(f"a stack does not end as its folds do alone: {line}", found)
    return f"a stack ends as its folds do alone: largest difference {line}", found


def _weights_apart(one: loop.Training, other: loop.Training) -> float:
    last = max(one.weights)
    return max(
        (tensor.double() - other.weights[last][name].double()).abs().max().item()
        for name, tensor in one.weights[last].items()
    )


def _losses_apart(one: loop.Training, other: loop.Training) -> float:
    return max(abs(a["train_loss"] - b["train_loss"]) for a, b in zip(one.history, other.history, strict=True))


def replayed(device: torch.device, size: Size) -> Found:
    """A step that was captured as a CUDA graph and replayed is the step itself, bit for bit."""
    if device.type != "cuda":
        return "CUDA graph: not on a CPU", {"captured": None}
    found: dict[str, Any] = {"captured": True}
    for dropout in (False, True):
        said, ends = [], []
        for is_captured in (True, False):
            sets, small = small_folds(), recipe(batch_size=SMALL_BATCH)
            stack = Stack(network(device, dropout=dropout), small, sets, 5, describe(MODEL), Timing(), said.append)
            stack.is_captured = is_captured
            for _ in range(2):
                stack.training_epoch()
            ends.append(stack.parameters.clone())
            found["captured"] &= stack.is_captured or not is_captured
        found["with_dropout" if dropout else "without_dropout"] = (ends[0] - ends[1]).abs().max().item()
        found["said"] = said
    line = f"largest difference to eager steps {found['without_dropout']:.1e}, with dropout {found['with_dropout']:.1e}"
    if not found["captured"] or found["without_dropout"]:
        raise Wrong(f"CUDA graph: captured {found['captured']}, {line} {' '.join(found['said'])}", found)
    return f"CUDA graph captured and replayed: {line}", found


def rates(device: torch.device, size: Size) -> Found:
    """Steps and bytes a second, as a share of what the device copies, and hours of both datasets."""
    stack = _made_up(device, size)
    copied, passed = copy_bandwidth(device, size.copied), _bytes_of_a_step(size)
    (own,) = measure([stack], size.seconds)
    rate = float(np.median(own))
    classified = evaluation_rate(stack)
    hours = {name: (steps / rate + evaluated / classified) / 3600 for name, (steps, evaluated) in RELEASED.items()}
    found = {
        "folds": size.folds,
        "steps_per_s": rate,
        "training_epochs_timed": len(own),
        "bytes_per_step": passed,
        "bytes_per_s": passed * rate,
        "copied_bytes_per_s": copied,
        "share_of_copy_bandwidth": passed * rate / copied,
        "captured": bool(stack.graphs),
        "hours_of_released": hours,
    }
    said = ", ".join(f"{name} {value:.2f} h" for name, value in hours.items())
    return (
        f"{size.folds} folds: {rate:.1f} steps/s, {passed * rate / 1e9:.0f} GB/s of {copied / 1e9:.0f} GB/s copied "
        f"({passed * rate / copied:.0%}); released, one seed: {said}"
    ), found


def ways(device: torch.device, size: Size) -> Found:
    """The same by eager steps, by one fold alone, and with activations in bfloat16."""
    eager, alone, halved = (
        _made_up(device, size),
        _made_up(device, replace(size, folds=1)),
        _made_up(device, size, "bfloat16"),
    )
    eager.is_captured = False
    found = {}
    for name, stack in (("eager", eager), ("one fold", alone), ("bfloat16", halved)):
        (own,) = measure([stack], size.short_s)
        found[name] = float(np.median(own))
    found["bytes_per_step_bfloat16"] = _bytes_of_a_step(size, "bfloat16")
    return ", ".join(f"{name} {found[name]:.1f} steps/s" for name in ("eager", "one fold", "bfloat16")), found


def evaluation(device: torch.device, size: Size) -> Found:
    """Epochs of 30 s that all folds together classify in a second."""
    rate = evaluation_rate(_made_up(device, size))
    return f"evaluation: {rate:,.0f} epochs/s, {size.folds} folds together", {"epochs_per_s": rate}


def memory(device: torch.device, size: Size) -> Found:
    """What the largest stack so far took of the device's memory, and what Sleep-EDF-78's signals would."""
    signals = 4 * N_CHANNELS * 3000 * 200_000
    found = {"process_bytes": psutil.Process().memory_info().rss, "signals_of_sleep_edf_78_bytes": signals}
    if device.type == "cuda":
        found |= {
            "peak_bytes": torch.cuda.max_memory_allocated(device),
            "reserved_bytes": torch.cuda.max_memory_reserved(device),
            "device_bytes": torch.cuda.get_device_properties(device).total_memory,
        }
    said = ", ".join(f"{name.removesuffix('_bytes').replace('_', ' ')} {n / 1e9:.1f} GB" for name, n in found.items())
    return f"memory: {said}", found


def without_memory(device: torch.device, size: Size) -> Found:
    """A lack of memory is seen as one, and what fits trains after it."""
    stack = _made_up(device, replace(size, steps=1))
    error: RuntimeError | None = None
    try:
        if device.type == "cuda":
            torch.cuda.empty_cache()
            total = torch.cuda.get_device_properties(device).total_memory
            torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated(device) + 2**20) / total, device)
        else:
            stack.step = _fails_without_memory
        stack.training_epoch()
    except RuntimeError as caught:
        error = caught
    finally:
        if device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0, device)
    found = {"raised": None if error is None else first_line(error), "is_seen": is_out_of_memory(error)}
    del stack
    if device.type == "cuda":
        torch.cuda.empty_cache()
    loss = _small_stack(device).training_epoch()[0]["train_loss"]
    if not found["is_seen"] or not np.isfinite(loss):
        raise Wrong(f"out of memory: {found['raised']}, not seen as such", found)
    return "out of memory: seen, and what fits trains after it", found


def _fails_without_memory(masked: bool) -> None:
    raise torch.OutOfMemoryError("out of memory, made up")


def killed(device: torch.device, size: Size) -> Found:
    """A stack that is killed goes on from its last training epoch, and ends as one that was not."""
    with tempfile.TemporaryDirectory(prefix="sleepbench-") as directory:
        ends = {name: Path(directory, name) for name in ("killed", "whole")}
        for path in ends.values():
            path.mkdir()
        said = _train_in_a_process(ends["killed"], device, kill_after="training epoch 2/4")
        resumed = _train_in_a_process(ends["killed"], device)
        _train_in_a_process(ends["whole"], device)
        states = [torch.load(path / "end.pt", weights_only=True) for path in ends.values()]
    found = {
        "killed_after": said.count("training epoch"),
        "resumed": "resumes after training epoch" in resumed,
        "apart": max((states[0][name] - tensor).abs().max().item() for name, tensor in states[1].items()),
    }
    line = f"difference to one that was not {found['apart']:.1e}"
    if not found["resumed"] or found["apart"]:
        raise Wrong(f"a killed stack: resumed {found['resumed']}, {line}", found)
    return f"a killed stack resumes: {line}", found


def _train_in_a_process(directory: Path, device: torch.device, kill_after: str = "") -> str:
    """Train a small stack in a process of its own, and kill it when it has said something; what it said."""
    command = [sys.executable, "-m", __spec__.name, "--device", device.type, "--train-in", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    said = ""
    with process:
        for line in process.stdout:
            said += line
            if kill_after and kill_after in line:
                process.kill()
                break
    if not kill_after and process.returncode:
        raise BenchmarkError(f"a process that trains a small stack ended with {process.returncode}: {said[-300:]}")
    return said


def train_in(directory: Path, device: torch.device) -> None:
    """What such a process does."""
    checkpoint = Checkpoint(directory / "checkpoint", {"check": "gpu"}, print)
    small, model = recipe(batch_size=SMALL_BATCH, training_epochs=4), network(device, dropout=True)
    _, stack = train_stack(model, small, small_folds(), 5, describe(MODEL), print, checkpoint)
    torch.save({"parameters": stack.parameters.cpu(), "statistics": stack.statistics.cpu()}, directory / "end.pt")


# --------------------------------------------------------------------------------------------------------------- parts


def _made_up(device: torch.device, size: Size, activations: str = "float32") -> Stack:
    own = recipe(activations=activations)
    return made_up_stack(MODEL, own, N_CHANNELS, size.folds, device, size.steps, size.night)


def _small_stack(device: torch.device) -> Stack:
    return Stack(network(device), recipe(batch_size=SMALL_BATCH), small_folds(), 5, describe(MODEL), Timing(), silent)


def _bytes_of_a_step(size: Size, activations: str = "float32") -> int:
    """That a step reads and writes, as a GPU takes it."""
    return traffic(_made_up(torch.device("meta"), replace(size, steps=1), activations)).n_bytes


def copy_bandwidth(device: torch.device, n_bytes: int, rounds: int = 20) -> float:
    """Bytes a second that copying within the device's memory reads and writes."""
    source = torch.zeros(n_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    _wait(target)
    started = time.monotonic()
    for _ in range(rounds):
        target.copy_(source)
    _wait(target)
    return 2 * n_bytes * rounds / (time.monotonic() - started)


def _wait(tensor: Tensor) -> None:
    tensor[-1].item()


CHECKS: dict[str, Callable[[torch.device, Size], Found]] = {
    "same_as_alone": same_as_alone,
    "cuda_graph": replayed,
    "rates": rates,
    "ways": ways,
    "evaluation": evaluation,
    "memory": memory,
    "out_of_memory": without_memory,
    "killed_stack": killed,
}


def check(device: torch.device, size: Size, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Make all checks, one line each, and return what they found; none keeps the others from being made."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {platform.machine()}"
    started = time.monotonic()
    say(f"{MODEL} on {name}, PyTorch {torch.__version__}, made-up signals, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    document: dict[str, Any] = {
        "device": name,
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "size": vars(size),
        "checks": {},
    }
    for title, one in CHECKS.items():
        began = time.monotonic()
        try:
            line, found = one(device, size)
            outcome = "not made" if found.get("captured", True) is None else "right"
        except Wrong as wrong:
            line, found, outcome = str(wrong), wrong.found, "WRONG"
        except Exception as error:  # a check that breaks off is a finding, and others are to be made
            line, found, outcome = f"{title} broke off: {type(error).__name__}: {first_line(error)}", {}, "WRONG"
        document["checks"][title] = {"outcome": outcome, "line": line, "s": time.monotonic() - began, **found}
        say(f"{outcome:<8} {line}")
    wrong = [title for title, one in document["checks"].items() if one["outcome"] == "WRONG"]
    document |= {"is_right": not wrong, "seconds": time.monotonic() - started}
    say(f"{'All is right' if not wrong else 'WRONG: ' + ', '.join(wrong)}; {document['seconds']:.0f} s")
    return document


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the checks on the GPU, or at a small size on the CPU; 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="gpu_check", description=str(__doc__).splitlines()[0])
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--output", type=Path, default=Path("results/gpu-check.json"), help="where the findings go")
    parser.add_argument("--seconds", type=float, default=Size.seconds, help="that ten folds are timed")
    parser.add_argument("--train-in", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    try:
        device = loop.use_device(asked.device, 1)
    except BenchmarkError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    if asked.train_in:
        train_in(asked.train_in, device)
        return 0
    if device.type == "cpu":
        print("PyTorch finds no GPU: the checks are made at a small size on the CPU, and their rates say nothing.")
    document = check(device, Size(seconds=asked.seconds) if device.type == "cuda" else SMALL)
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    write_json(asked.output, json.loads(json.dumps(document)))
    print(f"Written to {asked.output}")
    return 0 if document["is_right"] else 1


if __name__ == "__main__":
    sys.exit(main())

"""Optimizer steps a second of ten folds as one stack, and of one fold, in turn; and what `released` takes at that rate.

Of the stack also the bytes that a step passes over: a GPU is held up by its memory.

python -m sleepbench.benchmarks.stack [--folds 10] [--seconds 60] [--device auto] [--threads 1]

On a GPU this is how folds are trained. A CPU, where they are trained one by one, can be asked as well.
"""

import argparse
import math
import sys
import time
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sleepbench.benchmarks.estimate import epochs_of_recordings, planned_trainings, recordings_of
from sleepbench.benchmarks.timed_steps import made_up_epochs, made_up_night
from sleepbench.config.load import Network, load, recipe_settings
from sleepbench.models import create_model, describe
from sleepbench.runs.results import run_command
from sleepbench.training.loop import use_device
from sleepbench.training.recipe import Recipe
from sleepbench.training.stack import Stack
from sleepbench.training.timing import EVALUATION, Timing

MODEL, RECIPE = "ulw_sleepnet", "released"
STEPS = 200
"""Of a training epoch of the stack: its tables are filled anew after so many, as after the 900 of Sleep-EDF-20."""
EXTRAPOLATED = ("sleep-edf-20", "sleep-edf-78")


def make_stack(config: dict, n_channels: int, n_folds: int, device: torch.device, steps: int) -> Stack:
    """A stack on a made-up night, with a training epoch of so many steps, and its Timing."""
    recipe = Recipe.from_config(RECIPE, config["recipes"][RECIPE])
    night = made_up_night(n_channels)
    sets = {
        "train": made_up_epochs(night, steps * recipe.batch_size),
        "validation": made_up_epochs(night, 0),
        "test": made_up_epochs(night, len(night.stage)),
    }
    model = create_model(MODEL, n_channels).to(device)
    return Stack(model, recipe, [sets] * n_folds, 0, describe(MODEL), Timing())


def measure(stacks: Sequence[Stack], seconds: float) -> list[list[float]]:
    """Optimizer steps a second of every training epoch of each stack; they take turns, the first turn is left out."""
    rates: list[list[float]] = [[] for _ in stacks]
    started = math.inf
    while time.monotonic() - started < seconds or not rates[0]:
        for stack, own in zip(stacks, rates, strict=True):
            began = time.monotonic()
            stack.training_epoch()
            if started < math.inf:
                own.append(len(stack.tables["losses"]) / (time.monotonic() - began))
        started = min(started, time.monotonic())
    return rates


OVERWRITES = {f"aten::{name}" for name in ("copy_", "zero_", "fill_", "bernoulli_")}
"""Operators that change their first argument without reading it."""


class Traffic(TorchDispatchMode):
    """Counts the operators that do something, and the bytes that they read and write."""

    def __init__(self):
        super().__init__()
        self.n_operators = self.n_bytes = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        outputs = operation(*args, **(kwargs or {}))
        name = operation._schema.name
        if "empty" not in name and not _is_view(operation, args, outputs):
            read = args[1:] if name in OVERWRITES else args  # tensors to be written to (out) have a keyword
            self.n_operators += 1
            self.n_bytes += sum(_n_bytes(leaf) for leaf in tree_leaves((read, outputs)) if isinstance(leaf, Tensor))
        return outputs


def _is_view(operation: torch._ops.OpOverload, args: tuple, outputs: object) -> bool:
    """Whether an operator only looks at its input in another way, whatever it is called."""
    if operation.is_view or not isinstance(outputs, Tensor) or operation._schema.is_mutable:
        return operation.is_view
    storages = {leaf.untyped_storage()._cdata for leaf in tree_leaves(args) if isinstance(leaf, Tensor)}
    return outputs.untyped_storage()._cdata in storages


def _n_bytes(tensor: Tensor) -> int:
    """Of its numbers, each once where an axis repeats them."""
    sizes = (size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride)
    return math.prod(sizes) * tensor.element_size()


def traffic(config: dict, n_channels: int, n_folds: int) -> Traffic:
    """The operators of a step of a stack as a GPU runs it: on the device "meta", where nothing is computed."""
    stack = make_stack(config, n_channels, n_folds, torch.device("meta"), steps=1)
    stack.draw()
    with Traffic() as counted:
        stack.step(masked=False)
    return counted


def evaluation_rate(stack: Stack) -> float:
    """Epochs of 30 s a second that all folds of a stack together classify; the first evaluation is left out."""
    stack.evaluate("test")
    stack.timing.start()
    stack.evaluate("test")
    stack.timing.lap(EVALUATION)
    return sum(map(len, stack.positions["test"])) / stack.timing.totals[EVALUATION]


def steps_of(config: dict, dataset: str) -> int:
    """Steps that all folds of `released` on a dataset take as one stack: those of its largest fold."""
    config = config | {"run": config["run"] | {"protocols": ["released"], "models": [MODEL], "recipes": [RECIPE]}}
    recordings, counts = recordings_of(config, dataset), epochs_of_recordings(config, dataset)
    recipe = recipe_settings(config, RECIPE, dataset)
    trained = [
        passes.trained / recipe["training_epochs"]
        for training in planned_trainings(config, dataset, recordings, counts)
        for stage, passes in training.stages.items()
        if stage.network == Network(MODEL, config["run"]["channels"][0], RECIPE)
    ]
    return recipe["training_epochs"] * math.ceil(max(trained) / recipe["batch_size"])


def main(arguments: Sequence[str]) -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="python -m sleepbench.benchmarks.stack", description=__doc__.splitlines()[0])
    parser.add_argument("--folds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS, help="of a training epoch")
    options = parser.parse_args(arguments)

    def command() -> None:
        config = load()
        device = use_device(options.device, options.threads)
        n_channels = len(config["channels"][config["run"]["channels"][0]])
        sizes = (options.folds, 1)
        stacks = [make_stack(config, n_channels, n, device, options.steps) for n in sizes]
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {options.threads} thread(s)"
        print(f"{MODEL}, {n_channels} channels, {RECIPE}, on {name}, torch {torch.__version__}: made-up signals")
        batch = stacks[0].recipe.batch_size
        rates = [sorted(own)[len(own) // 2] for own in measure(stacks, options.seconds)]
        for n, stack, rate in zip(sizes, stacks, rates, strict=True):
            print(
                f"{n:>3} fold(s): {rate:8.1f} steps a second (median), {rate * n * batch:9.0f} epochs trained and "
                f"{evaluation_rate(stack):9.0f} classified a second"
            )
        passes = traffic(config, n_channels, options.folds)
        print(
            f"A step of {options.folds} folds as a GPU takes it: {passes.n_operators} operators, which read and write "
            f"{passes.n_bytes / 1e9:.2f} GB, {passes.n_bytes / (options.folds * batch) / 1e6:.1f} MB an epoch"
            + (f"; here {passes.n_bytes * rates[0] / 1e9:.0f} GB a second" if device.type == "cuda" else "")
        )
        print(f"As one stack the folds train {options.folds * rates[0] / rates[1]:.1f} times as fast as one by one.")
        for dataset in EXTRAPOLATED:
            n = steps_of(config, dataset)
            print(f"{n} steps of released on {dataset}: {n / rates[0] / 60:.1f} minutes, extrapolated")

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

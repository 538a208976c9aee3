"""Optimizer steps a second of ten folds as one stack, and of one fold, measured in turn.

What `released` takes at that rate is extrapolated.

Of the stack also the bytes that a step passes over: a GPU is held up by its memory.

On a GPU this is how folds are trained. A CPU, where they are trained one by one, can be asked as well.
"""

import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sleepbench.benchmarks.estimate import Phase, epochs_by_recording, works
from sleepbench.benchmarks.timed_steps import made_up_epochs, made_up_night
from sleepbench.config.keys import Contender
from sleepbench.config.load import load
from sleepbench.config.models import Config
from sleepbench.config.plan import dataset, plan, recipe_on, recordings
from sleepbench.models import create_model, describe
from sleepbench.training.loop import use_device
from sleepbench.training.stack import Stack
from sleepbench.training.timing import EVALUATION, Timing

CONTENDER = Contender("ulw_sleepnet", "four", "ulw")
EXTRAPOLATED = ("sleep-edf-20", "sleep-edf-78")


def make_stack(config: Config, n_channels: int, n_folds: int, device: torch.device, steps: int) -> Stack:
    """A stack on a made-up night, with a training epoch of so many steps.

    Its tables are filled again after each training epoch.
    """
    recipe = config.recipes[CONTENDER.recipe]
    night = made_up_night(n_channels)
    sets = {
        "train": made_up_epochs(night, steps * recipe.batch_size),
        "validation": made_up_epochs(night, 0),
        "test": made_up_epochs(night, len(night.stage)),
    }
    model = create_model(CONTENDER.model, n_channels).to(device)
    return Stack(model, recipe, [sets] * n_folds, 0, describe(CONTENDER.model), Timing())


def measure(stacks: Sequence[Stack], seconds: float) -> list[list[float]]:
    """Optimizer steps a second of every training epoch, a list for each stack.

    The stacks take turns for so many seconds; the first turn is left out.
    """
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


def traffic(config: Config, n_channels: int, n_folds: int) -> Traffic:
    """The operators of a step of a stack as a GPU runs it.

    They are counted on the device "meta", where nothing is computed.
    """
    stack = make_stack(config, n_channels, n_folds, torch.device("meta"), steps=1)
    stack.draw()
    with Traffic() as counted:
        stack.step(masked=False)
    return counted


def evaluation_rate(stack: Stack) -> float:
    """Epochs of 30 s that all folds of a stack together classify in a second.

    The first evaluation is left out.
    """
    stack.evaluate("test")
    stack.timing.start()
    stack.evaluate("test")
    stack.timing.lap(EVALUATION)
    return sum(map(len, stack.positions["test"])) / stack.timing.totals[EVALUATION]


def steps_on(name: str) -> int:
    """Steps that all folds of `released` on a dataset take as one stack: those of its largest fold."""
    lists = dict(zip(("models", "inputs", "recipes"), ([part] for part in CONTENDER), strict=True))
    config = load(run={"datasets": [name], "protocols": ["released"], "seeds": [32], **lists})
    counts = epochs_by_recording(dataset(config, name), recordings(config, name))
    trained = [work.phases[Phase(CONTENDER)].trained for work in works(config, plan(config).datasets[name], counts)]
    recipe = recipe_on(config, CONTENDER.recipe, name)
    return recipe.training_epochs * math.ceil(max(trained) / recipe.training_epochs / recipe.batch_size)


def measure_stack(
    n_folds: int = 10, seconds: float = 60, device: str = "auto", threads: int = 1, steps: int = 200
) -> None:
    """Measure a stack of folds and one fold, in training epochs of so many steps, and print."""
    config, on = load(), use_device(device, threads)
    n_channels, sizes = len(config.inputs[CONTENDER.input]), (n_folds, 1)
    stacks = [make_stack(config, n_channels, n, on, steps) for n in sizes]
    name = torch.cuda.get_device_name(on) if on.type == "cuda" else f"CPU, {threads} thread(s)"
    print(
        f"{CONTENDER.model}, {n_channels} channels, {CONTENDER.recipe}, on {name}, torch {torch.__version__}: "
        "made-up signals"
    )
    batch = stacks[0].recipe.batch_size
    rates = [sorted(own)[len(own) // 2] for own in measure(stacks, seconds)]
    for n, stack, rate in zip(sizes, stacks, rates, strict=True):
        print(
            f"{n:>3} fold(s): {rate:8.1f} steps a second (median), {rate * n * batch:9.0f} epochs trained and "
            f"{evaluation_rate(stack):9.0f} classified a second"
        )
    passes = traffic(config, n_channels, n_folds)
    print(
        f"A step of {n_folds} folds as a GPU takes it: {passes.n_operators} operators, which read and write "
        f"{passes.n_bytes / 1e9:.2f} GB, {passes.n_bytes / (n_folds * batch) / 1e6:.1f} MB an epoch"
        + (f"; here {passes.n_bytes * rates[0] / 1e9:.0f} GB a second" if on.type == "cuda" else "")
    )
    print(f"As one stack the folds train {n_folds * rates[0] / rates[1]:.1f} times as fast as one by one.")
    for extrapolated in EXTRAPOLATED:
        n = steps_on(extrapolated)
        print(f"{n} steps of released on {extrapolated}: {n / rates[0] / 60:.1f} minutes, extrapolated")

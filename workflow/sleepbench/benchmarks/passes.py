"""What a stack of folds takes: optimizer steps and evaluated epochs a second, and the bytes that a step passes over."""

import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sleepbench.training.stack import Stack
from sleepbench.training.timing import EVALUATION


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


def traffic(stack: Stack) -> Traffic:
    """The operators of a step of a stack as a GPU runs it; of one on the device "meta", where nothing is computed."""
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

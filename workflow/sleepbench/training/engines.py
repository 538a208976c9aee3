"""Arrangements of the same mathematics: `reference`, the plain module, and `fast`.

`fast` is the network's `forward_fast`, with the same result but for rounding. The engine is recorded with a training
and is no part of its key. Recordings that are scored outside a training take a third, `SCORING`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from sleepbench.models.base import Network
from sleepbench.models.kernels.fused import arrangement
from sleepbench.models.kernels.whole_network import whole_network
from sleepbench.models.registry import ModelInfo, architecture_of

ENGINES = ("fast", "reference")
SCORING = "scoring"
"""The whole network in C where it has that form, else `fast`; of a network whose training is over."""


def forward_of(model: Network, engine: str) -> Callable[[Tensor], Tensor]:
    """The function that maps a batch of epochs to logits with the given engine."""
    if engine == SCORING and (in_c := whole_network(model)):
        return lambda signals: torch.from_numpy(in_c(signals.numpy()))
    return model.forward_fast if engine in ("fast", SCORING) else model


def arrangement_of(info: ModelInfo, engine: str, device: torch.device) -> str:
    """What computes a model with an engine: "C kernel", whose bytes differ, or "PyTorch"."""
    may_be_fused = info.kind == "network" and engine == "fast" and device.type == "cpu"
    return arrangement() if may_be_fused and architecture_of(info).has_folds() else "PyTorch"

"""Two arrangements of the same mathematics: `reference`, the plain module, and `fast`.

A model may have, beside `forward`, a `forward_fast` with the same result but for rounding. The engine is recorded with
a training and is no part of its key.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sleepbench.models.kernels.fused import arrangement
from sleepbench.models.registry import ModelInfo, architecture_of

ENGINES = ("fast", "reference")


def forward_of(model: nn.Module, engine: str) -> Callable[[Tensor], Tensor]:
    """The function that maps a batch of epochs to logits with the given engine; plain where a model has no fast one."""
    return getattr(model, "forward_fast", model) if engine == "fast" else model


def arrangement_of(info: ModelInfo, engine: str, device: torch.device) -> str:
    """What computes a model with an engine: "C kernel", whose bytes differ, or "PyTorch"."""
    is_fused = engine == "fast" and device.type == "cpu" and hasattr(architecture_of(info), "forward_fast")
    return arrangement() if is_fused else "PyTorch"

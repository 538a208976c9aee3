"""Two arrangements of the same mathematics: `reference`, the plain module, and `fast`.

A model may have, beside `forward`, a `forward_fast` with the same result but for rounding. The engine is recorded with
a training and is no part of its key.
"""

from collections.abc import Callable

from torch import Tensor, nn

ENGINES = ("fast", "reference")


def forward_of(model: nn.Module, engine: str) -> Callable[[Tensor], Tensor]:
    """The function that maps a batch of epochs to logits with the given engine; plain where a model has no fast one."""
    return getattr(model, "forward_fast", model) if engine == "fast" else model

"""Input transformations as layers of a network, so that what is exported takes microvolts.

Each computes what `models.transformation` does. What an epoch alone decides is computed from the epoch. Statistics of
a whole recording are an input of their own: a network that is given some epochs cannot know them.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.errors import BenchmarkError
from sleepbench.models.transformation import (
    NONE,
    InputTransformation,
    LowPass,
    Robust,
    Standard,
    StandardEpoch,
    Unit,
    low_passed,
)

STATISTICS: Mapping[type[InputTransformation], tuple[str, str]] = {
    Standard: ("mean", "standard deviation"),
    Robust: ("median", "interquartile range (75th less 25th percentile, linearly interpolated)"),
}
"""What a kind must be told of each channel of a recording, in microvolts."""
NEGLIGIBLE = 1e-9
"""Of a filter's response, whose largest value is about 1."""


class InputLayer(nn.Module):
    """Microvolts (..., n_channels, n_samples) to what a network sees, of the same shape.

    The second argument, (..., 2, n_channels), is for a kind in STATISTICS alone, and the same for all of a recording.
    """

    def __init__(self, transformation: InputTransformation, n_samples: int):
        super().__init__()
        self.transformation = transformation
        hertz = {LowPass: "hertz", StandardEpoch: "low_pass"}.get(type(transformation))
        self.filter = LowPassLayer(cutoff, n_samples) if hertz and (cutoff := getattr(transformation, hertz)) else None

    def forward(self, x: Tensor, statistics: Tensor | None = None) -> Tensor:
        kind = self.transformation
        if self.filter is not None:
            x = self.filter(x)
        if isinstance(kind, Unit):
            return x / kind.microvolts
        if isinstance(kind, StandardEpoch):
            return _standard_epoch(x)
        if statistics is None:
            return x
        centre, scale = (part.unsqueeze(-1) for part in statistics.unbind(-2))
        is_alive = scale > 0
        if isinstance(kind, Robust) and kind.clip is not None:
            limit = torch.where(is_alive, kind.clip * scale, torch.inf)
            x, centre = torch.clamp(x, -limit, limit), torch.clamp(centre, -limit, limit)
        x = (x - centre) / torch.where(is_alive, scale, 1.0)
        return x if isinstance(kind, Robust) or kind.clip is None else x.clamp(-kind.clip, kind.clip)


def input_layer(transformation: InputTransformation, n_samples: int) -> InputLayer | None:
    """A transformation as a layer; None for the one that does nothing, BenchmarkError for a kind that has no layer."""
    if transformation == NONE:
        return None
    if type(transformation) not in (Unit, Standard, StandardEpoch, Robust, LowPass):
        raise BenchmarkError(f"input transformation {transformation.settings()} has no layer: write one in {__name__}")
    return InputLayer(transformation, n_samples)


def _standard_epoch(x: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 over each epoch of each channel, in double precision as NumPy has it."""
    exact = x.double()
    centre = exact.mean(dim=-1, keepdim=True)
    scale = (exact - centre).square().mean(dim=-1, keepdim=True).sqrt().to(x.dtype)
    centre = centre.to(x.dtype)
    is_alive = scale > 1e-6 * centre.abs()
    return (x - centre) / torch.where(is_alive, scale, 1.0) * is_alive.to(x.dtype)


class LowPassLayer(nn.Module):
    """`low_passed` as a convolution, and what it does otherwise at both ends, as matrices on the samples there.

    The filter is linear: what it makes of single impulses says all of it.
    """

    def __init__(self, hertz: float, n_samples: int):
        super().__init__()
        enough = 1000
        impulses = low_passed(np.eye(enough), hertz).T  # (to, from)
        response = impulses[enough // 2]
        self.reach = int(np.abs(np.nonzero(np.abs(response) > NEGLIGIBLE)[0] - enough // 2).max())
        self.n_edge = 2 * self.reach
        if n_samples < 2 * self.n_edge:
            self.whole = nn.Buffer(_tensor(low_passed(np.eye(n_samples), hertz).T))
            return
        self.whole = None
        kernel = response[enough // 2 - self.reach : enough // 2 + self.reach + 1]
        self.kernel = nn.Buffer(_tensor(kernel)[None, None])
        inner = sum(np.eye(enough, k=i - self.reach) * value for i, value in enumerate(kernel))
        surplus = impulses - inner
        self.head = nn.Buffer(_tensor(surplus[: self.n_edge, : self.n_edge]))
        self.tail = nn.Buffer(_tensor(surplus[-self.n_edge :, -self.n_edge :]))

    def forward(self, x: Tensor) -> Tensor:
        level = x.mean(dim=-1, keepdim=True)  # passes as it is; without it, single precision is as exact as it can be
        return self._filtered(x - level) + level

    def _filtered(self, x: Tensor) -> Tensor:
        if self.whole is not None:
            return x @ self.whole.T
        n_inner = x.shape[-1] - self.n_edge
        signals = x.reshape(-1, 1, x.shape[-1])
        filtered = functional.conv1d(signals, self.kernel, padding=self.reach).reshape(x.shape)
        head = x[..., : self.n_edge] @ self.head.T
        tail = x[..., -self.n_edge :] @ self.tail.T
        return filtered + functional.pad(head, (0, n_inner)) + functional.pad(tail, (n_inner, 0))


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))

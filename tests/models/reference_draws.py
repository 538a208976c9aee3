"""Weights and inputs of the reference files, drawn from a seed so that they need not be kept; there are two ways."""

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

Shape = tuple[int, ...]


def without_dropout(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        elif isinstance(module, nn.MultiheadAttention):
            module.dropout = 0.0
    return model


# ------------------------------------------------------------------------------ one generator for all names, in order


def draw(state: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Weights for a `state_dict`: numpy's default generator fills it in order of names, in float64.

    What ends in running_var, scale or deviation, and a weight with one axis, a norm's, is uniform in 0.5 to 1.5. A
    filter bank's weight is standard normal, and so is all else, with two axes or more divided by the root of its
    inputs, which of a recurrent layer are the last axis alone, with one axis times 0.1.
    """
    generator = np.random.default_rng(seed)
    drawn = {}
    for name in sorted(state):
        shape = tuple(state[name].shape)
        if name.endswith("num_batches_tracked"):
            continue
        if name.endswith(("running_var", "scale", "deviation")) or (name.endswith("weight") and len(shape) == 1):
            values = generator.uniform(0.5, 1.5, shape)
        elif name == "filter_bank.weight":
            values = generator.standard_normal(shape)
        elif name.endswith(("weight_ih", "weight_hh")):
            values = generator.standard_normal(shape) / np.sqrt(shape[-1])
        elif len(shape) >= 2:
            values = generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
        else:
            values = 0.1 * generator.standard_normal(shape)
        drawn[name] = torch.as_tensor(values)
    return drawn


def standard_normal(shape: Shape, seed: int) -> Tensor:
    """An input, or what a gradient is taken along."""
    return torch.as_tensor(np.random.default_rng(seed).standard_normal(shape))


# ---------------------------------------------------------------------------------------- a generator for each name


def uniform(seed: int, name: str, shape: Shape, low: float, high: float) -> Tensor:
    digest = hashlib.sha256(f"{seed} {name}".encode()).digest()
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "big")))
    return torch.as_tensor(low + (high - low) * generator.random(shape))


def uniform_state(state: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Weights for a `state_dict` in float64, such that signals neither vanish nor grow.

    Matrices and kernels: uniform with variance 1 / (all axes but the first). Vectors: moving variances in (0.5, 2),
    those named "weight" or "scale" in (0.5, 1.5), all others in (-0.3, 0.3).
    """
    drawn = {}
    for name, tensor in state.items():
        shape, last = tuple(tensor.shape), name.rsplit(".", 1)[-1]
        if last == "num_batches_tracked":
            continue
        if last == "running_var":
            drawn[name] = uniform(seed, name, shape, 0.5, 2.0)
        elif len(shape) == 1 or last in ("scale", "offset"):
            drawn[name] = uniform(seed, name, shape, *((0.5, 1.5) if last in ("weight", "scale") else (-0.3, 0.3)))
        else:
            bound = min(1.0, (3 / np.prod(shape[1:])) ** 0.5)  # a limit of norms at 1 does not act
            drawn[name] = uniform(seed, name, shape, -bound, bound)
    return drawn


def waves(shape: Shape, seed: int, amplitude: float) -> Tensor:
    """A slow wave on noise: uniform values with those of one in ten interpolated, in float32's precision."""
    fast = uniform(seed, "input", shape, -1, 1).numpy()
    knots = uniform(seed, "slow input", (*shape[:-1], shape[-1] // 10 + 1), -1, 1).numpy()
    at = np.arange(shape[-1]) / 10
    low = at.astype(int)
    slow = knots[..., low] * (1 - at + low) + knots[..., low + 1] * (at - low)
    return torch.as_tensor((amplitude * (slow + 0.5 * fast)).astype(np.float32).astype(np.float64))

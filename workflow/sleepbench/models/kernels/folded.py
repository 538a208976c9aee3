"""ULW-SleepNet for inference: what is linear and follows each other is one linear map.

Batch norm is part of the pointwise convolution before it; a shortcut's two separable convolutions are one matrix on
every fourth sample; the dense layer of 64 units, which has no activation, and the output are one. What is left has
2.6M multiply-accumulates for four channels of 3000 samples, where the network has 3.5M.

A separable convolution stays two: as one dense kernel (`FoldedConvolution.dense`) it would take three times the
multiply-accumulates, which pays only where a processor does many at once.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from sleepbench.core.errors import BenchmarkError
from sleepbench.models.ulw_sleepnet import DSSCBlock, SeparableConv, ULWSleepNet

KERNEL_SIZE = 3


@dataclass(frozen=True)
class FoldedConvolution:
    """A separable convolution and the batch norm behind it; padded by a zero at either end, ReLU not included.

    depthwise : (n_inputs, 3), of the samples before, at and after
    pointwise : (n_outputs, n_inputs)
    bias : (n_outputs,)
    """

    depthwise: np.ndarray
    pointwise: np.ndarray
    bias: np.ndarray

    @property
    def dense(self) -> np.ndarray:
        """The same as one kernel, (n_outputs, n_inputs, 3)."""
        return self.pointwise[:, :, None] * self.depthwise[None]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(n, n_inputs, time) -> (n, n_outputs, time), before the ReLU."""
        return self.pointwise @ depthwise(x, self.depthwise) + self.bias[:, None]


@dataclass(frozen=True)
class FoldedBlock:
    """A block: two convolutions, each followed by ReLU and max pooling by two, plus the shortcut.

    shortcut : (n_filters, n_inputs), of every fourth sample from the first on
    shortcut_bias : (n_filters,)
    """

    main1: FoldedConvolution
    main2: FoldedConvolution
    shortcut: np.ndarray
    shortcut_bias: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """(n, n_inputs, time) -> (n, n_filters, time / 4), rounded up."""
        return self.joined(pool(self.main1(x)), x)

    def joined(self, pooled: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The block's output from what its first convolution made of `x`, pooled."""
        return pool(self.main2(pooled)) + self.shortcut @ x[..., ::4] + self.shortcut_bias[:, None]


@dataclass(frozen=True)
class FoldedNetwork:
    """ULW-SleepNet folded; all arrays are of one type.

    blocks : three, of 8, 16 and 32 filters, applied to each channel alone
    head : (n_classes, n_channels, 32), of the blocks' means over time
    head_bias : (n_classes,)
    """

    blocks: tuple[FoldedBlock, ...]
    head: np.ndarray
    head_bias: np.ndarray

    @property
    def n_channels(self) -> int:
        return self.head.shape[1]

    def features(self, x: np.ndarray) -> np.ndarray:
        """Means over time of what the blocks make: (n, n_channels, time) microvolts -> (n, n_channels, 32)."""
        signals = x.reshape(-1, 1, x.shape[-1])
        for block in self.blocks:
            signals = block(signals)
        return signals.mean(axis=-1).reshape(*x.shape[:2], -1)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Logits: (n, n_channels, time) microvolts -> (n, n_classes)."""
        return np.einsum("ncf,kcf->nk", self.features(x), self.head) + self.head_bias

    def astype(self, dtype: np.typing.DTypeLike) -> "FoldedNetwork":
        """The same with arrays of another type; they are folded in double precision."""
        return _cast(self, dtype)


def depthwise(x: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """Each input convolved with its own kernel, kernels (n_inputs, 3): (n, n_inputs, time) to the same shape."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1)))
    time = x.shape[-1]
    return sum(kernels[:, k, None] * padded[..., k : k + time] for k in range(KERNEL_SIZE))


def pool(x: np.ndarray) -> np.ndarray:
    """ReLU, then the larger of two neighbours: (n, n_outputs, time) -> (n, n_outputs, time / 2), rounded up."""
    x = np.maximum(x, 0)
    if x.shape[-1] % 2:
        x = np.pad(x, ((0, 0), (0, 0), (0, 1)))  # nothing is less than the zero
    return np.maximum(x[..., 0::2], x[..., 1::2])


def fold(network: nn.Module) -> FoldedNetwork:
    """A ULW-SleepNet folded, in double precision; BenchmarkError for another network, also for its ablations."""
    if type(network) is not ULWSleepNet:
        raise BenchmarkError(f"folding: found {type(network).__name__}, expected ULWSleepNet: no other has this form")
    first, second = network.dense64, network.output
    head = _numbers(second.weight) @ _numbers(first.weight)
    return FoldedNetwork(
        blocks=tuple(_fold_block(block) for block in (network.block1, network.block2, network.block3)),
        head=head.reshape(len(head), -1, network.block3.bn2.num_features),
        head_bias=_numbers(second.weight) @ _numbers(first.bias) + _numbers(second.bias),
    )


def _fold_block(block: DSSCBlock) -> FoldedBlock:
    (first, first_bias), (second, second_bias) = (_pointwise_map(conv) for conv in (block.skip1, block.skip2))
    return FoldedBlock(
        main1=_fold_norm(block.main1, block.bn1),
        main2=_fold_norm(block.main2, block.bn2),
        shortcut=second @ first,
        shortcut_bias=second @ first_bias + second_bias,
    )


def _fold_norm(conv: SeparableConv, norm: nn.BatchNorm1d) -> FoldedConvolution:
    scale = _numbers(norm.weight) / np.sqrt(_numbers(norm.running_var) + norm.eps)
    return FoldedConvolution(
        depthwise=_numbers(conv.depthwise.weight)[:, 0],
        pointwise=scale[:, None] * _numbers(conv.pointwise.weight)[..., 0],
        bias=scale * (_numbers(conv.pointwise.bias) - _numbers(norm.running_mean)) + _numbers(norm.bias),
    )


def _pointwise_map(conv: SeparableConv) -> tuple[np.ndarray, np.ndarray]:
    """A separable convolution of one sample: its matrix and bias."""
    depthwise, pointwise = _numbers(conv.depthwise.weight)[:, 0, 0], _numbers(conv.pointwise.weight)[..., 0]
    return pointwise * depthwise, _numbers(conv.pointwise.bias)


def _numbers(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()


def _cast(value, dtype: np.typing.DTypeLike):
    if isinstance(value, np.ndarray):
        return value.astype(dtype)
    if isinstance(value, tuple):
        return tuple(_cast(item, dtype) for item in value)
    return replace(value, **{name: _cast(item, dtype) for name, item in vars(value).items()})

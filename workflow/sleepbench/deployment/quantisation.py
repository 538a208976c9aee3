"""ULW-SleepNet in integers: weights of 8 bits, activations of 16 (W8A16) or of 8 (plain INT8).

What is computed here is what the generated C computes, bit by bit. It is symmetric quantisation without zero points,
on the folded network:

- a weight is a signed byte, with a scale for each output (for each kernel of a depthwise convolution);
- an activation is signed, or unsigned where it was rectified, with a range found on recordings of the training;
- sums are of 32 bits; they come back to an activation's range by a multiplication, rounded: (sum * m + 2^31) >> 32;
- ReLU and pooling come before that, and a block's two paths are added in one such step;
- the means over time stay sums, and logits are multiples of 2^-16.

Nothing is trained again (post-training quantisation).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.models.kernels.folded import FoldedBlock, FoldedConvolution, FoldedNetwork, depthwise, pool

LARGEST_WEIGHT = 127
SHIFT = 32
"""Of a multiplier."""
LARGEST_MULTIPLIER = 0.25
LARGEST_BIAS = 2**30
LOGITS_PER_UNIT = 2**16
HEAD_BITS = 24
"""Of the largest multiplier of the head, whose sums have 64 bits."""
HEADROOM = {16: 2.0, 8: 1.0}
"""By bits of an activation: its range is this many times what calibration saw. 16 bits have room to spare."""
EPOCHS_AT_ONCE = 16
CALIBRATION_EPOCHS = 200

Ranges = Mapping[str, float]
"""The largest magnitude of each activation, such as "block1.pooled"."""


def activations(network: FoldedNetwork, x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """What is quantised, by name: (n, channels, time) each, of epochs (n, n_channels, time)."""
    signals = x.reshape(-1, 1, x.shape[-1])
    yield "input", signals
    for number, block in enumerate(network.blocks, start=1):
        yield f"block{number}.filtered1", depthwise(signals, block.main1.depthwise)
        pooled = pool(block.main1(signals))
        yield f"block{number}.pooled", pooled
        yield f"block{number}.filtered2", depthwise(pooled, block.main2.depthwise)
        signals = block.joined(pooled, signals)
        yield f"block{number}.output", signals


def calibrate(network: FoldedNetwork, x: np.ndarray, percentile: float = 100) -> dict[str, float]:
    """Ranges of the activations of some epochs (n, n_channels, time): the percentile of their magnitudes."""
    network = network.astype(np.float32)
    found: dict[str, list[np.ndarray]] = {}
    for part in _parts(x):
        for name, values in activations(network, part):
            magnitudes = np.abs(values.ravel())
            found.setdefault(name, []).append(magnitudes if percentile < 100 else magnitudes.max(keepdims=True))
    return {name: float(np.percentile(np.concatenate(values), percentile)) for name, values in found.items()}


def calibration_epochs(n: int) -> np.ndarray:
    """Indices of those of `n` epochs that ranges are found on: CALIBRATION_EPOCHS at most, evenly over all."""
    return np.unique(np.linspace(0, n - 1, min(n, CALIBRATION_EPOCHS)).round().astype(int))


def _parts(x: np.ndarray) -> Iterator[np.ndarray]:
    return (x[i : i + EPOCHS_AT_ONCE] for i in range(0, len(x), EPOCHS_AT_ONCE))


@dataclass(frozen=True)
class IntegerConvolution:
    """A separable convolution in integers.

    depthwise : int8 (n_inputs, 3)
    multiplier : int32 (n_inputs,), from the depthwise sums to filtered activations
    pointwise : int8 (n_outputs, n_inputs)
    bias : int32 (n_outputs,)
    scale : (n_outputs,), of the sums that `sums` gives
    """

    depthwise: np.ndarray
    multiplier: np.ndarray
    pointwise: np.ndarray
    bias: np.ndarray
    scale: np.ndarray

    def sums(self, x: np.ndarray, bits: int) -> np.ndarray:
        """Activations (n, n_inputs, time) -> sums (n, n_outputs, time), int64, each of which fits in 32 bits."""
        filtered = signed(rescaled(depthwise(x, self.depthwise.astype(np.int64)), self.multiplier), bits)
        return product(self.pointwise, filtered) + self.bias[:, None].astype(np.int64)


@dataclass(frozen=True)
class IntegerBlock:
    """A block in integers.

    pooled_multiplier : int32 (n_filters,), from the first convolution's sums to pooled activations
    shortcut, shortcut_bias : int8 (n_filters, n_inputs), int32 (n_filters,)
    output_multiplier, shortcut_multiplier : int32 (n_filters,), of the second convolution's and the shortcut's sums
    """

    main1: IntegerConvolution
    main2: IntegerConvolution
    pooled_multiplier: np.ndarray
    shortcut: np.ndarray
    shortcut_bias: np.ndarray
    output_multiplier: np.ndarray
    shortcut_multiplier: np.ndarray

    def __call__(self, x: np.ndarray, bits: int) -> np.ndarray:
        pooled = rectified(rescaled(pool(self.main1.sums(x, bits)), self.pooled_multiplier), bits)
        main = pool(self.main2.sums(pooled, bits))
        skipped = product(self.shortcut, x[..., ::4]) + self.shortcut_bias[:, None].astype(np.int64)
        both = main * self.output_multiplier[:, None].astype(np.int64)
        both += skipped * self.shortcut_multiplier[:, None].astype(np.int64)
        return signed((both + 2 ** (SHIFT - 1)) >> SHIFT, bits)


@dataclass(frozen=True)
class IntegerNetwork:
    """ULW-SleepNet in integers.

    bits : of an activation, 8 or 16
    per_microvolt : steps of the input, float32
    head : int8 (n_classes, n_channels, 32), of the sums over time
    head_multiplier, head_bias : int32 (n_classes,); head_shift : their common shift
    """

    bits: int
    per_microvolt: np.float32
    blocks: tuple[IntegerBlock, ...]
    head: np.ndarray
    head_multiplier: np.ndarray
    head_shift: int
    head_bias: np.ndarray

    def input(self, x: np.ndarray) -> np.ndarray:
        """Microvolts as steps, in single precision and half away from zero, as the C does it."""
        lowest, highest = -np.float32(2 ** (self.bits - 1)), np.float32(2 ** (self.bits - 1) - 1)
        scaled = np.clip(x.astype(np.float32) * self.per_microvolt, lowest, highest)
        return np.trunc(scaled + np.copysign(np.float32(0.5), scaled)).astype(np.int64)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Epochs (n, n_channels, time) in microvolts -> logits in steps of 2^-16, int64 (n, n_classes)."""
        return np.concatenate([self._logits(part) for part in _parts(x)])

    def _logits(self, x: np.ndarray) -> np.ndarray:
        signals = self.input(x).reshape(-1, 1, x.shape[-1])
        for block in self.blocks:
            signals = block(signals, self.bits)
        over_time = signals.sum(axis=-1).reshape(len(x), -1)
        sums = over_time @ self.head.reshape(len(self.head), -1).T.astype(np.int64)
        return ((sums * self.head_multiplier + 2 ** (self.head_shift - 1)) >> self.head_shift) + self.head_bias


def constants(value) -> Iterator[np.ndarray]:
    """The arrays that a network, float or integer, is kept as; scales are not needed to run it."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from constants(item)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            if name != "scale":
                yield from constants(getattr(value, name))


def constant_bytes(value) -> int:
    """Bytes of all constants, as the C keeps them."""
    return sum(array.nbytes for array in constants(value))


def rescaled(sums: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    """Sums (n, channels, time) in the steps of an activation, rounded."""
    return (sums * multiplier[:, None].astype(np.int64) + 2 ** (SHIFT - 1)) >> SHIFT


def signed(x: np.ndarray, bits: int) -> np.ndarray:
    """What does not fit takes the nearest value that does."""
    return np.clip(x, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def rectified(x: np.ndarray, bits: int) -> np.ndarray:
    """The same of what is not negative: it has no sign to keep."""
    return np.clip(x, 0, 2**bits - 1)


def product(matrix: np.ndarray, x: np.ndarray) -> np.ndarray:
    """matrix @ x in integers, int64; by way of double precision, which holds sums of less than 53 bits exactly."""
    return (matrix.astype(np.float64) @ x.astype(np.float64)).astype(np.int64)


# ----------------------------------------------------------------------------------------------------------- quantising


def quantise(network: FoldedNetwork, ranges: Ranges, bits: int, n_samples: int) -> IntegerNetwork:
    """The network in integers.

    Parameters
    ----------
    network : in double precision
    ranges : of its activations, as `calibrate` finds them; an activation has one scale for all of its channels
    bits : of an activation, 16 or 8
    n_samples : of an epoch
    """
    if bits not in HEADROOM:
        raise BenchmarkError(f"quantisation: activations have {bits} bits, expected one of 16, 8")
    steps = 2 ** (bits - 1) - 1
    scales = {name: HEADROOM[bits] * found for name, found in ranges.items()}
    per_microvolt = steps / (scales["input"] or 1.0)
    if bits == 16:
        per_microvolt = 2.0 ** np.floor(np.log2(per_microvolt))  # what a converter gives is seldom anything else
    scale, blocks = 1 / per_microvolt, []
    for number, block in enumerate(network.blocks, start=1):
        integers, scale = _quantise_block(block, scale, {n: scales[f"block{number}.{n}"] for n in PARTS}, bits)
        blocks.append(integers)
    length = n_samples
    for _ in range(2 * len(network.blocks)):
        length = (length + 1) // 2
    head, of_head = _weights(network.head.reshape(len(network.head), -1), scale / length)
    multiplier = of_head * LOGITS_PER_UNIT
    shift = int(HEAD_BITS - 1 - np.floor(np.log2(multiplier.max())))
    return IntegerNetwork(
        bits=bits,
        per_microvolt=np.float32(per_microvolt),
        blocks=tuple(blocks),
        head=head.reshape(network.head.shape),
        head_multiplier=np.round(multiplier * 2.0**shift).astype(np.int32),
        head_shift=shift,
        head_bias=np.round(network.head_bias * LOGITS_PER_UNIT).astype(np.int32),
    )


PARTS = ("filtered1", "pooled", "filtered2", "output")
"""Activations of a block."""


def _quantise_block(
    block: FoldedBlock, scale: float, ranges: Mapping[str, float], bits: int
) -> tuple[IntegerBlock, float]:
    """A block whose input has this scale, and the scale of its output."""
    signed_steps, unsigned_steps = 2 ** (bits - 1) - 1, 2**bits - 1
    main1 = _quantise_convolution(block.main1, scale, ranges["filtered1"] / signed_steps)
    pooled = _scale(ranges["pooled"] / unsigned_steps, main1.scale)
    main2 = _quantise_convolution(block.main2, pooled, ranges["filtered2"] / signed_steps)
    shortcut, of_shortcut = _weights(block.shortcut, scale, block.shortcut_bias)
    output = _scale(ranges["output"] / signed_steps, np.maximum(main2.scale, of_shortcut))
    return (
        IntegerBlock(
            main1=main1,
            main2=main2,
            pooled_multiplier=_multiplier(main1.scale / pooled),
            shortcut=shortcut,
            shortcut_bias=_bias(block.shortcut_bias, of_shortcut),
            output_multiplier=_multiplier(main2.scale / output),
            shortcut_multiplier=_multiplier(of_shortcut / output),
        ),
        output,
    )


def _quantise_convolution(conv: FoldedConvolution, scale: float, filtered: float) -> IntegerConvolution:
    kernels, of_kernels = _weights(conv.depthwise, scale)
    filtered = _scale(filtered, of_kernels)
    pointwise, of_sums = _weights(conv.pointwise, filtered, conv.bias)
    return IntegerConvolution(
        depthwise=kernels,
        multiplier=_multiplier(of_kernels / filtered),
        pointwise=pointwise,
        bias=_bias(conv.bias, of_sums),
        scale=of_sums,
    )


def _weights(weights: np.ndarray, scale: float, bias: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Weights (n_outputs, ...) as bytes, and what a step of the sum of each output is worth.

    `scale` is that of the inputs. Where a bias would not fit beside the sums, the steps are larger.
    """
    per_output = np.abs(weights).max(axis=tuple(range(1, weights.ndim))) / LARGEST_WEIGHT
    per_output = np.maximum(per_output, np.abs(bias) / LARGEST_BIAS / scale)
    per_output = np.where(per_output > 0, per_output, 1.0)
    rounded = np.round(weights / per_output.reshape(-1, *[1] * (weights.ndim - 1)))
    return rounded.astype(np.int8), per_output * scale


def _bias(bias: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.round(bias / scale).astype(np.int32)


def _scale(wanted: float, of_sums: np.ndarray) -> float:
    """What a step of an activation is worth; never so little that a multiplier has no place in 32 bits."""
    return max(wanted, float(of_sums.max()) / LARGEST_MULTIPLIER)


def _multiplier(ratio: np.ndarray) -> np.ndarray:
    return np.round(ratio * 2.0**SHIFT).astype(np.int32)

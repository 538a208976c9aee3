"""Count the operations of one epoch or sequence of epochs under several conventions.

The conventions are not to be mixed.

- `macs`: multiply-accumulates of convolutions, linear layers, recurrent gates and attention products, one each; no
  biases, norms, activations, pooling or Fourier transforms.
- `flops_2x`: twice that.
- `fvcore_flops`: the raw total of fvcore, which counts one per multiply-accumulate, adds two per batch-norm element and
  leaves out, silently, whatever it does not know.
- `flops_tensorflow`: the float operations that TensorFlow's profiler finds in a Keras model at inference, softmax
  included, AddV2 (residuals, batch norm's shift and epsilon) not. The published 7.89M of ULW-SleepNet is this count.
- `flops_tensorflow_graph`: the same as read off the released graph of a network that Keras applies to each channel by
  TimeDistributed. That graph holds the per-channel part twice (the second copy computes a mask), so the count of every
  kind of operator that occurs in it is halved. Kinds that also occur outside it are halved with it: for ULW-SleepNet
  this loses half of the biases of the two dense layers, 35 operations.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import conv_flop_count, get_shape, linear_flop_jit
from torch import nn

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import SAMPLES_PER_EPOCH

Handle = Callable[[list[Any], list[Any]], Counter | int]
"""Counts one operator of a traced graph from its input and output values, as fvcore wants it."""

MULTIPLY_ACCUMULATE = frozenset(
    ("conv", "linear", "addmm", "mm", "bmm", "matmul", "einsum", "lstm", "gru", "scaled_dot_product_attention")
)
"""fvcore's names of the operators whose counts are multiply-accumulates."""

COUNTED_BY_ELEMENT = frozenset(
    {"batch_norm", "layer_norm", "group_norm", "instance_norm", "adaptive_avg_pool2d", "upsample_nearest2d"}
)
"""fvcore's names of the operators that it counts, but by element."""

WITHOUT_MULTIPLY_ACCUMULATE = frozenset(
    f"aten::{name}"
    for name in (
        *("add", "add_", "sub", "rsub", "mul", "mul_", "div", "neg", "pow", "sqrt", "exp", "log", "abs"),
        *("relu", "leaky_relu", "elu", "elu_", "gelu", "silu", "sigmoid", "tanh", "softmax", "log_softmax", "hardtanh"),
        *("max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_max_pool1d"),
        *("mean", "sum", "std", "rsqrt", "amax", "renorm", "stft", "fft_rfft"),
        *("pad", "clone", "expand_as", "unflatten", "numpy_T", "channel_shuffle", "flip", "upsample_nearest1d"),
        "feature_dropout",
    )
)
"""Operators without multiply-accumulates that fvcore does not know.

Element by element, pooling, norms, Fourier transforms, moving of data.
"""


def count_operations(
    model: nn.Module, n_channels: int, length: int | None = None, n_samples: int = SAMPLES_PER_EPOCH
) -> dict:
    """Count parameters and operations of `model` for epochs of `n_channels` signals of `n_samples`, in evaluation mode.

    A model of single epochs is given one epoch; a sequence model, whose `length` must be said, one sequence. All counts
    but macs_per_epoch are of the whole sequence.

    Returns
    -------
    dict of ints: parameters (trainable), buffers (elements of floating-point buffers: batch norm's moving statistics),
    length (epochs, 1 without sequences), macs, macs_per_epoch (rounded), flops_2x, flops_tensorflow (None when the
    model has an operator without a rule here), flops_tensorflow_graph (None also when nothing in the model is
    `time_distributed`), fvcore_flops (None where fvcore stops at an operator); and `ledger`, by operator, of macs and
    of flops_tensorflow, with the operators that lack a TensorFlow rule

    Raises
    ------
    BenchmarkError for an operator that neither has a rule for its multiply-accumulates nor is known to have none
    """
    axes = (1, n_channels, n_samples) if length is None else (1, length, n_channels, n_samples)
    signals = next(model.parameters()).new_zeros(axes)
    with _as_evaluated(model):
        macs = _multiply_accumulates(model, signals)
        tensorflow, time_distributed, without_rule = _tensorflow_operations(model, signals)
        fvcore_total = _fvcore_total(model, signals)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        "buffers": sum(buffer.numel() for buffer in model.buffers() if buffer.is_floating_point()),
        "length": length or 1,
        "macs": sum(macs.values()),
        "macs_per_epoch": round(sum(macs.values()) / (length or 1)),
        "flops_2x": 2 * sum(macs.values()),
        "flops_tensorflow": None if without_rule else sum(tensorflow.values()),
        "flops_tensorflow_graph": None
        if without_rule or not time_distributed
        else sum(
            (n + time_distributed[kind]) // 2 if kind in time_distributed else n for kind, n in tensorflow.items()
        ),
        "fvcore_flops": fvcore_total,
        "ledger": {"macs": macs, "flops_tensorflow": tensorflow, "without_tensorflow_rule": without_rule},
    }


@contextmanager
def _as_evaluated(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, without gradients, every operator in view."""
    modes = {module: module.training for module in model.modules()}
    fast_path = torch.backends.mha.get_fastpath_enabled()
    model.eval()
    torch.backends.mha.set_fastpath_enabled(False)  # it makes one operator, unknown to fvcore, of a transformer layer
    try:
        with torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for module, training in modes.items():
            module.training = training


def _analysis(model: nn.Module, signals: torch.Tensor) -> FlopCountAnalysis:
    return FlopCountAnalysis(model, signals).unsupported_ops_warnings(False).uncalled_modules_warnings(False)


def _fvcore_total(model: nn.Module, signals: torch.Tensor) -> int | None:
    try:
        return int(_analysis(model, signals).total())
    except (AssertionError, IndexError, NotImplementedError):  # of its own rules, for example a matrix times a vector
        return None


def _multiply_accumulates(model: nn.Module, signals: torch.Tensor) -> dict[str, int]:
    """Multiply-accumulates by operator."""
    analysis = _analysis(model, signals).set_op_handle(**MAC_HANDLES, **dict.fromkeys(WITHOUT_MULTIPLY_ACCUMULATE))
    counts = analysis.by_operator()
    unknown = {*analysis.unsupported_ops(), *(counts.keys() - MULTIPLY_ACCUMULATE - COUNTED_BY_ELEMENT)}
    if unknown:
        raise BenchmarkError(
            f"{type(model).__name__}: no rule for the multiply-accumulates of {', '.join(sorted(unknown))}; "
            "give one in profiling/operations.py, or list the operator there as having none"
        )
    return {name: int(counts[name]) for name in sorted(counts.keys() & MULTIPLY_ACCUMULATE)}


def _tensorflow_operations(model: nn.Module, signals: torch.Tensor) -> tuple[dict[str, int], Counter, list[str]]:
    """TensorFlow's float operations by kind, in all and in the `time_distributed` part.

    The third value lists the operators without a rule.
    """
    analysis = _analysis(model, signals).clear_op_handles()
    analysis.set_op_handle(**TENSORFLOW_HANDLES, **dict.fromkeys(WITHOUT_TENSORFLOW_STATISTIC))
    counts = analysis.by_operator()
    counts["softmax"] += 5 * model(signals).numel()  # outside the model, which ends in logits
    by_module = analysis.by_module_and_operator()
    parts = [by_module[name] for name in model.time_distributed]
    time_distributed = Counter({kind: int(sum(part[kind] for part in parts)) for part in parts for kind in part})
    ledger = {kind: int(count) for kind, count in sorted(counts.items())}
    return ledger, time_distributed, sorted(analysis.unsupported_ops())


def _size(value: Any) -> int:
    return math.prod(get_shape(value))


# Multiply-accumulates of what fvcore does not know, or not in general


def _convolution_mode(inputs: list[Any], outputs: list[Any]) -> Counter:
    """A convolution whose padding is given as "same" or "valid"."""
    return Counter(conv=conv_flop_count(get_shape(inputs[0]), get_shape(inputs[1]), get_shape(outputs[0])))


def _product(inputs: list[Any], outputs: list[Any]) -> int:
    """A matrix product of two operands, any axes before the last two, broadcast or not."""
    return _size(outputs[0]) * get_shape(inputs[0])[-1]


def _einsum(inputs: list[Any], outputs: list[Any]) -> int:
    """A product of two operands: one for each combination of the equation's indices."""
    equation = inputs[0].toIValue().replace(" ", "")
    operands = [get_shape(value) for value in inputs[1].node().inputs()]
    indices = equation.split("->")[0].split(",")
    if len(operands) != 2 or "." in equation:
        raise BenchmarkError(f"einsum {equation!r}: expected two operands without an ellipsis")
    lengths: dict[str, int] = {}
    for index, length in zip("".join(indices), (n for shape in operands for n in shape), strict=True):
        lengths[index] = max(length, lengths.get(index, 1))
    return math.prod(lengths.values())


def _recurrent(inputs: list[Any], outputs: list[Any]) -> int:
    """LSTM and GRU: each weight matrix of each layer and direction acts once a time step."""
    x_shape = get_shape(inputs[0])
    if len(x_shape) != 3:
        raise BenchmarkError(
            f"a recurrent layer's input has shape {x_shape}, expected three axes: not a packed sequence"
        )
    weights = [get_shape(value) for value in inputs[2].node().inputs()]
    return math.prod(x_shape[:2]) * sum(math.prod(shape) for shape in weights if len(shape) == 2)


def _attention(inputs: list[Any], outputs: list[Any]) -> int:
    """Query (..., L, E) times key (..., S, E), then the weights (..., L, S) times value (..., S, V)."""
    query, key, value = (get_shape(tensor) for tensor in inputs[:3])
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


MAC_HANDLES: Mapping[str, Handle] = {
    "aten::_convolution_mode": _convolution_mode,
    **dict.fromkeys(("aten::matmul", "aten::bmm", "aten::mm"), _product),
    "aten::einsum": _einsum,
    "aten::lstm": _recurrent,
    "aten::gru": _recurrent,
    "aten::scaled_dot_product_attention": _attention,
}

# TensorFlow's statistics: tensorflow/python/profiler/internal/flops_registry.py and tensorflow/python/ops/nn_ops.py


def _tensorflow_convolution(inputs: list[Any], outputs: list[Any]) -> Counter:
    """Conv2D or DepthwiseConv2dNative, then BiasAdd."""
    x_shape, weight_shape, out_shape = get_shape(inputs[0]), get_shape(inputs[1]), get_shape(outputs[0])
    depthwise = weight_shape[1] == 1 and (x_shape[1] > 1 or out_shape[1] == 1)
    kind = "depthwise_conv" if depthwise else "conv"
    macs = conv_flop_count(x_shape, weight_shape, out_shape)
    return Counter({kind: 2 * macs, "bias": _bias(inputs[2], outputs)})


def _tensorflow_linear(inputs: list[Any], outputs: list[Any]) -> Counter:
    """MatMul, then BiasAdd."""
    return Counter(linear=2 * linear_flop_jit(inputs, outputs), bias=_bias(inputs[2], outputs))


def _bias(bias: Any, outputs: list[Any]) -> int:
    return 0 if get_shape(bias) is None else _size(outputs[0])


def _tensorflow_batch_norm(inputs: list[Any], outputs: list[Any]) -> Counter:
    """Batch norm as x * scale + shift, not fused.

    Per channel: Rsqrt (2), Sub, Mul for gamma and Mul for the mean. Per element: Mul.
    """
    n_channels, affine = get_shape(inputs[0])[1], get_shape(inputs[1]) is not None
    return Counter(
        batch_norm_scale=_size(inputs[0]) + (2 if affine else 1) * n_channels,
        batch_norm_constants=3 * n_channels,
    )


def _tensorflow_pool(inputs: list[Any], outputs: list[Any]) -> int:
    """MaxPool and AvgPool: the kernel's area for each output."""
    return math.prod(length.toIValue() for length in inputs[1].node().inputs()) * _size(outputs[0])


def _tensorflow_matmul(inputs: list[Any], outputs: list[Any]) -> int:
    return 2 * _product(inputs, outputs)


def _each_input(inputs: list[Any], outputs: list[Any]) -> int:
    return _size(inputs[0])


def _each_output(inputs: list[Any], outputs: list[Any]) -> int:
    return _size(outputs[0]) if get_shape(outputs[0]) else 0  # no axes: arithmetic on shapes, not on the signal


def _five_each_output(inputs: list[Any], outputs: list[Any]) -> int:
    return 5 * _size(outputs[0])


TENSORFLOW_HANDLES: Mapping[str, Handle] = {
    "aten::_convolution": _tensorflow_convolution,
    "aten::_convolution_mode": _tensorflow_convolution,
    "aten::linear": _tensorflow_linear,
    "aten::matmul": _tensorflow_matmul,
    "aten::bmm": _tensorflow_matmul,
    "aten::batch_norm": _tensorflow_batch_norm,
    **dict.fromkeys(("aten::max_pool1d", "aten::max_pool2d", "aten::avg_pool1d", "aten::avg_pool2d"), _tensorflow_pool),
    **dict.fromkeys(("aten::mean", "aten::adaptive_avg_pool1d", "aten::adaptive_avg_pool2d"), _each_input),
    **dict.fromkeys(("aten::mul", "aten::mul_", "aten::sub", "aten::div"), _each_output),
    "aten::softmax": _five_each_output,
}

WITHOUT_TENSORFLOW_STATISTIC = frozenset(
    f"aten::{name}"
    for name in (
        *("add", "add_", "leaky_relu", "elu", "elu_", "sigmoid", "tanh", "exp"),
        *("pad", "channel_shuffle", "feature_dropout", "unflatten"),
    )
)
"""AddV2, left out by convention, and operators that TensorFlow's profiler has no statistic for."""

"""ULW-SleepNet as one call into C, for inference on one thread; `whole_network.c` says how.

It computes what `folded` describes, in single precision. It has a C file of its own: training and its evaluation use
`fused_kernel.c`, and a change here makes no finished training stale.
"""

import ctypes
import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch import nn

from sleepbench.core.errors import BenchmarkError
from sleepbench.models.kernels.folded import FoldedNetwork, fold
from sleepbench.models.kernels.native import load
from sleepbench.models.ulw_sleepnet import ULWSleepNet

SOURCE = Path(__file__).with_suffix(".c")
_SIZES, _POINTERS = ("n_epochs", "n_channels", "time", "n_classes"), ("x", "weights", "scratch", "logits")


class _Network(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in _SIZES),
        *((name, ctypes.c_void_p) for name in _POINTERS),
    )


@functools.cache
def _library() -> ctypes.CDLL | None:
    library = load(SOURCE)
    if library:
        library.scratch_size.restype = ctypes.c_int64
        for function in (library.scratch_size, library.classify):
            function.argtypes = [ctypes.POINTER(_Network)]
    return library


class WholeNetwork:
    """The logits of a trained ULW-SleepNet: (n, n_channels, time) microvolts -> (n, n_classes), both float32.

    The weights are those that the network has now. An epoch's logits depend on nothing else in the batch, to the last
    bit. BenchmarkError for another network, or where no C compiler is found.
    """

    def __init__(self, network: nn.Module):
        folded = fold(network)
        if _library() is None:
            raise BenchmarkError("inference in C: the kernel cannot be compiled; install a C compiler, such as gcc")
        self.n_classes, self.n_channels = folded.head.shape[:2]
        self._weights = np.concatenate([part.ravel() for part in _in_order(folded)], dtype=np.float32)

    def __call__(self, signals: np.ndarray) -> np.ndarray:
        if signals.ndim != 3 or signals.shape[1] != self.n_channels or not signals.shape[2]:
            raise BenchmarkError(f"inference in C: signals are {signals.shape}, expected (n, {self.n_channels}, time)")
        signals = np.ascontiguousarray(signals, np.float32)
        n_epochs, n_channels, time = signals.shape
        logits = np.empty((n_epochs, self.n_classes), np.float32)
        call = _Network(n_epochs, n_channels, time, self.n_classes)
        scratch = np.empty(_library().scratch_size(call), np.float32)
        for name, array in zip(_POINTERS, (signals, self._weights, scratch, logits), strict=True):
            setattr(call, name, array.ctypes.data)
        _library().classify(call)
        return logits


def whole_network(network: nn.Module) -> WholeNetwork | None:
    """A network on the CPU as one call into C; None for other architectures, and where there is no compiler."""
    may_be = type(network) is ULWSleepNet and network.output.weight.device.type == "cpu"
    return WholeNetwork(network) if may_be and _library() else None


def _in_order(folded: FoldedNetwork) -> Iterator[np.ndarray]:
    """The weights in the order in which C uses them; matrices are (n_inputs, n_outputs)."""
    for block in folded.blocks:
        for conv in (block.main1, block.main2):
            if len(conv.depthwise) == 1:  # one input: its three samples are mixed at once
                yield conv.dense[:, 0].T
            else:
                yield conv.depthwise.T
                yield conv.pointwise.T
            yield conv.bias
        yield block.shortcut.T
        yield block.shortcut_bias
    yield folded.head.reshape(len(folded.head), -1).T
    yield folded.head_bias

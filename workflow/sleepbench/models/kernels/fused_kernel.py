"""What `fused` computes, by a C kernel on the CPU in single precision; `fused_kernel.c` says how.

It passes over memory fewer times than PyTorch's operators can: a group of signals stays in the cache from convolution
to pooling, and through their gradients.
"""

import ctypes
import functools
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from sleepbench.models.kernels.native import load

SOURCE = Path(__file__).with_suffix(".c")
ROW_NUMBERS = 24576
"""In an item's rows of even samples: fewer cost more in turns of loops, more fall out of the cache (both measured)."""
_POINTERS = (
    *("x", "kernel", "gamma", "beta", "bias", "running_mean", "running_var", "main", "gradient"),
    *("weights", "constants", "rows", "scratch", "partial", "partial_kernel"),
    *("pooled", "mean", "variance", "of_x", "of_main", "of_kernel", "of_gamma", "of_beta"),
)
_SIZES = (
    *("n_folds", "n_inputs", "n_outputs", "n_signals", "time", "group", "n_threads"),
    *("x_fold", "x_input", "x_signal", "seed", "threshold"),
)
_N_CONSTANTS = 6
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of malloc.h


class _Layer(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in _SIZES),
        ("epsilon", ctypes.c_double),
        ("factor", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in _POINTERS),
    )


_off = False


@contextmanager
def switched_off():
    """Let PyTorch compute, for comparison."""
    global _off
    _off, before = True, _off
    try:
        yield
    finally:
        _off = before


@functools.cache
def _library() -> ctypes.CDLL | None:
    library = load(SOURCE)
    if library:
        _keep_freed_memory()
        for name in ("rows_size", "scratch_size"):
            getattr(library, name).restype = ctypes.c_int64
        for name in ("rows_size", "scratch_size", "forward", "backward", "evaluate", "join", "gradient_of_join"):
            getattr(library, name).argtypes = [ctypes.POINTER(_Layer)]
    return library


def _keep_freed_memory() -> None:
    """Let glibc keep the memory that a training step frees, for the next step.

    Allocating it again costs a tenth of the step.
    """
    allocator = ctypes.CDLL(None)
    if hasattr(allocator, "mallopt"):
        allocator.mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)  # the most that glibc accepts
        allocator.mallopt(_M_TRIM_THRESHOLD, 2**29)


def is_available() -> bool:
    """Whether there is a kernel; it is compiled when this is first asked."""
    return not _off and _library() is not None


def is_for(x: Tensor, kernel: Tensor) -> bool:
    """Whether the C kernel is for signals and weights like these."""
    is_single = all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in (x, kernel))
    return is_single and x.numel() > 0 and is_available()


class _Call:
    """One layer's arguments, and the tensors behind them."""

    def __init__(self, x: Tensor, n_outputs: int, epsilon: float = 0.0):
        self.layer, self.tensors = _Layer(), {}
        self.x = x if x.stride(-1) == 1 else x.contiguous()
        n_folds, n_inputs, n_signals, time = x.shape
        self.half = (time + 1) // 2
        group = max(1, min(n_signals, ROW_NUMBERS // (max(n_inputs, n_outputs) * self.half)))
        sizes = (n_folds, n_inputs, n_outputs, n_signals, time, group, torch.get_num_threads(), *self.x.stride()[:3])
        for name, size in zip(_SIZES, sizes, strict=False):
            setattr(self.layer, name, size)
        self.layer.epsilon = epsilon
        self.n_items = n_folds * -(-n_signals // group)
        self.give(x=self.x)

    def give(self, **tensors: Tensor | None) -> None:
        """Arguments by the names that they have in C."""
        for name, tensor in tensors.items():
            self.tensors[name] = tensor
            setattr(self.layer, name, None if tensor is None else tensor.data_ptr())

    def run(self, function: str) -> None:
        threads = min(self.layer.n_threads, self.n_items)
        self.layer.n_threads = threads
        self.give(scratch=torch.zeros(threads, _library().scratch_size(self.layer)))
        getattr(_library(), function)(self.layer)


def evaluate_in_kernel(x: Tensor, kernel: Tensor, bias: Tensor, norm) -> Tensor:
    """`fused.conv_norm_relu_pool` in evaluation mode, without a gradient."""
    n_folds, n_outputs = kernel.shape[:2]
    call = _Call(x, n_outputs, norm.epsilon)
    pooled = x.new_empty(n_folds, n_outputs, x.shape[2], call.half)
    call.give(
        kernel=kernel.contiguous(),
        bias=bias.contiguous(),
        gamma=norm.weight.contiguous(),
        beta=norm.bias.contiguous(),
        running_mean=norm.running_mean.contiguous(),
        running_var=norm.running_var.contiguous(),
        weights=kernel.new_empty(2, kernel.numel()),
        constants=kernel.new_empty(n_folds, n_outputs, _N_CONSTANTS),
        pooled=pooled,
    )
    call.run("evaluate")
    return pooled


class KernelConvNormReluPool(torch.autograd.Function):
    """`fused.conv_norm_relu_pool` in training mode, which also returns the batch's mean and variance.

    The mean is without the convolution's bias, the variance is the biased one.
    """

    @staticmethod
    def forward(ctx, x: Tensor, kernel: Tensor, gamma: Tensor, beta: Tensor, epsilon: float):
        n_folds, n_outputs = kernel.shape[:2]
        call = _Call(x, n_outputs, epsilon)
        new = x.new_empty
        pooled = new(n_folds, n_outputs, x.shape[2], call.half)
        mean, variance = new(n_folds, n_outputs), new(n_folds, n_outputs)
        call.give(
            kernel=kernel.contiguous(),
            gamma=gamma.contiguous(),
            beta=beta.contiguous(),
            weights=new(2, kernel.numel()),
            constants=new(n_folds, n_outputs, _N_CONSTANTS),
            # With one input, convolving again is faster than reading what was kept.
            rows=None if x.shape[1] == 1 else new(_library().rows_size(call.layer)),
            partial=new(call.n_items, n_outputs, 2, dtype=torch.float64),
            pooled=pooled,
            mean=mean,
            variance=variance,
        )
        call.run("forward")
        kept = ("gamma", "weights", "constants", "rows")
        ctx.save_for_backward(call.x, *(call.tensors[name] for name in kept))
        ctx.epsilon = epsilon
        ctx.mark_non_differentiable(mean, variance)
        return pooled, mean, variance

    @staticmethod
    def backward(ctx, gradient: Tensor, _mean: Tensor, _variance: Tensor):
        x, gamma, weights, constants, rows = ctx.saved_tensors
        n_folds, n_outputs = gamma.shape
        call = _Call(x, n_outputs, ctx.epsilon)
        new = x.new_empty
        of_x = new(x.shape) if ctx.needs_input_grad[0] else None
        of_kernel = new(n_folds, n_outputs, x.shape[1], 3)
        of_gamma, of_beta = new(n_folds, n_outputs), new(n_folds, n_outputs)
        call.give(
            gamma=gamma,
            weights=weights,
            constants=constants,
            rows=rows,
            gradient=gradient.contiguous(),
            partial=new(call.n_items, n_outputs, 2, dtype=torch.float64),
            partial_kernel=new(call.n_items, n_outputs, x.shape[1], 3),
            of_x=of_x,
            of_kernel=of_kernel,
            of_gamma=of_gamma,
            of_beta=of_beta,
        )
        call.run("backward")
        return of_x, of_kernel, of_gamma, of_beta, None


class KernelJoin(torch.autograd.Function):
    """`fused.join`; `seed` decides what is dropped."""

    @staticmethod
    def forward(ctx, main: Tensor, x: Tensor, kernel: Tensor, bias: Tensor, p: float, seed: int):
        call = _Join(x, kernel.contiguous(), p, seed)
        joined = torch.empty_like(main, memory_format=torch.contiguous_format)
        call.give(main=main.contiguous(), bias=bias.contiguous(), pooled=joined)
        call.run("join")
        ctx.save_for_backward(call.x, call.tensors["kernel"])
        ctx.p, ctx.seed = p, seed
        return joined

    @staticmethod
    def backward(ctx, gradient: Tensor):
        x, kernel = ctx.saved_tensors
        call = _Join(x, kernel, ctx.p, ctx.seed)
        gradient = gradient.contiguous()
        of_main, of_kernel = torch.empty_like(gradient), torch.empty_like(kernel)
        of_bias = x.new_empty(kernel.shape[:2])
        of_x = x.new_empty(x.shape) if ctx.needs_input_grad[1] else None
        call.give(
            gradient=gradient,
            partial=x.new_empty(call.n_items, kernel.shape[1], 2, dtype=torch.float64),
            partial_kernel=x.new_empty(call.n_items, *kernel.shape[1:]),
            of_x=of_x,
            of_main=of_main,
            of_kernel=of_kernel,
            of_beta=of_bias,
        )
        call.run("gradient_of_join")
        return of_main, of_x, of_kernel, of_bias, None, None


class _Join(_Call):
    def __init__(self, x: Tensor, kernel: Tensor, p: float, seed: int):
        super().__init__(x, kernel.shape[1])
        self.give(kernel=kernel)
        self.layer.seed, self.layer.threshold, self.layer.factor = seed, round(p * 2**32), 1 / (1 - p)

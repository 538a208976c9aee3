"""Convolution, batch norm, ReLU and max pooling by two as matrix products, arranged for speed.

The mathematics is that of the separate layers.

Tensors are (folds, features, signals, time): several networks of one architecture, each with its own weights and its
own signals, are computed at once. One matrix product per fold convolves all signals, and a batch norm's statistics are
sums over rows. Three rearrangements, all exact but for rounding:

- Even and odd outputs of the convolution are separate rows; pooling by two is then the larger of two rows.
- The kernel is multiplied by the sign of batch norm's scale. Scale and shift are then increasing, commute with the
  maximum, and act on half as many values.
- The gradient through batch norm is written down by hand, so that nothing is kept or passed over twice.

The bias of a convolution that a batch norm follows has no influence on the output in training mode; it gets no gradient
here, where the plain network has rounding errors.

Signals may be in bfloat16, weights in single precision: what passes through memory is then in bfloat16, half as many
bytes, and sums, statistics and the gradients of weights are in the precision of the weights.

Single precision on the CPU is computed by the C kernel of `fused_kernel`, by the same formulas, where one compiles.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from sleepbench.models.kernels.fused_kernel import (
    KernelConvNormReluPool,
    KernelJoin,
    evaluate_in_kernel,
    is_available,
    is_for,
)


@dataclass(frozen=True)
class BatchNorm:
    """The batch norms of some folds; every tensor is (n_folds, n_features).

    Running statistics are updated in place.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    epsilon: float
    momentum: float


def arrangement() -> str:
    """What computes single precision on the CPU here: "C kernel" or "PyTorch"."""
    return "C kernel" if is_available() else "PyTorch"


def conv_norm_relu_pool(
    x: Tensor, kernel: Tensor, bias: Tensor, norm: BatchNorm, training: bool, counted: Tensor | None = None
) -> Tensor:
    """For each fold: MaxPool1d(2, ceil_mode=True)(relu(norm(conv1d(x, kernel, bias, padding=1)))).

    Parameters
    ----------
    x : (n_folds, n_inputs, n_signals, time)
    kernel : (n_folds, n_outputs, n_inputs, 3)
    bias : (n_folds, n_outputs)
    training : normalise with the batch's statistics and update the running ones
    counted : (n_folds, n_signals), 1 or 0 in the type of `kernel`: the signals that the batch consists of, in training;
        the others fill up a fold whose batch is smaller. A fold without any keeps its running statistics. None: all
        count

    Returns
    -------
    (n_folds, n_outputs, n_signals, time / 2, rounded up)
    """
    if not training and is_for(x, kernel) and not torch.is_grad_enabled():
        return evaluate_in_kernel(x, kernel, bias, norm)
    if not training:
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.epsilon)
        rows = _rows(x, kernel * scale[..., None, None])
        if x.shape[-1] % 2:
            rows[:, 1, ..., -1] = -torch.inf  # there is no such output
        shift = norm.bias + scale * (bias - norm.running_mean)
        return torch.relu(torch.maximum(rows[:, 0], rows[:, 1]) + shift[..., None, None])
    if counted is None and is_for(x, kernel):
        pooled, mean, variance = KernelConvNormReluPool.apply(x, kernel, norm.weight, norm.bias, norm.epsilon)
    else:
        pooled, mean, variance = _ConvNormReluPool.apply(x, kernel, norm.weight, norm.bias, norm.epsilon, counted)
    with torch.no_grad():
        n = _n_values(x, counted)
        momentum = norm.momentum if counted is None else norm.momentum * counted.amax(dim=1, keepdim=True)
        norm.running_mean.lerp_(mean + bias, momentum)
        norm.running_var.lerp_((variance * (n / (n - 1))).to(variance.dtype), momentum)
    return pooled


def pointwise(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """A convolution with a kernel (n_folds, n_outputs, n_inputs) of one sample."""
    n_folds, n_inputs, n_signals, time = x.shape
    product = torch.baddbmm(bias[..., None], kernel, x.reshape(n_folds, n_inputs, -1))
    return product.view(n_folds, -1, n_signals, time)


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """Dropout with 32 random bits for each value, where PyTorch draws 64 on a CPU."""
    if not training or p == 0 or x.device.type != "cpu":
        return torch.dropout(x, p, training)
    bits = torch.empty((x.numel() + 1) // 2, dtype=torch.int64).random_(-(2**63), None).view(torch.int32)
    kept = bits[: x.numel()].view(x.shape) >= round(p * 2**32) - 2**31
    return x * kept * (1 / (1 - p))


def join(main: Tensor, x: Tensor, kernel: Tensor, bias: Tensor, p: float, training: bool) -> Tensor:
    """dropout(main + pointwise(x[..., ::4], kernel, bias)): a shortcut that sees every fourth sample."""
    if not is_for(x, kernel):
        shortcut = pointwise(x[..., ::4], kernel.to(x.dtype), bias.to(x.dtype))
        return dropout(main + shortcut, p, training)
    if not training or p == 0:
        return KernelJoin.apply(main, x, kernel, bias, 0.0, 0)
    return KernelJoin.apply(main, x, kernel, bias, p, torch.empty((), dtype=torch.int64).random_().item())


class _ConvNormReluPool(torch.autograd.Function):
    """`conv_norm_relu_pool` in training mode, which also returns the batch's mean and variance.

    The mean is without the convolution's bias, the variance is the biased one.
    """

    @staticmethod
    def forward(ctx, x: Tensor, kernel: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, counted: Tensor | None):
        n_signals, time = x.shape[-2:]
        exact = kernel.dtype
        sign = torch.where(gamma < 0, -1, 1).to(exact)
        patches, matrix = _patches(x), _matrix(kernel * sign[..., None, None]).to(x.dtype)
        rows = torch.bmm(matrix, patches).view(len(x), 2, -1, n_signals, (time + 1) // 2)
        if time % 2:
            rows[:, 1, ..., -1] = 0  # there is no such output
        n = _n_values(x, counted)
        # Sums over each signal in single precision, over the signals in double: the variance is a difference.
        sums, squares = rows.sum(-1, dtype=exact), _sums_of_squares(rows, exact)
        if counted is not None:
            sums, squares = sums * counted[:, None, None], squares * counted[:, None, None]
        mean = sums.sum((1, 3), dtype=torch.float64) / n
        variance = squares.sum((1, 3), dtype=torch.float64) / n - mean * mean
        variance = variance.clamp(min=0)  # less by rounding, where signals hardly vary
        inverse = torch.rsqrt(variance + epsilon)
        mean, variance, inverse = mean.to(exact), variance.to(exact), inverse.to(exact)
        if time % 2:
            rows[:, 1, ..., -1] = -torch.inf
        larger = torch.maximum(rows[:, 0], rows[:, 1])
        scale = gamma.abs() * inverse
        pooled = _affine(larger, _spread(scale), _spread(beta - scale * mean)).relu_()
        ctx.save_for_backward(patches, matrix, rows, larger, pooled, mean, inverse, scale, sign, counted)
        ctx.time, ctx.n = time, n
        mean = mean * sign
        ctx.mark_non_differentiable(mean, variance)
        return pooled, mean, variance

    @staticmethod
    def backward(ctx, gradient: Tensor, _mean: Tensor, _variance: Tensor):
        patches, matrix, rows, larger, pooled, mean, inverse, scale, sign, counted = ctx.saved_tensors
        n_folds, _, n_outputs, n_signals, half = rows.shape
        exact = scale.dtype
        n = ctx.n if counted is None else ctx.n.to(exact)
        gradient = torch.ops.aten.threshold_backward(gradient, pooled, 0)
        of_beta = gradient.sum((-2, -1), dtype=exact)
        of_gamma = (torch.linalg.vecdot(gradient.to(exact), larger.to(exact)).sum(-1) - of_beta * mean) * inverse
        # The norm takes from a gradient its mean and its projection on the standardised values: slope * row + level.
        slope = -scale * inverse * of_gamma / n
        level = -scale * of_beta / n - slope * mean
        is_even = rows[:, 0] >= rows[:, 1]  # a tie goes to the first, as in PyTorch's pooling
        if ctx.time % 2:
            rows[:, 1, ..., -1] = 0
        of_rows = _gradient_of_rows(rows, gradient, is_even, _spread(scale), _spread(slope), _spread(level))
        if ctx.time % 2:
            of_rows[:, 1, ..., -1] = 0
        if counted is not None:  # the norm's statistics do not depend on the others
            of_rows.mul_(counted[:, None, None, :, None])
        of_rows = of_rows.view(n_folds, 2 * n_outputs, -1)
        of_matrix = torch.bmm(of_rows, patches.mT).to(exact).view(n_folds, 2, n_outputs, 4, -1)
        of_kernel = (of_matrix[:, 0, :, :3] + of_matrix[:, 1, :, 1:]).mT * sign[..., None, None]
        of_x = None
        if ctx.needs_input_grad[0]:
            of_patches = torch.bmm(matrix.mT, of_rows).view(n_folds, 4, -1, n_signals, half)
            before, even, odd, after = of_patches.unbind(1)
            of_x = gradient.new_empty(*even.shape[:-1], ctx.time)
            of_x[..., 0] = even[..., 0]
            torch.add(even[..., 1:], after[..., :-1], out=of_x[..., 2::2])
            torch.add(odd[..., :-1], before[..., 1:], out=of_x[..., 1 : 2 * half - 1 : 2])
            if ctx.time % 2 == 0:
                of_x[..., -1] = odd[..., -1]
        return of_x, of_kernel, of_gamma * sign, of_beta, None, None


def _is_held_up_by_memory(x: Tensor) -> bool:
    """Whether a pass over the values costs more than what is done in it: on a GPU.

    On a CPU some operators that do more in a pass are not vectorised, and take three times as long.
    """
    return x.device.type != "cpu"


def _affine(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x * scale + shift, in memory of its own."""
    if not _is_held_up_by_memory(x):
        return (x * scale).add_(shift).to(x.dtype)
    return torch.addcmul(shift, x, scale, out=torch.empty_like(x))


def _gradient_of_rows(
    rows: Tensor, gradient: Tensor, is_even: Tensor, scale: Tensor, slope: Tensor, level: Tensor
) -> Tensor:
    """rows * slope + level, and gradient * scale in the even rows where `is_even`, else in the odd ones.

    `rows` are (n_folds, 2, n_outputs, n_signals, half); the others lack the second axis, and `gradient` is overwritten.
    """
    found = torch.empty_like(rows)
    if _is_held_up_by_memory(rows):
        gradient = _affine(gradient, scale, level)
        elsewhere = level.to(rows.dtype)
        torch.where(is_even, gradient, elsewhere, out=found[:, 0])
        torch.where(is_even, elsewhere, gradient, out=found[:, 1])
        return found.addcmul_(rows, slope.unsqueeze(1))
    of_even = gradient.mul_(scale) * is_even
    torch.mul(rows[:, 0], slope, out=found[:, 0]).add_(of_even).add_(level)
    torch.mul(rows[:, 1], slope, out=found[:, 1]).add_(gradient.sub_(of_even)).add_(level)
    return found


def _sums_of_squares(rows: Tensor, dtype: torch.dtype) -> Tensor:
    """Over the last axis, in one pass: vecdot would write the squares and read them again."""
    return torch.linalg.vector_norm(rows, dim=-1, dtype=dtype).square()


def _n_values(x: Tensor, counted: Tensor | None) -> int | Tensor:
    """The number of values of each feature that a batch norm's statistics are computed over.

    One number, or with `counted` (n_folds, 1) in double precision.
    """
    if counted is None:
        return x.shape[-2] * x.shape[-1]
    # Of a fold without any, no value is used: any number will do but 0 and 1, by which it would be divided.
    return (counted.sum(dim=1, keepdim=True, dtype=torch.float64) * x.shape[-1]).clamp(min=2)


def _spread(values: Tensor) -> Tensor:
    return values[..., None, None]


def _patches(x: Tensor) -> Tensor:
    """The four samples that two neighbouring outputs see: (n_folds, 4 n_inputs, n_signals * half).

    Zeros stand for the samples beyond either end.
    """
    n_folds, n_inputs, n_signals, time = x.shape
    patches = x.new_empty(n_folds, 4, n_inputs, n_signals, (time + 1) // 2)
    patches[:, 1] = x[..., 0::2]
    patches[:, 2, ..., -1] = 0  # beyond the end of an odd length
    patches[:, 2, ..., : time // 2] = x[..., 1::2]
    patches[:, 0, ..., 0], patches[:, 0, ..., 1:] = 0, patches[:, 2, ..., :-1]
    patches[:, 3, ..., -1], patches[:, 3, ..., :-1] = 0, patches[:, 1, ..., 1:]
    return patches.view(n_folds, 4 * n_inputs, -1)


def _matrix(kernel: Tensor) -> Tensor:
    """Kernels (n_folds, n_outputs, n_inputs, 3) -> (n_folds, 2 n_outputs, 4 n_inputs).

    The rows for the even outputs come before those for the odd ones.
    """
    n_folds, n_outputs, n_inputs, _ = kernel.shape
    matrix = kernel.new_zeros(n_folds, 2, n_outputs, 4, n_inputs)
    matrix[:, 0, :, :3] = matrix[:, 1, :, 1:] = kernel.mT
    return matrix.view(n_folds, 2 * n_outputs, 4 * n_inputs)


def _rows(x: Tensor, kernel: Tensor) -> Tensor:
    """Even and odd outputs: (n_folds, 2, n_outputs, n_signals, half)."""
    n_folds, _, n_signals, _ = x.shape
    return torch.bmm(_matrix(kernel), _patches(x)).view(n_folds, 2, kernel.shape[1], n_signals, -1)

"""Layers that several architectures share, and how TensorFlow's and Keras' start and norm."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sleepbench.models.open_length import State, run_steps

KERAS_EPSILON = 1e-3
KERAS_MOMENTUM = 0.01
"""Of Keras' batch norm, whose momentum 0.99 is the weight of the past, PyTorch's that of the batch."""


class SameConv1d(nn.Conv1d):
    """(n, n_inputs, time) -> (n, n_outputs, time / stride, rounded up).

    The padding is TensorFlow's "SAME", an odd zero on the right.
    """

    def forward(self, x: Tensor) -> Tensor:
        time, stride = x.shape[-1], self.stride[0]
        padding = max(0, (math.ceil(time / stride) - 1) * stride + self.kernel_size[0] - time)
        return super().forward(functional.pad(x, (padding // 2, padding - padding // 2)))


def same_convolution(
    n_inputs: int, n_outputs: int, kernel_size: int, stride: int = 1, epsilon: float = 1e-5, momentum: float = 0.1
) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU: (n, n_inputs, time) -> (n, n_outputs, time / stride, rounded up).

    The padding is TensorFlow's "SAME", an odd zero on the right.
    """
    padding = kernel_size - stride
    return nn.Sequential(
        nn.ZeroPad1d((padding // 2, padding - padding // 2)),
        nn.Conv1d(n_inputs, n_outputs, kernel_size, stride, bias=False),
        nn.BatchNorm1d(n_outputs, epsilon, momentum),
        nn.ReLU(),
    )


class EfficientChannelAttention(nn.Module):
    """(n, channels, time) to the same shape: efficient channel attention (ECA).

    The weight of a channel is computed from its mean over time and those of the neighbouring channels.
    """

    def __init__(self, kernel_size: int):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean(dim=-1, keepdim=True).transpose(1, 2)  # (n, 1, channels)
        return x * self.conv(means).sigmoid().transpose(1, 2)


class PeepholeLSTM(nn.Module):
    """TensorFlow 1's LSTMCell with peepholes over a sequence: (batch, length, n_inputs) -> (batch, length, n_hidden).

    The gates of a step also see the cell: input and forget gate that of the step before, the output gate the new one.
    Gates are in PyTorch's order, input, forget, cell, output; there is one bias, whose forget part starts at 1, what
    TensorFlow adds to a bias of 0. Without peepholes, all 0, this is `nn.LSTM`.
    """

    def __init__(self, n_inputs: int, n_hidden: int):
        super().__init__()
        self.weight_ih = nn.Parameter(torch.empty(4 * n_hidden, n_inputs))
        self.weight_hh = nn.Parameter(torch.empty(4 * n_hidden, n_hidden))
        self.bias = nn.Parameter(torch.zeros(4 * n_hidden))
        self.peephole = nn.Parameter(torch.empty(3, n_hidden))
        """Of the input, the forget and the output gate."""
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Glorot-uniform: both matrices as the one that TensorFlow keeps them in, each peephole as a vector."""
        n_hidden, n_inputs = self.weight_hh.shape[1], self.weight_ih.shape[1]
        limit = math.sqrt(6 / (n_inputs + n_hidden + 4 * n_hidden))
        for weight in (self.weight_ih, self.weight_hh):
            weight.uniform_(-limit, limit)
        limit = math.sqrt(6 / (2 * n_hidden))
        self.peephole.uniform_(-limit, limit)
        self.bias.zero_()[n_hidden : 2 * n_hidden] = 1

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """The outputs, and the state after the last step; `state` is that before the first one, None for zeros."""
        if state is None:
            state = (x.new_zeros(x.shape[0], self.weight_hh.shape[1]),) * 2
        of_input, of_forget, of_output = (peephole.clone() for peephole in self.peephole)

        def step(state: State, gates: Tensor) -> State:
            output, cell = state
            enter, forget, new, leave = (gates + functional.linear(output, self.weight_hh)).chunk(4, dim=1)
            new = (enter + of_input * cell).sigmoid() * new.tanh()
            cell = (forget + of_forget * cell).sigmoid() * cell + new
            return (leave + of_output * cell).sigmoid() * cell.tanh(), cell

        return run_steps(step, state, functional.linear(x, self.weight_ih, self.bias), dim=1)


@torch.no_grad()
def truncated_normal(weight: Tensor, deviation: float) -> None:
    """TensorFlow's: a normal distribution cut at twice its deviation, by which what is left has 0.88 of it."""
    nn.init.trunc_normal_(weight, std=deviation, a=-2 * deviation, b=2 * deviation)


def fan_in(weight: Tensor) -> int:
    """Inputs of one output of a convolution or a linear layer."""
    return weight[0].numel()


def glorot_uniform(module: nn.Module) -> None:
    """Keras' start, for `nn.Module.apply`: Glorot-uniform kernels and zero biases of convolutions and linear layers."""
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)

"""AttnSleep: two-resolution convolutions, feature recalibration, attention on causal convolutions.

Paper: Eldele, Chen, Liu, Wu, Kwoh, Li and Guan, "An attention-based deep learning approach for sleep stage
classification with single-channel EEG", IEEE TNSRE 2021.

Released code: github.com/emadeldeen24/AttnSleep at 6b4d266, PyTorch [C]. Rewritten here, checked against that program
[V].

Published size: none is known here. Verified: outputs, in training with the same dropout and not, and gradients equal
those of the released program (1e-15 of the outputs' scale in float64); 509,825 parameters for one channel and five
classes and 63.43M multiply-accumulates, 63.72M with the products of attention.

The biases of the recalibration's pointwise convolutions, 60, get no gradient in training: the batch norm behind each
takes them away.

Defined for one channel [C].

What the released program settles:

- It makes one causal convolution too many in each attention and one layer norm too many in each encoder layer,
  12,980 parameters in all, that never act. They are left out.
- Attention compares the 30 feature channels, each described by its course of 80 steps, whose causal convolution runs
  along the steps. The five heads share the steps out, 16 consecutive ones each.
- The residual that attention is added to is the query, not the layer's input, and is not normalised.
- Of the recalibration's three pointwise convolutions, the shortcut's has no bias.
- Layer norm divides by the standard deviation of a sample, to which 1e-6 is added.
- At the start the two encoder layers are equal, and so are the convolutions of keys and values. N(0, 0.02) is drawn for
  the convolutions but the causal ones, which the program's test for their type misses: these keep PyTorch's default.
"""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network

N_CHANNELS = 30
"""Feature channels after recalibration: what attention compares."""
N_STEPS = 80
"""Steps of the two branches together, 64 + 16."""
N_HEADS = 5
N_HIDDEN = 120


class SampleLayerNorm(nn.LayerNorm):
    """Layer norm with the standard deviation of a sample: n - 1 under the root, epsilon beside it."""

    def __init__(self, n_features: int):
        super().__init__(n_features, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        deviation = x.std(dim=-1, keepdim=True)
        return self.weight * (x - x.mean(dim=-1, keepdim=True)) / (deviation + self.eps) + self.bias


def _convolution(n_inputs: int, n_outputs: int, kernel_size: int, stride: int, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(n_inputs, n_outputs, kernel_size, stride, padding, bias=False), nn.BatchNorm1d(n_outputs), nn.GELU()
    )


class MultiResolutionCNN(nn.Module):
    """(n, n_channels, 3000) -> (n, 128, 80): the steps of the short filters, then those of the long ones."""

    def __init__(self, n_channels: int):
        super().__init__()
        self.short_filters = nn.Sequential(
            _convolution(n_channels, 64, kernel_size=50, stride=6, padding=24),  # length 500
            nn.MaxPool1d(8, stride=2, padding=4),  # 251
            nn.Dropout(0.5),
            _convolution(64, 128, kernel_size=8, stride=1, padding=4),  # 252
            _convolution(128, 128, kernel_size=8, stride=1, padding=4),  # 253
            nn.MaxPool1d(4, padding=2),  # 64
        )
        self.long_filters = nn.Sequential(
            _convolution(n_channels, 64, kernel_size=400, stride=50, padding=200),  # length 61
            nn.MaxPool1d(4, stride=2, padding=2),  # 31
            nn.Dropout(0.5),
            _convolution(64, 128, kernel_size=7, stride=1, padding=3),
            _convolution(128, 128, kernel_size=7, stride=1, padding=3),
            nn.MaxPool1d(2, padding=1),  # 16
        )
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(torch.cat((self.short_filters(x), self.long_filters(x)), dim=-1))


class FeatureRecalibration(nn.Module):
    """(n, 128, steps) -> (n, 30, steps): a residual block with squeeze and excitation of its channels."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv1d(128, N_CHANNELS, kernel_size=1),
            nn.BatchNorm1d(N_CHANNELS),
            nn.ReLU(),
            nn.Conv1d(N_CHANNELS, N_CHANNELS, kernel_size=1),
            nn.BatchNorm1d(N_CHANNELS),
        )
        n_squeezed = N_CHANNELS // 16
        self.excitation = nn.Sequential(
            nn.Linear(N_CHANNELS, n_squeezed, bias=False),
            nn.ReLU(),
            nn.Linear(n_squeezed, N_CHANNELS, bias=False),
            nn.Sigmoid(),
        )
        self.shortcut = nn.Sequential(nn.Conv1d(128, N_CHANNELS, kernel_size=1, bias=False), nn.BatchNorm1d(N_CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        main = self.main(x)
        weights = self.excitation(main.mean(dim=-1)).unsqueeze(-1)
        return functional.relu(main * weights + self.shortcut(x))


class CausalConv(nn.Conv1d):
    """(n, 30, steps) to the same shape: a step sees itself and the six before it."""

    def __init__(self):
        super().__init__(N_CHANNELS, N_CHANNELS, kernel_size=7)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(functional.pad(x, (6, 0)))


class TemporalContextLayer(nn.Module):
    """(n, 30, 80) to the same shape: attention on causal convolutions, then a feed-forward network.

    Query, key and value are each a causal convolution of the input.
    """

    def __init__(self):
        super().__init__()
        self.query = CausalConv()
        self.key = CausalConv()
        self.value = copy.deepcopy(self.key)
        self.output = nn.Linear(N_STEPS, N_STEPS)
        self.norm = SampleLayerNorm(N_STEPS)
        self.feed_forward = nn.Sequential(
            nn.Linear(N_STEPS, N_HIDDEN), nn.ReLU(), nn.Dropout(0.1), nn.Linear(N_HIDDEN, N_STEPS)
        )
        self.attention_dropout = nn.Dropout(0.1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x)
        x = query + self.dropout(self._attend(query, self.key(x), self.value(x)))
        return x + self.dropout(self.feed_forward(self.norm(x)))

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query, key, value = (_split_heads(signal) for signal in (query, key, value))  # (n, heads, 30, 16)
        scores = query @ key.transpose(-2, -1) / math.sqrt(N_STEPS // N_HEADS)
        attended = self.attention_dropout(scores.softmax(dim=-1)) @ value
        return self.output(attended.transpose(1, 2).flatten(2))


def _split_heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (N_HEADS, N_STEPS // N_HEADS)).transpose(1, 2)


class AttnSleep(Network):
    """(batch, n_channels, 3000) microvolts at 100 Hz -> logits (batch, n_classes)."""

    parameters_without_gradient_in_training = ("recalibration.main.0.bias", "recalibration.main.3.bias")

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.cnn = MultiResolutionCNN(n_channels)
        self.recalibration = FeatureRecalibration()
        layer = TemporalContextLayer()
        self.temporal_context = nn.Sequential(layer, copy.deepcopy(layer), SampleLayerNorm(N_STEPS))
        self.classifier = nn.Linear(N_CHANNELS * N_STEPS, n_classes)
        self.apply(initialize)

    def forward(self, x: Tensor) -> Tensor:
        features = self.temporal_context(self.recalibration(self.cnn(x)))
        return self.classifier(features.flatten(1))


def initialize(module: nn.Module) -> None:
    """N(0, 0.02) for convolutions but the causal ones, N(1, 0.02) for batch norms' weights; the rest is PyTorch's."""
    if isinstance(module, nn.Conv1d) and not isinstance(module, CausalConv):
        nn.init.normal_(module.weight, 0, 0.02)
    elif isinstance(module, nn.BatchNorm1d):
        nn.init.normal_(module.weight, 1, 0.02)

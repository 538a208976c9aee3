"""DeepSleepNet: two CNN branches, of short and long filters, then a residual bidirectional LSTM.

Paper: Supratak, Dong, Wu and Guo, "DeepSleepNet: a model for automatic sleep stage scoring based on raw single-channel
EEG", IEEE TNSRE 2017, arXiv:1703.04046. It is trained in two stages: first the convolutions with a head of their own
(`DeepSleepNetCNN`, of single epochs), then the whole (`DeepSleepNet`, of sequences of 25), into which the trained
convolutions are copied: `feature_extractor` has the same parameters under the same names in both. The L2 penalty of
the recipe falls on `l2_parameters()`.
Released code: github.com/akaraspt/deepsleepnet at eb72f9b, TensorFlow 1 [C]. Rewritten here, checked against that
program [V].

Published size: none is known here. Verified: outputs, in training and not, gradients, the state that is carried on and
sizes equal those of the released program (1e-14 of the outputs' scale in float64); for one channel and five classes
22,645,637 parameters and 49.49M multiply-accumulates per epoch for the whole, 619,397 and 27.48M for the convolutions
with a head.

Defined for one channel [C].

What the released program settles:

- Padding is TensorFlow's "SAME"; the pools' padding never wins a maximum.
- The directions of the LSTM are stacked separately: a second layer sees the first layer of its own direction only.
  Dropout is on the outputs of both layers and on the sum with the shortcut. The cells have peepholes: 6,144 parameters;
  without them the network has 22,639,493. braindecode's, whose second layer sees both directions, has 24,744,837.
- Training carries the LSTM's state on: of each night, cut into 10 stretches that are read side by side, the state after
  25 epochs is that before the next 25. The backward direction's state is carried on in the same way, from the first
  epoch of a sequence to the last one of the sequence after it. `forward_from` is a step of that.
- The LSTM reads forwards and backwards, so that here a night is scored in overlapping windows of the training length.
"""

import itertools
import math

import torch
from torch import Tensor, nn

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network
from sleepbench.models.layers import PeepholeLSTM, State, fan_in, same_convolution, truncated_normal

N_FEATURES = 16 * 128 + 8 * 128
N_HIDDEN = 512
"""Of each layer and direction of the LSTM."""
BATCH_NORM = {"epsilon": 1e-5, "momentum": 0.001}


class FeatureExtractor(nn.Module):
    """(n, n_channels, 3000) -> (n, 3072): features from two convolutional branches.

    Short filters find when something happens, long ones at which frequency.
    """

    def __init__(self, n_channels: int):
        super().__init__()
        self.short_filters = nn.Sequential(
            same_convolution(n_channels, 64, kernel_size=50, stride=6, **BATCH_NORM),  # length 500
            nn.MaxPool1d(8, padding=2),  # 63
            nn.Dropout(0.5),
            same_convolution(64, 128, kernel_size=8, **BATCH_NORM),
            same_convolution(128, 128, kernel_size=8, **BATCH_NORM),
            same_convolution(128, 128, kernel_size=8, **BATCH_NORM),
            nn.MaxPool1d(4, ceil_mode=True),  # 16
        )
        self.long_filters = nn.Sequential(
            same_convolution(n_channels, 64, kernel_size=400, stride=50, **BATCH_NORM),  # length 60
            nn.MaxPool1d(4),  # 15
            nn.Dropout(0.5),
            same_convolution(64, 128, kernel_size=6, **BATCH_NORM),
            same_convolution(128, 128, kernel_size=6, **BATCH_NORM),
            same_convolution(128, 128, kernel_size=6, **BATCH_NORM),
            nn.MaxPool1d(2, ceil_mode=True),  # 8
        )
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.short_filters(x), self.long_filters(x))
        return self.dropout(torch.cat([branch.flatten(1) for branch in branches], dim=1))


class DeepSleepNetCNN(Network):
    """(batch, n_channels, 3000) microvolts at 100 Hz -> logits (batch, n_classes).

    The network that the first phase trains.
    """

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.feature_extractor = FeatureExtractor(n_channels)
        self.classifier = nn.Linear(N_FEATURES, n_classes)
        self.apply(initialize)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.feature_extractor(x))

    def l2_parameters(self) -> list[str]:
        """The kernel of the short branch's first convolution, on which alone the released program has a penalty."""
        return ["feature_extractor.short_filters.0.1.weight"]


class StackedLSTM(nn.Module):
    """Two layers, dropout behind each: (batch, length, n_inputs) -> (batch, length, n_hidden)."""

    def __init__(self, n_inputs: int, n_hidden: int):
        super().__init__()
        self.layers = nn.ModuleList([PeepholeLSTM(n_inputs, n_hidden), PeepholeLSTM(n_hidden, n_hidden)])
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor, states: list[State | None]) -> tuple[Tensor, list[State]]:
        after = []
        for layer, state in zip(self.layers, states, strict=True):
            x, state = layer(x, state)
            x = self.dropout(x)
            after.append(state)
        return x, after


class DeepSleepNet(Network):
    """(batch, length, n_channels, 3000) microvolts at 100 Hz -> logits (batch, length, n_classes).

    In training, batch norm needs more than one epoch in the batch.
    """

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.feature_extractor = FeatureExtractor(n_channels)
        self.shortcut = nn.Sequential(
            nn.Linear(N_FEATURES, 2 * N_HIDDEN, bias=False),
            nn.BatchNorm1d(2 * N_HIDDEN, BATCH_NORM["epsilon"], BATCH_NORM["momentum"]),
            nn.ReLU(),
        )
        self.forward_lstm = StackedLSTM(N_FEATURES, N_HIDDEN)
        self.backward_lstm = StackedLSTM(N_FEATURES, N_HIDDEN)
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(2 * N_HIDDEN, n_classes)
        self.apply(initialize)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_from(x, None)[0]

    def forward_from(self, x: Tensor, state: tuple[Tensor, ...] | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """`forward` from the outputs and cells of the four LSTM layers, those of the forward direction first.

        As the released program does, the backward direction goes on too, from the first epoch of a sequence to the last
        one of the next.
        """
        states = [None] * 4 if state is None else list(zip(state[::2], state[1::2], strict=True))
        batch, length = x.shape[:2]
        features = self.feature_extractor(x.flatten(0, 1))  # (batch * length, 3072)
        sequence = features.reshape(batch, length, -1)
        ahead, ahead_states = self.forward_lstm(sequence, states[:2])
        back, back_states = self.backward_lstm(sequence.flip(1), states[2:])
        context = torch.cat((ahead, back.flip(1)), dim=-1)
        logits = self.classifier(self.dropout(context + self.shortcut(features).reshape(batch, length, -1)))
        return logits, tuple(itertools.chain.from_iterable(ahead_states + back_states))

    def l2_parameters(self) -> list[str]:
        """The kernel of the short branch's first convolution, on which alone the released program has a penalty."""
        return ["feature_extractor.short_filters.0.1.weight"]


def initialize(module: nn.Module) -> None:
    """He's deviation in a truncated normal; zero biases; norms' weights N(1, 0.002). The LSTM's are its own."""
    if isinstance(module, nn.Conv1d | nn.Linear):
        truncated_normal(module.weight, math.sqrt(2 / fan_in(module.weight)))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm1d):
        nn.init.normal_(module.weight, 1, 0.002)

"""TinySleepNet: one convolutional branch and one LSTM that only looks back.

Paper: Supratak and Guo, "TinySleepNet: an efficient deep learning model for sleep stage scoring based on raw
single-channel EEG", EMBC 2020. Trained on sequences of 20 epochs. The published inference carries the LSTM's state
through the night; a whole unbroken run of epochs in one call is the same. The L2 penalty of the recipe falls on
`l2_parameters()`.
Released code: github.com/akaraspt/tinysleepnet at 70f45cf, TensorFlow 1 [C]. Rewritten here, checked against that
program [V].

Published size: none is known here. Verified: outputs, gradients, the state that is carried on and the size equal those
of the released program, and with its batch norm told that it trains so do those in training (1e-15 of the outputs'
scale in float64); for five classes 1,516,293 parameters and 29.09M multiply-accumulates per epoch with one
channel, 1,535,493 and 38.69M with four.

Defined for one channel [C]; physioex lets several enter the first convolution together, as is done here.

What the released program settles, and where this file departs from it:

- Padding is TensorFlow's "SAME"; the pools' padding never wins a maximum.
- The LSTM has peepholes, 384 parameters.
- The released training leaves batch norm in evaluation mode throughout, with mean 0 and variance 1: it is a learned
  scale and shift. By the recipe `tiny_sleepnet` it is one here too; by any other it learns, as the paper says.

The training by the recipe `tiny_sleepnet` is that of the released program but for these points:

- Shift in time: in the released program one is drawn for each night, and the epoch that wraps around is dropped. Here
  one is drawn for each sequence, circularly within it.
- Offset of the sequences: in the released program up to four epochs at the head of each night, drawn again in every
  training epoch, are left out. Here none is.
- Nights are unbroken runs of epochs here; a night with a removed epoch in it is two.
- Selection: in the released program the best training epoch has a higher validation accuracy and no lower macro-F1 than
  the best before, and training stops when more than 50 have passed since. Here the patience counts so, but the
  protocol's selection rule decides which training epoch is reported.
"""

import math

from torch import Tensor, nn

from sleepbench.core.stages import SAMPLES_PER_EPOCH, STAGES
from sleepbench.models.base import Network
from sleepbench.models.layers import (
    KERAS_EPSILON,
    KERAS_MOMENTUM,
    PeepholeLSTM,
    State,
    fan_in,
    same_convolution,
    truncated_normal,
)

N_HIDDEN = 128
BATCH_NORM = {"epsilon": KERAS_EPSILON, "momentum": KERAS_MOMENTUM}


class TinySleepNet(Network):
    """(batch, length, n_channels, n_samples) microvolts at 100 Hz -> logits (batch, length, n_classes)."""

    def __init__(self, n_channels: int, n_classes: int = len(STAGES), n_samples: int = SAMPLES_PER_EPOCH):
        super().__init__()
        n_steps = math.ceil(((math.ceil(n_samples / 6) + 2 * 2) // 8) / 4)
        self.feature_extractor = nn.Sequential(
            same_convolution(n_channels, 128, kernel_size=50, stride=6, **BATCH_NORM),  # length 500 of 3000 samples
            nn.MaxPool1d(8, padding=2),  # 63
            nn.Dropout(0.5),
            same_convolution(128, 128, kernel_size=8, **BATCH_NORM),
            same_convolution(128, 128, kernel_size=8, **BATCH_NORM),
            same_convolution(128, 128, kernel_size=8, **BATCH_NORM),
            nn.MaxPool1d(4, ceil_mode=True),  # 16
            nn.Flatten(),
            nn.Dropout(0.5),
        )
        self.lstm = PeepholeLSTM(128 * n_steps, N_HIDDEN)
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(N_HIDDEN, n_classes)
        self.apply(initialize)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_from(x, None)[0]

    def forward_from(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """`forward` from a state of the LSTM, None for zeros, and the state after the last epoch."""
        batch, length = x.shape[:2]
        features = self.feature_extractor(x.flatten(0, 1))  # (batch * length, 2048)
        context, state = self.lstm(features.reshape(batch, length, -1), state)
        return self.classifier(self.dropout(context)), state

    def l2_parameters(self) -> list[str]:
        """Names of the parameters that the published recipe penalises: the kernels of all convolutions."""
        return [f"{name}.weight" for name, module in self.named_modules() if isinstance(module, nn.Conv1d)]


def initialize(module: nn.Module) -> None:
    """A truncated normal whose deviation, when cut, is that of one over the inputs; zero biases."""
    if isinstance(module, nn.Conv1d | nn.Linear):
        truncated_normal(module.weight, 1 / math.sqrt(fan_in(module.weight)) / 0.87962566103423978)
        if module.bias is not None:
            nn.init.zeros_(module.bias)

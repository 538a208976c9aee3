"""U-Sleep: a deep, narrow, fully convolutional U-Net that reads a whole recording at once.

Paper: Perslev, Darkner, Kempfner, Nikolic, Jennum and Igel, "U-Sleep: resilient high-frequency sleep staging", npj
Digital Medicine 2021. The paper's network, for 128 Hz, has kernels of 9 samples and about 3.1 million parameters; this
is the smaller one that braindecode makes of it for 100 Hz, with kernels of 7. Trained on runs of 35 epochs.
Released code: github.com/perslev/U-Time at e51be3f, Keras [C], whose kernel is a setting. Rewritten here, checked
against that network with kernels of 7 [V].

Verified: outputs, in training and not, gradients and sizes equal those of the released program (1e-15 of the outputs'
scale in float64, at 1, 3, 7 and 35 epochs); for five classes 2,481,969 parameters with one channel, 2,482,011 with two,
2,482,095 with four, and 22.52M, 22.65M, 22.90M multiply-accumulates of a single epoch. With kernels of 9 the released
program has 3,114,337, the paper's size.

Defined for any number of channels [C]; the paper gives it an EEG and an EOG.

What the released program settles:

- An odd length gets a zero at its head before it is halved, behind the norm, so that the zero can win the maximum and
  is part of the skip connection. On the way up the surplus of the level below, two samples, is cut off at both ends.
- braindecode pads such a length at its tail: outputs differ by at most 0.004 of 0.5.
- Near the ends of a run, about as far as the receptive field reaches, the result depends on the zeros beyond them.
"""

import itertools
import math

import torch
from torch import Tensor, nn

from sleepbench.core.stages import SAMPLES_PER_EPOCH, STAGES
from sleepbench.models.base import Network
from sleepbench.models.layers import KERAS_EPSILON, KERAS_MOMENTUM, glorot_uniform
from sleepbench.models.open_length import cut_to, evened

COMPLEXITY = math.sqrt(1.67)
WIDTHS = (6, 9, 11, 15, 20, 28, 40, 55, 77, 108, 152, 214, 302)
"""Filters of the twelve encoder levels and of the bottom: 5 * 2**(level / 2), truncated at each step, * COMPLEXITY."""
KERNEL_SIZE = 7


def _convolution(n_inputs: int, n_outputs: int, kernel_size: int, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(n_inputs, n_outputs, kernel_size, padding=padding),
        nn.ELU(),
        nn.BatchNorm1d(n_outputs, KERAS_EPSILON, KERAS_MOMENTUM),
    )


class EncoderLevel(nn.Module):
    """(n, n_inputs, time) -> (n, n_outputs, time / 2), rounded up, and the skip connection, of twice that length."""

    def __init__(self, n_inputs: int, n_outputs: int):
        super().__init__()
        self.convolution = _convolution(n_inputs, n_outputs, KERNEL_SIZE, KERNEL_SIZE // 2)
        self.pool = nn.MaxPool1d(2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = evened(self.convolution(x))
        return self.pool(skip), skip


class DecoderLevel(nn.Module):
    """(n, n_inputs, time / 2 or more) and a skip connection (n, n_outputs, time) -> (n, n_outputs, time)."""

    def __init__(self, n_inputs: int, n_outputs: int):
        super().__init__()
        self.upsample = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.ZeroPad1d((0, 1)),
            _convolution(n_inputs, n_outputs, kernel_size=2, padding=0),
        )
        self.convolution = _convolution(2 * n_outputs, n_outputs, KERNEL_SIZE, KERNEL_SIZE // 2)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.convolution(torch.cat((cut_to(self.upsample(x), skip), skip), dim=1))


class USleep(Network):
    """(batch, length, n_channels, 3000) at 100 Hz, each channel of a recording scaled -> (batch, length, n_classes)."""

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        levels = tuple(itertools.pairwise(WIDTHS[:-1]))
        self.encoder = nn.ModuleList(
            EncoderLevel(n_inputs, n_outputs) for n_inputs, n_outputs in ((n_channels, WIDTHS[0]), *levels)
        )
        self.bottom = _convolution(WIDTHS[-2], WIDTHS[-1], KERNEL_SIZE, KERNEL_SIZE // 2)
        self.decoder = nn.ModuleList(
            DecoderLevel(n_inputs, n_outputs) for n_outputs, n_inputs in reversed(tuple(itertools.pairwise(WIDTHS)))
        )
        n_samplewise = int(n_classes * COMPLEXITY)
        self.classify_samples = nn.Sequential(nn.Conv1d(WIDTHS[0], n_samplewise, kernel_size=1), nn.Tanh())
        self.classify_epochs = nn.Sequential(
            nn.AvgPool1d(SAMPLES_PER_EPOCH),
            nn.Conv1d(n_samplewise, n_classes, kernel_size=1),
            nn.ELU(),
            nn.Conv1d(n_classes, n_classes, kernel_size=1),
        )
        self.apply(glorot_uniform)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2).flatten(2)  # (batch, n_channels, length * 3000)
        skips = []
        for level in self.encoder:
            x, skip = level(x)
            skips.append(skip)
        x = self.bottom(x)
        for level in self.decoder:
            x = level(x, skips.pop())
        return self.classify_epochs(self.classify_samples(x)).transpose(1, 2)

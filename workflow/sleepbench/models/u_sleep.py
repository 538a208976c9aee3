"""U-Sleep: a deep, narrow, fully convolutional U-Net that reads a whole recording at once.

Paper: Perslev, Darkner, Kempfner, Nikolic, Jennum and Igel, "U-Sleep: resilient high-frequency sleep staging", npj
Digital Medicine 2021. The paper's network, for 128 Hz, has kernels of 9 samples and about 3.1 million parameters; this
is the smaller one that braindecode makes of it for 100 Hz, with kernels of 7. Trained on runs of 35 epochs.

Verified: parameters and multiply-accumulates per epoch equal those of an independent build, for five classes 2,481,969
and 22.10M with one channel, 2,482,011 and 22.23M with two, 2,482,095 and 22.48M with four, counted on a single epoch.

Where the paper leaves something open or this file departs from it:

- The paper scales every channel of a recording to a median of 0 and an interquartile range of 1. Here a fixed unit
  takes their place.
- Halving an odd length keeps its last sample by itself; on the way up the surplus sample is cut off again. Thus sample
  t of a skip connection meets what was upsampled from sample t, whatever the length.
- Near the ends of a run, about as far as the receptive field reaches, the result depends on the zeros beyond them.
- Initial weights, and the epsilon and momentum of batch norm, are PyTorch's defaults.
"""

import itertools

import torch
from torch import Tensor, nn

from sleepbench.core.stages import SAMPLES_PER_EPOCH, STAGES
from sleepbench.models.base import Network
from sleepbench.models.layers import MICROVOLTS_PER_UNIT

WIDTHS = (6, 9, 11, 15, 20, 28, 40, 55, 77, 108, 152, 214, 302)
"""Filters of the twelve encoder levels and of the bottom: 5 * 2**(level / 2), truncated at each step, * sqrt(1.67)."""
KERNEL_SIZE = 7


def _convolution(n_inputs: int, n_outputs: int, kernel_size: int, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(n_inputs, n_outputs, kernel_size, padding=padding), nn.ELU(), nn.BatchNorm1d(n_outputs)
    )


class EncoderLevel(nn.Module):
    """(n, n_inputs, time) -> (n, n_outputs, time / 2) and the skip connection (n, n_outputs, time).

    time / 2 is rounded up.
    """

    def __init__(self, n_inputs: int, n_outputs: int):
        super().__init__()
        self.convolution = _convolution(n_inputs, n_outputs, KERNEL_SIZE, KERNEL_SIZE // 2)
        self.pool = nn.MaxPool1d(2, ceil_mode=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = self.convolution(x)
        return self.pool(skip), skip


class DecoderLevel(nn.Module):
    """(n, n_inputs, time / 2) and a skip connection (n, n_outputs, time) -> (n, n_outputs, time)."""

    def __init__(self, n_inputs: int, n_outputs: int):
        super().__init__()
        self.upsample = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.ZeroPad1d((0, 1)),
            _convolution(n_inputs, n_outputs, kernel_size=2, padding=0),
        )
        self.convolution = _convolution(2 * n_outputs, n_outputs, KERNEL_SIZE, KERNEL_SIZE // 2)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.upsample(x)[..., : skip.shape[-1]]
        return self.convolution(torch.cat((x, skip), dim=1))


class USleep(Network):
    """(batch, length, n_channels, 3000) microvolts at 100 Hz -> logits (batch, length, n_classes)."""

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
        self.classify_samples = nn.Sequential(nn.Conv1d(WIDTHS[0], WIDTHS[0], kernel_size=1), nn.Tanh())
        self.classify_epochs = nn.Sequential(
            nn.AvgPool1d(SAMPLES_PER_EPOCH),
            nn.Conv1d(WIDTHS[0], n_classes, kernel_size=1),
            nn.ELU(),
            nn.Conv1d(n_classes, n_classes, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2).flatten(2) / MICROVOLTS_PER_UNIT  # (batch, n_channels, length * 3000)
        skips = []
        for level in self.encoder:
            x, skip = level(x)
            skips.append(skip)
        x = self.bottom(x)
        for level in self.decoder:
            x = level(x, skips.pop())
        return self.classify_epochs(self.classify_samples(x)).transpose(1, 2)

"""U-Time: a fully convolutional U-Net over many epochs, without recurrence.

Paper: Perslev, Jensen, Darkner, Jennum and Igel, "U-Time: A Fully Convolutional Network for Time Series Segmentation
Applied to Sleep Staging", NeurIPS 2019, arXiv:1910.11162. Trained on runs of 35 epochs.

Published size: none is known here. Verified: 1,187,569 parameters for one channel and five classes and 51.7M
multiply-accumulates per epoch of a run of 35, as in an independent build (the released program's complexity factor 1).

Where the paper leaves something open or this file departs from it:

- The paper standardises every channel of a recording. Here a fixed unit takes its place.
- Pools that do not divide a length drop the rest, and skip connections are cut to what comes back up. Of a run's last
  epoch up to 1919 samples, whatever does not fill a step of 1920, are thus not classified; that epoch is the mean over
  the samples that are, at least 1081.
- The convolutions of the encoder are dilated by 2, those of the bottom and of the decoder are not.
- Near the ends of a run, about as far as the receptive field reaches, the result depends on the zeros beyond them.
- Initial weights, and the epsilon and momentum of batch norm, are PyTorch's defaults.
"""

import itertools

import torch
from torch import Tensor, nn

from sleepbench.core.stages import SAMPLES_PER_EPOCH, STAGES
from sleepbench.models.base import Network
from sleepbench.models.layers import MICROVOLTS_PER_UNIT

WIDTHS = (16, 32, 64, 128, 256)
"""Filters of the four encoder levels and of the bottom."""
POOLS = (10, 8, 6, 4)
KERNEL_SIZE = 5


def _convolution(n_inputs: int, n_outputs: int, dilation: int = 1) -> nn.Sequential:
    """(n, n_inputs, time) -> (n, n_outputs, time)."""
    padding = dilation * (KERNEL_SIZE // 2)
    return nn.Sequential(
        nn.Conv1d(n_inputs, n_outputs, KERNEL_SIZE, padding=padding, dilation=dilation),
        nn.ELU(),
        nn.BatchNorm1d(n_outputs),
    )


def _upsample(n_inputs: int, n_outputs: int, factor: int) -> nn.Sequential:
    """Upsampling, then a convolution: (n, n_inputs, time) -> (n, n_outputs, time * factor).

    The kernel is as long as the factor, which is even.
    """
    return nn.Sequential(
        nn.Upsample(scale_factor=factor),
        nn.ZeroPad1d((factor // 2 - 1, factor // 2)),
        nn.Conv1d(n_inputs, n_outputs, kernel_size=factor),
        nn.ELU(),
        nn.BatchNorm1d(n_outputs),
    )


class EncoderLevel(nn.Module):
    """(n, n_inputs, time) -> (n, n_outputs, time // pool) and the skip connection (n, n_outputs, time)."""

    def __init__(self, n_inputs: int, n_outputs: int, pool: int):
        super().__init__()
        self.convolutions = nn.Sequential(
            _convolution(n_inputs, n_outputs, dilation=2), _convolution(n_outputs, n_outputs, dilation=2)
        )
        self.pool = nn.MaxPool1d(pool)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        skip = self.convolutions(x)
        return self.pool(skip), skip


class DecoderLevel(nn.Module):
    """(n, n_inputs, time) and a skip connection -> (n, n_outputs, time * pool).

    The skip connection is (n, n_outputs, time * pool) or longer in time; what is longer is cut off.
    """

    def __init__(self, n_inputs: int, n_outputs: int, pool: int):
        super().__init__()
        self.upsample = _upsample(n_inputs, n_outputs, pool)
        self.convolutions = nn.Sequential(_convolution(2 * n_outputs, n_outputs), _convolution(n_outputs, n_outputs))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.upsample(x)
        return self.convolutions(torch.cat((skip[..., : x.shape[-1]], x), dim=1))


class UTime(Network):
    """(batch, length, n_channels, 3000) microvolts at 100 Hz -> logits (batch, length, n_classes)."""

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        n_inputs = (n_channels, *WIDTHS[:3])
        self.encoder = nn.ModuleList(map(EncoderLevel, n_inputs, WIDTHS, POOLS))
        self.bottom = nn.Sequential(_convolution(WIDTHS[3], WIDTHS[4]), _convolution(WIDTHS[4], WIDTHS[4]))
        self.decoder = nn.ModuleList(
            DecoderLevel(n_inputs, n_outputs, pool)
            for (n_outputs, n_inputs), pool in reversed(tuple(zip(itertools.pairwise(WIDTHS), POOLS, strict=True)))
        )
        self.classify_samples = nn.Sequential(nn.Conv1d(WIDTHS[0], n_classes, kernel_size=1), nn.Tanh())
        self.classify_epochs = nn.Sequential(
            nn.AvgPool1d(SAMPLES_PER_EPOCH, ceil_mode=True),  # an epoch cut short is averaged over what is left of it
            nn.Conv1d(n_classes, n_classes, kernel_size=1),
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

"""U-Time: a fully convolutional U-Net over many epochs, without recurrence.

Paper: Perslev, Jensen, Darkner, Jennum and Igel, "U-Time: A Fully Convolutional Network for Time Series Segmentation
Applied to Sleep Staging", NeurIPS 2019, arXiv:1910.11162. Trained on runs of 35 epochs.
Released code: github.com/perslev/U-Time at e51be3f, Keras [C]. Rewritten here, checked against that network [V].

Published size: none is known here. Verified: outputs, in training and not, gradients and sizes equal those of the
released program (1e-15 of the outputs' scale in float64, at 1, 2, 5 and 35 epochs); 1,187,569 parameters for one
channel and five classes, 51.7M multiply-accumulates per epoch of a run of 35.

Defined for any number of channels [C]; the paper gives it one.

What the released program settles:

- The complexity factor is 1. The program's default and its configuration for U-Time have 2, the square root of 2 times
  the filters and 2,366,591 parameters.
- Pools that do not divide a length drop the rest. On the way up a skip connection is cut at both ends to what comes
  back, and the classified samples are put between zeros, at most 960 at each end: what comes from a deeper level thus
  lies up to 960 samples later than the skip connection that it meets, and a run's first and last epoch are means over
  those zeros too. At 35 epochs 660 at each end.
- The convolutions of the encoder are dilated by 2, those of the bottom and of the decoder are not.
- Its input has 128 samples a second; here it has 100, with which all of its settings are the same.
- Near the ends of a run, about as far as the receptive field reaches, the result depends on the zeros beyond them.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.stages import SAMPLES_PER_EPOCH, STAGES
from sleepbench.models.base import Network
from sleepbench.models.layers import KERAS_EPSILON, KERAS_MOMENTUM, glorot_uniform

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
        nn.BatchNorm1d(n_outputs, KERAS_EPSILON, KERAS_MOMENTUM),
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
        nn.BatchNorm1d(n_outputs, KERAS_EPSILON, KERAS_MOMENTUM),
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

    def forward(self, x: Tensor, skip: Tensor, odd_at_head: int) -> Tensor:
        """Of an odd number of samples that are cut off the skip connection, the greater half is at its head (1) or not.

        Lengths are computed without a branch, so that the network can be exported for any.
        """
        x = self.upsample(x)
        surplus = skip.shape[-1] - x.shape[-1]
        first = surplus // 2 + surplus % 2 * odd_at_head
        return self.convolutions(torch.cat((skip[..., first : first + x.shape[-1]], x), dim=1))


class UTime(Network):
    """(batch, length, n_channels, 3000) at 100 Hz, each channel of a recording scaled -> (batch, length, n_classes)."""

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
            nn.AvgPool1d(SAMPLES_PER_EPOCH),
            nn.Conv1d(n_classes, n_classes, kernel_size=1),
            nn.ELU(),
            nn.Conv1d(n_classes, n_classes, kernel_size=1),
        )
        self.apply(glorot_uniform)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2).flatten(2)  # (batch, n_channels, length * 3000)
        n_samples = x.shape[-1]
        skips = []
        for level in self.encoder:
            x, skip = level(x)
            skips.append(skip)
        x = self.bottom(x)
        n_cut = 0  # the skip connections that had to be cut so far: the released program takes turns
        for level in self.decoder:
            skip = skips.pop()
            surplus = skip.shape[-1] - x.shape[-1] * int(level.upsample[0].scale_factor)
            n_cut += (surplus + n_samples - 1) // n_samples  # 1 where there is any
            x = level(x, skip, odd_at_head=1 - n_cut % 2)
        x = self.classify_samples(x)
        missing = n_samples - x.shape[-1]
        return self.classify_epochs(functional.pad(x, (missing // 2, missing - missing // 2))).transpose(1, 2)

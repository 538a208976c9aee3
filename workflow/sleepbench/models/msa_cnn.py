"""MSA-CNN: convolutions at four resolutions, a spatial filter, then a small transformer.

The filters have the same lengths at every resolution.

Paper: Goerttler, Wang, Eldele, Wu and He, "MSA-CNN: a lightweight multi-scale CNN with attention for sleep stage
classification", Biomedical Signal Processing and Control 120, 2026, arXiv:2501.02949. A small and a large
configuration, defined for any number of channels: one, three and four of Sleep-EDF, nine of ISRUC in the paper.

Published size: as few as about 10,000 parameters. Parameters and multiply-accumulates for five classes, small and
large: 8,517 and 1.39M, 35,301 and 3.74M with one channel; 8,013 and 3.99M, 33,261 and 6.95M with four.

Verified: outputs, training-mode outputs and gradients equal those of the authors' program, github.com/sgoerttler/
MSA-CNN at bc0bfa4, small and large with 1, 3, 4 and 9 channels, on the same weights, to 1e-14 of their scale in
float64. Theirs ends in a softmax, which its training then feeds to a cross-entropy; here the output is logits.

The authors feed microvolts without a standardisation, each epoch filtered below 40 Hz forwards and backwards: the
entry's input_transformation.

What the description alone does not say, and the program settles:

- With one channel the spatial filter's place is taken by a temporal one of five steps without padding, which leaves 71
  of the 75, and the signal has no learned scale and offset.
- The spatial filter is followed by a ReLU, the linear layer by nothing.
- The positional encoding is the fixed one of sines and cosines.
- The transformer's layers are PyTorch's: norm after each residual, ReLU. All start from the same weights.
- Other initial weights are PyTorch's defaults; the learned scale is 1 and the offset 0.
"""

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network

DOWNSAMPLING = 8
"""Of every scale: the average pool before its filters times the maximum pool behind them."""
N_SCALES = 4
N_SCALE_FILTERS = 8
DROPOUT = 0.1


class ChannelScale(nn.Module):
    """(n, 1, n_channels, time) to the same shape: a learned scale and offset for each channel."""

    def __init__(self, n_channels: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(n_channels, 1))
        self.offset = nn.Parameter(torch.zeros(n_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.offset


class MultiScaleConv(nn.Module):
    """(n, 1, n_channels, 3000) -> (n, 32, n_channels, 375): eight filters on each of four resolutions.

    Pools before and behind the filters complement each other: whatever the resolution, every eighth sample is left.
    """

    def __init__(self):
        super().__init__()
        self.scales = nn.ModuleList(self._scale(2**i) for i in range(N_SCALES))

    @staticmethod
    def _scale(averaged: int) -> nn.Sequential:
        return nn.Sequential(
            nn.AvgPool2d((1, averaged)),
            nn.Conv2d(1, N_SCALE_FILTERS, (1, 15), padding=(0, 7)),
            nn.ReLU(),
            nn.MaxPool2d((1, DOWNSAMPLING // averaged)),
            nn.Dropout(DROPOUT),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([scale(x) for scale in self.scales], dim=1)


class _MSACNN(Network):
    """(batch, n_channels, 3000) microvolts at 100 Hz, below 40 Hz -> logits (batch, n_classes)."""

    n_temporal_filters: int
    n_spatial_filters: int
    n_features: int
    n_heads: int
    n_layers: int

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.temporal = nn.Sequential(
            ChannelScale(n_channels) if n_channels > 1 else nn.Identity(),
            MultiScaleConv(),
            nn.Conv2d(N_SCALES * N_SCALE_FILTERS, self.n_temporal_filters, (1, 5), stride=(1, 5)),
            nn.ReLU(),
            nn.Dropout(DROPOUT),
        )
        spatial_kernel = (n_channels, 1) if n_channels > 1 else (1, 5)
        self.spatial = nn.Conv2d(self.n_temporal_filters, self.n_spatial_filters, spatial_kernel)
        self.embedding = nn.Linear(self.n_spatial_filters, self.n_features)
        n_steps = 75 - spatial_kernel[1] + 1
        self.register_buffer("position", _positional_encoding(n_steps, self.n_features), persistent=False)
        layer = nn.TransformerEncoderLayer(
            self.n_features, self.n_heads, dim_feedforward=2 * self.n_features, dropout=DROPOUT, batch_first=True
        )
        self.transformer = nn.Sequential(*(copy.deepcopy(layer) for _ in range(self.n_layers)))
        self.classifier = nn.Linear(self.n_features, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.temporal(x.unsqueeze(1))  # (batch, filters, n_channels, 75)
        tokens = functional.relu(self.spatial(features)).squeeze(2).transpose(1, 2)  # (batch, steps, filters)
        context = self.transformer(self.embedding(tokens) + self.position)
        return self.classifier(context.mean(dim=1))


class MSACNNSmall(_MSACNN):
    """(batch, n_channels, 3000) microvolts at 100 Hz, below 40 Hz -> logits (batch, n_classes)."""

    n_temporal_filters = 16
    n_spatial_filters = 32
    n_features = 16
    n_heads = 2
    n_layers = 1


class MSACNNLarge(_MSACNN):
    """(batch, n_channels, 3000) microvolts at 100 Hz, below 40 Hz -> logits (batch, n_classes)."""

    n_temporal_filters = 32
    n_spatial_filters = 64
    n_features = 32
    n_heads = 4
    n_layers = 2


def _positional_encoding(n_steps: int, n_features: int) -> Tensor:
    """(n_steps, n_features): sines and cosines alternate, their wavelengths 2 pi to 20,000 pi steps."""
    frequencies = (torch.arange(0, n_features, 2) * (-math.log(10_000) / n_features)).exp()
    angles = torch.arange(n_steps)[:, None] * frequencies
    return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)

"""EEGNet: temporal filters, depthwise spatial filters for each, then a separable convolution.

Paper: Lawhern, Solon, Waytowich, Gordon, Hung and Lance, "EEGNet: a compact convolutional neural network for EEG-based
brain-computer interfaces", Journal of Neural Engineering 2018; EEGNet-8,2. It was not published for sleep.

Written after the defaults of braindecode 1.8, checked against github.com/braindecode/braindecode at 1.8.1 [V].

Published size: none is known here. Verified: outputs, in training and not, gradients and sizes equal those of
braindecode's (to the last bit in float64, with 1, 4 and 10 channels); for five classes 8,565 parameters and 1.976M
multiply-accumulates with one channel, 8,613 and 6.730M with four, 8,709 and 16.237M with ten.

Defined for any number of channels.

The first batch norm's offsets, 8, get no gradient in training: the spatial filter passes them on as constants, which
the batch norm behind it takes away.

What those defaults settle, and what was decided here:

- The temporal filters have 64 samples, 0.64 s at 100 Hz; the paper's have half a second. Convolutions pad by half
  their kernel, an even kernel thus adding a sample.
- Dropout is 0.25, which the paper takes for a network tested on subjects it was not trained on.
- Of the paper's two limits on norms of weights only the spatial filters' is kept, not the classifier's.
- That limit is a function of the weight within the forward pass: training never rewrites the weight itself, and the
  gradient is that of the limited one. With one channel the batch norm behind makes the filter's size immaterial.
- Initial weights, epsilon and momentum of batch norm are Keras' defaults, in which the network was published:
  Glorot-uniform kernels, zero biases.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network
from sleepbench.models.layers import KERAS_EPSILON, KERAS_MOMENTUM, glorot_uniform

N_TEMPORAL_FILTERS = 8
N_FILTERS = 16
"""Two spatial filters for each temporal one, and as many pointwise ones."""
N_STEPS = 93
"""Of the features: 3000 -> 3001 -> 750 -> 751 -> 93."""
DROPOUT = 0.25


def _batch_norm(n_filters: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(n_filters, KERAS_EPSILON, KERAS_MOMENTUM)


class SpatialConv(nn.Conv2d):
    """(n, 8, n_channels, time) -> (n, 16, 1, time), filters over the channels with a norm of at most 1."""

    def __init__(self, n_channels: int):
        super().__init__(N_TEMPORAL_FILTERS, N_FILTERS, (n_channels, 1), groups=N_TEMPORAL_FILTERS, bias=False)

    def limited_weight(self) -> Tensor:
        return torch.renorm(self.weight, p=2, dim=0, maxnorm=1.0)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.limited_weight(), groups=self.groups)


class EEGNet(Network):
    """(batch, n_channels, 3000) microvolts at 100 Hz -> logits (batch, n_classes)."""

    parameters_without_gradient_in_training = ("features.1.bias",)

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, N_TEMPORAL_FILTERS, (1, 64), padding=(0, 32), bias=False),
            _batch_norm(N_TEMPORAL_FILTERS),
            SpatialConv(n_channels),
            _batch_norm(N_FILTERS),
            nn.ELU(),
            nn.AvgPool2d((1, 4)),
            nn.Dropout(DROPOUT),
            nn.Conv2d(N_FILTERS, N_FILTERS, (1, 16), padding=(0, 8), groups=N_FILTERS, bias=False),
            nn.Conv2d(N_FILTERS, N_FILTERS, kernel_size=1, bias=False),
            _batch_norm(N_FILTERS),
            nn.ELU(),
            nn.AvgPool2d((1, 8)),
            nn.Dropout(DROPOUT),
        )
        self.classifier = nn.Conv2d(N_FILTERS, n_classes, (1, N_STEPS))
        self.apply(glorot_uniform)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x.unsqueeze(1))).flatten(1)

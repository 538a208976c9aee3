"""SleepNet-Lite: depthwise convolutions at two scales, fused by a split block with shuffled channels.

Paper: Zhou, Liu, Cui, Bie and Chen, "SleepNet-Lite: a novel lightweight convolutional neural network for single-channel
EEG-based sleep staging", IEEE Sensors Letters 2023. One EEG channel. The paper's logit-adjusted loss is a matter of the
recipe.

Published size: 41.67K parameters. 41,669 parameters for five classes and 1,536 more of batch norm, 13.91M
multiply-accumulates. The published parameters leave out batch norm.

Verified: outputs, training-mode outputs and gradients equal those of an independent implementation,
github.com/guisongliu/Nano-SleepNet at 9efd851, on the same weights, to 1e-14 of their scale in float64. The authors'
own program is not known.

The convolutions' biases and, of the norms behind depthwise convolutions, the offsets, 1,024 in all, get no gradient in
training: the batch norm behind each takes them away, as no activation stands between.

What the description leaves open and how both decided; the first two are the reading that meets the counts:

- Every convolution has a bias and is followed by batch norm.
- Padding halves lengths exactly, an odd one rounded up: 3000 -> 1500 -> 750 -> 375 -> 188. Where a zero is left over it
  stands on the right, as TensorFlow has it; with as many on the left, outputs on random weights differ by 4e-2 of their
  scale.
- Pointwise convolutions, and the first, have a ReLU; depthwise ones have none.
- In the fusing block the first half of the shuffled channels is pooled and the second convolved.
- Initial weights, and the epsilon and momentum of batch norm, are PyTorch's defaults.
"""

import torch
from torch import Tensor, nn

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network
from sleepbench.models.layers import SameConv1d

N_FILTERS = 64


def _pointwise(n_inputs: int, n_outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(n_inputs, n_outputs, kernel_size=1), nn.BatchNorm1d(n_outputs), nn.ReLU())


def _depthwise(n_filters: int, kernel_size: int) -> nn.Sequential:
    """(n, n_filters, time) -> (n, n_filters, time / 2), of an even time."""
    return nn.Sequential(
        SameConv1d(n_filters, n_filters, kernel_size, stride=2, groups=n_filters), nn.BatchNorm1d(n_filters)
    )


class SleepNetLite(Network):
    """(batch, 1, 3000) microvolts at 100 Hz -> logits (batch, n_classes)."""

    # Those of all convolutions, and of the norms behind depthwise ones.
    parameters_without_gradient_in_training = (".0.bias", "scale.0.1.bias", "residual.1.1.bias")

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(n_channels, N_FILTERS, kernel_size=8, stride=2, padding=3),
            nn.BatchNorm1d(N_FILTERS),
            nn.ReLU(),
            nn.MaxPool1d(8, stride=2, padding=3),
            _pointwise(N_FILTERS, N_FILTERS),
        )
        self.short_scale = nn.Sequential(_depthwise(N_FILTERS, 5), _pointwise(N_FILTERS, N_FILTERS))
        self.long_scale = nn.Sequential(_depthwise(N_FILTERS, 15), _pointwise(N_FILTERS, N_FILTERS))
        self.shuffle = nn.ChannelShuffle(2)
        self.pool = nn.AvgPool1d(2, ceil_mode=True)
        halving = nn.Conv1d(2 * N_FILTERS, 2 * N_FILTERS, 15, stride=2, padding=7, groups=2 * N_FILTERS)  # 375 -> 188
        self.inverted_residual = nn.Sequential(
            _pointwise(N_FILTERS, 2 * N_FILTERS),
            nn.Sequential(halving, nn.BatchNorm1d(2 * N_FILTERS)),
            _pointwise(2 * N_FILTERS, N_FILTERS),
        )
        self.fusion = _pointwise(2 * N_FILTERS, N_FILTERS)
        self.classifier = nn.Linear(N_FILTERS, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (batch, 64, 750)
        scales = self.shuffle(torch.cat((self.short_scale(x), self.long_scale(x)), dim=1))  # (batch, 128, 375)
        pooled, convolved = scales.chunk(2, dim=1)
        x = torch.cat((self.pool(pooled), self.inverted_residual(convolved)), dim=1)  # (batch, 128, 188)
        return self.classifier(self.fusion(x).mean(dim=-1))

"""MicroSleepNet: grouped convolutions, attention over channels and time, dilated convolutions.

The grouped convolutions' channels are shuffled.

Paper: Liu, Wei, Sun, Mao, Zhang, Zhao, Tian, Wang and Chen, "Micro SleepNet: efficient deep learning model for mobile
terminal real-time sleep staging", Frontiers in Neuroscience 2023. One EEG channel.

Published size: 48,226 parameters, 48.95M FLOPs. As many parameters for five classes, 2.945M multiply-accumulates. The
published FLOPs are about sixteen times those, close to a count that takes the grouped convolutions for dense ones.

Verified: outputs, training-mode outputs and gradients equal those of the first author's program,
github.com/guisongliu/Nano-SleepNet at d4b7642, on the same weights, to 1e-14 of their scale in float64.

What the description alone does not say, and the program settles:

- The order in a block is convolution, batch norm, LeakyReLU, pool, attention over channels, then over time; the shuffle
  follows the attention.
- Attention's convolutions have no bias and zeros around, so that shapes stay. The pools drop what does not fill them.
- Initial weights, LeakyReLU's slope, and the epsilon and momentum of batch norm are PyTorch's defaults, theirs too.
"""

import torch
from torch import Tensor, nn

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network
from sleepbench.models.layers import EfficientChannelAttention


class TemporalAttention(nn.Module):
    """(n, channels, time) to the same shape: attention over time.

    The weight of a step is computed from the maximum and the mean over the channels, at that step and its neighbours.
    """

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 1, kernel_size=7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        summary = torch.cat((x.amax(dim=1, keepdim=True), x.mean(dim=1, keepdim=True)), dim=1)
        return x * self.conv(summary).sigmoid()


def _convolution(n_inputs: int, n_outputs: int, groups: int = 1, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(n_inputs, n_outputs, 3, padding=dilation, dilation=dilation, groups=groups, bias=False),
        nn.BatchNorm1d(n_outputs),
        nn.LeakyReLU(),
    )


def _attention(kernel_size: int) -> nn.Sequential:
    return nn.Sequential(EfficientChannelAttention(kernel_size), TemporalAttention())


class MicroSleepNet(Network):
    """(batch, 1, 3000) microvolts at 100 Hz -> logits (batch, n_classes)."""

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.features = nn.Sequential(
            _convolution(n_channels, 64),
            nn.MaxPool1d(3),  # length 1000
            _attention(3),
            _convolution(64, 128, groups=64),
            nn.MaxPool1d(3),  # 333
            _attention(5),
            nn.ChannelShuffle(32),
            _convolution(128, 128, groups=64),
            nn.MaxPool1d(3),  # 111
            _attention(5),
            nn.ChannelShuffle(64),
            _convolution(128, 128, groups=64),
            nn.MaxPool1d(3),  # 37
            _attention(5),
            nn.ChannelShuffle(64),
            _convolution(128, 128, groups=64),
            _attention(5),
            nn.Dropout(0.5),
        )
        self.fusion = nn.Sequential(
            _convolution(128, 32, dilation=1), _convolution(32, 64, dilation=2), _convolution(64, 128, dilation=4)
        )
        self.classifier = nn.Linear(128, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.fusion(self.features(x)).mean(dim=-1))

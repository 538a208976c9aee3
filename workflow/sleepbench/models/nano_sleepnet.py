"""NanoSleepNet: one residual block of grouped convolutions, then channel attention.

It is the epoch encoder of NanoSleepNet-TCN.

Paper: Liu, Zhang and Wei, "NanoSleepNet-TCN: a compact temporal model for on-device single-channel EEG sleep staging",
2026 (submitted; known from github.com/guisongliu/Nano-SleepNet). One EEG channel.

Published size: 9.07K parameters, 6.69M FLOPs. 9,066 parameters and 3,344,640 multiply-accumulates for five classes; the
published FLOPs are twice those.

Verified: outputs, training-mode outputs and gradients equal those of the authors' program, that repository at 610e90a,
on the same weights, to 1e-14 of their scale in float64.

What the description alone does not say, and the program settles:

- Convolutions pad as TensorFlow's "SAME": 3000 -> 500 -> 125.
- The shuffle follows GELU. The last of the pool's windows, cut short, is the mean of what it holds.
- Nothing is dropped out.
- Initial weights, and the epsilon and momentum of batch norm, are PyTorch's defaults, theirs too.
"""

from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network
from sleepbench.models.layers import EfficientChannelAttention, SameConv1d

N_FEATURES = 64


def _convolution(n_inputs: int, n_outputs: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        SameConv1d(n_inputs, n_outputs, kernel_size, stride, groups=groups, bias=False), nn.BatchNorm1d(n_outputs)
    )


class EpochEncoder(nn.Module):
    """(n, n_channels, 3000) -> (n, 64)."""

    def __init__(self, n_channels: int):
        super().__init__()
        self.stem = nn.Sequential(_convolution(n_channels, 32, kernel_size=15, stride=6), nn.GELU())
        self.residual = nn.Sequential(
            _convolution(32, 32, kernel_size=15, groups=4),
            nn.GELU(),
            nn.ChannelShuffle(4),
            _convolution(32, 32, kernel_size=7, groups=4),
        )
        self.summary = nn.Sequential(
            _convolution(32, N_FEATURES, kernel_size=9, stride=4, groups=8),
            nn.GELU(),
            nn.ChannelShuffle(8),
            nn.AvgPool1d(4, ceil_mode=True),
            EfficientChannelAttention(kernel_size=5),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (n, 32, 500)
        x = functional.gelu(self.residual(x) + x)
        return self.summary(x).mean(dim=-1)  # over 32 steps


class NanoSleepNet(Network):
    """(batch, 1, 3000) microvolts at 100 Hz -> logits (batch, n_classes)."""

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.encoder = EpochEncoder(n_channels)
        self.classifier = nn.Linear(N_FEATURES, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.encoder(x))

"""LightSleepNet: two residual blocks of grouped convolutions with shuffled channels.

Paper: Liao, Zhang, Zhang, Wang and Xie, "LightSleepNet: design of a personalized portable sleep staging system based
on single-channel EEG", IEEE TCAS-II 2022, arXiv:2401.13194. One EEG channel. The paper's adaptation to a new subject,
whose statistics of batch norm it takes from the test recording, is no part of this network.

Published size: 43.08K parameters, 45.76M FLOPs. 43,077 parameters for five classes and 896 more of batch norm, 44.66M
multiply-accumulates. The published parameters leave out batch norm; the published FLOPs are 2 % above the
multiply-accumulates, each counted once.

Verified: outputs, training-mode outputs and gradients equal those of an independent implementation,
github.com/guisongliu/Nano-SleepNet at 9efd851, on the same weights, to 1e-14 of their scale in float64. The authors'
own program is not known.

The convolutions' biases, 448, get no gradient in training: the batch norm behind each takes them away.

What the description leaves open and how both decided; the first is the reading that meets the multiply-accumulates:

- The epoch gets four zeros at either end. All convolutions then pad as TensorFlow's "SAME", which for an even kernel
  means a zero more on the right: 3008 -> 1504 -> 752.
- Every grouped convolution is followed by batch norm, ReLU and the shuffle, also the last of a block. The sum with the
  shortcut has no ReLU of its own.
- The shortcut of the second block is every second sample; its missing channels are zeros behind the others.
- Dropout stands between the second block and the pool.
- Initial weights, and the epsilon and momentum of batch norm, are PyTorch's defaults.
"""

from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network

KERNEL_SIZE = 16


def _convolution(n_inputs: int, n_outputs: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, then batch norm: (n, n_inputs, time) -> (n, n_outputs, time / stride).

    The padding is TensorFlow's "SAME".
    """
    padding = KERNEL_SIZE - stride
    return nn.Sequential(
        nn.ZeroPad1d((padding // 2, padding - padding // 2)),
        nn.Conv1d(n_inputs, n_outputs, KERNEL_SIZE, stride, groups=groups),
        nn.BatchNorm1d(n_outputs),
    )


class LightSleepNet(Network):
    """(batch, 1, 3000) microvolts at 100 Hz -> logits (batch, n_classes)."""

    parameters_without_gradient_in_training = (".1.bias",)  # all convolutions'; a norm's name ends in ".2.bias"

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.stem = nn.Sequential(nn.ZeroPad1d(4), _convolution(n_channels, 64, stride=2), nn.ReLU())
        self.block1 = nn.Sequential(
            _convolution(64, 64, groups=8),
            nn.ReLU(),
            nn.ChannelShuffle(8),
            _convolution(64, 64, groups=8),
            nn.ReLU(),
            nn.ChannelShuffle(8),
        )
        self.block2 = nn.Sequential(
            _convolution(64, 128, stride=2, groups=16),
            nn.ReLU(),
            nn.ChannelShuffle(16),
            _convolution(128, 128, groups=16),
            nn.ReLU(),
            nn.ChannelShuffle(16),
        )
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(128, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)  # (batch, 64, 1504)
        x = self.block1(x) + x
        shortcut = functional.pad(x[..., ::2], (0, 0, 0, 64))  # (batch, 128, 752)
        x = self.block2(x) + shortcut
        return self.classifier(self.dropout(x).mean(dim=-1))

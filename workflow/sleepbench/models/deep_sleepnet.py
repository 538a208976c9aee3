"""DeepSleepNet: two CNN branches, of short and long filters, then a residual bidirectional LSTM.

Paper: Supratak, Dong, Wu and Guo, "DeepSleepNet: a model for automatic sleep stage scoring based on raw single-channel
EEG", IEEE TNSRE 2017, arXiv:1703.04046. It is trained in two stages: first the convolutions with a head of their own
(`DeepSleepNetCNN`, of single epochs), then the whole (`DeepSleepNet`, of sequences of 25), into which the trained
convolutions are copied: `feature_extractor` has the same parameters under the same names in both. The L2 penalty of
the recipe falls on `l2_parameters()`.

Published size: none is known here. Verified: parameters and multiply-accumulates equal those of an independent build,
for one channel and five classes 24,744,837 and 51.59M per epoch for the whole, 619,397 and 27.48M for the convolutions
with a head.

Decided here:

- Padding is TensorFlow's "SAME", as the network was published in it; the pools' padding never wins a maximum.
- The second LSTM layer sees both directions of the first. Dropout acts between the two layers and on the sum.
- Initial weights, and the epsilon and momentum of batch norm, are PyTorch's defaults.
- The LSTM reads forwards and backwards, so that a night is scored in overlapping windows of the training length.
"""

import torch
from torch import Tensor, nn

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network
from sleepbench.models.layers import same_convolution

N_FEATURES = 16 * 128 + 8 * 128
N_HIDDEN = 512
"""Of each direction of the LSTM."""


class FeatureExtractor(nn.Module):
    """(n, n_channels, 3000) -> (n, 3072): features from two convolutional branches.

    Short filters find when something happens, long ones at which frequency.
    """

    def __init__(self, n_channels: int):
        super().__init__()
        self.short_filters = nn.Sequential(
            same_convolution(n_channels, 64, kernel_size=50, stride=6),  # length 500
            nn.MaxPool1d(8, padding=2),  # 63
            nn.Dropout(0.5),
            same_convolution(64, 128, kernel_size=8),
            same_convolution(128, 128, kernel_size=8),
            same_convolution(128, 128, kernel_size=8),
            nn.MaxPool1d(4, ceil_mode=True),  # 16
        )
        self.long_filters = nn.Sequential(
            same_convolution(n_channels, 64, kernel_size=400, stride=50),  # length 60
            nn.MaxPool1d(4),  # 15
            nn.Dropout(0.5),
            same_convolution(64, 128, kernel_size=6),
            same_convolution(128, 128, kernel_size=6),
            same_convolution(128, 128, kernel_size=6),
            nn.MaxPool1d(2, ceil_mode=True),  # 8
        )
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.short_filters(x), self.long_filters(x))
        return self.dropout(torch.cat([branch.flatten(1) for branch in branches], dim=1))


class DeepSleepNetCNN(Network):
    """(batch, n_channels, 3000) microvolts at 100 Hz -> logits (batch, n_classes).

    The network that the first phase trains.
    """

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.feature_extractor = FeatureExtractor(n_channels)
        self.classifier = nn.Linear(N_FEATURES, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.feature_extractor(x))

    def l2_parameters(self) -> list[str]:
        """Names of the parameters that the published recipe penalises.

        The kernels of each branch's first convolution.
        """
        return _first_kernels(self)


class DeepSleepNet(Network):
    """(batch, length, n_channels, 3000) microvolts at 100 Hz -> logits (batch, length, n_classes).

    In training, batch norm needs more than one epoch in the batch.
    """

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.feature_extractor = FeatureExtractor(n_channels)
        self.shortcut = nn.Sequential(
            nn.Linear(N_FEATURES, 2 * N_HIDDEN, bias=False), nn.BatchNorm1d(2 * N_HIDDEN), nn.ReLU()
        )
        self.lstm = nn.LSTM(N_FEATURES, N_HIDDEN, num_layers=2, batch_first=True, dropout=0.5, bidirectional=True)
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(2 * N_HIDDEN, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        batch, length = x.shape[:2]
        features = self.feature_extractor(x.flatten(0, 1))  # (batch * length, 3072)
        context, _ = self.lstm(features.reshape(batch, length, -1))
        return self.classifier(self.dropout(context + self.shortcut(features).reshape(batch, length, -1)))

    def l2_parameters(self) -> list[str]:
        """Names of the parameters that the published recipe penalises.

        The kernels of each branch's first convolution.
        """
        return _first_kernels(self)


def _first_kernels(model: nn.Module) -> list[str]:
    """The first convolutions are the only ones with a stride."""
    return [
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv1d) and module.stride != (1,)
    ]

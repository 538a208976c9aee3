"""MMASleepNet: a two-stream CNN branch for each modality, then attention over their features.

Paper: Zheng, Luo, Zou, Zhang and Li, "MMASleepNet: a multimodal attention network based on electrophysiological
signals for automatic sleep staging", Frontiers in Neuroscience 2022. Four channels, in this order: two of EEG, one of
EOG, one of EMG. On ISRUC the authors take six of EEG: any number may stand before the last two.

Published size: none is known here. 1,604,229 parameters and 67.8M multiply-accumulates for five classes.

Verified: outputs, training-mode outputs and gradients equal those of the authors' program, github.com/buptantEEG/
MMASleepNet at 8fa5de5, on the same weights, to 1e-14 of their scale in float64. Theirs ends in a softmax, which its
training then feeds to a cross-entropy; here the output is logits.

Biases that get no gradient: of the block's pointwise convolutions, 8, in training, as the batch norm behind each takes
them away.

What the description alone does not say, and the program settles:

- Every convolution of the branches is without bias and followed by batch norm, then LeakyReLU (PyTorch's slope).
- The 128 filters of the EEG branch count as two modalities of 64.
- The block that weighs the four modalities is a residual one with an identity shortcut; its squeeze and excitation goes
  from 4 to 4 to 4, without reduction, with biases.
- The transformer's tokens are read off in memory order: four neighbouring filters of one modality, 24 steps each. Its
  layer is PyTorch's own: norm after each residual, ReLU, dropout 0.1.
- Dropout in the streams is 0.5, as behind them.
- Initial weights, and the epsilon and momentum of batch norm, are PyTorch's defaults, theirs too.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network

N_FILTERS = 64
"""Of each modality: two of EEG, one of EOG, one of EMG."""
N_MODALITIES = 4
N_STEPS = 24
"""Steps of the two streams together, 13 + 11."""
N_FEATURES = 96
"""Of a token: four filters of one modality, all their steps."""
N_TOKENS = N_MODALITIES * N_FILTERS * N_STEPS // N_FEATURES


def _convolution(n_inputs: int, n_outputs: int, kernel_size: int, stride: int, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(n_inputs, n_outputs, kernel_size, stride, padding, bias=False),
        nn.BatchNorm1d(n_outputs),
        nn.LeakyReLU(),
    )


class Branch(nn.Module):
    """(n, n_channels, 3000) -> (n, 2 * n_filters, 24): features from short and from long filters.

    The steps of the short filters come before those of the long ones.
    """

    def __init__(self, n_channels: int, n_filters: int):
        super().__init__()
        self.short_filters = nn.Sequential(
            _convolution(n_channels, n_filters, kernel_size=64, stride=8, padding=24),  # length 374
            nn.MaxPool1d(8, padding=4),  # 47
            nn.Dropout(0.5),
            _convolution(n_filters, 2 * n_filters, kernel_size=8, stride=1, padding=4),  # 48
            _convolution(2 * n_filters, 2 * n_filters, kernel_size=8, stride=1, padding=4),  # 49
            _convolution(2 * n_filters, 2 * n_filters, kernel_size=8, stride=1, padding=4),  # 50
            nn.MaxPool1d(4, padding=2),  # 13
        )
        self.long_filters = nn.Sequential(
            _convolution(n_channels, n_filters, kernel_size=512, stride=64, padding=24),  # length 40
            nn.MaxPool1d(4, padding=2),  # 11
            nn.Dropout(0.5),
            _convolution(n_filters, 2 * n_filters, kernel_size=6, stride=1, padding=4),  # 14
            _convolution(2 * n_filters, 2 * n_filters, kernel_size=6, stride=1, padding=4),  # 17
            _convolution(2 * n_filters, 2 * n_filters, kernel_size=6, stride=1, padding=4),  # 20
            nn.MaxPool1d(2, padding=1),  # 11
        )
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(torch.cat((self.short_filters(x), self.long_filters(x)), dim=-1))


class ModalityRecalibration(nn.Module):
    """(n, 4, filters, steps) to the same shape: a residual block that weighs the modalities."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(N_MODALITIES, N_MODALITIES, kernel_size=1),
            nn.BatchNorm2d(N_MODALITIES),
            nn.ReLU(),
            nn.Conv2d(N_MODALITIES, N_MODALITIES, kernel_size=1),
            nn.BatchNorm2d(N_MODALITIES),
        )
        self.excitation = nn.Sequential(
            nn.Linear(N_MODALITIES, N_MODALITIES), nn.ReLU(), nn.Linear(N_MODALITIES, N_MODALITIES), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        main = self.main(x)
        weights = self.excitation(main.mean(dim=(-2, -1)))[..., None, None]
        return functional.relu(main * weights + x)


class MMASleepNet(Network):
    """(batch, 4, 3000) microvolts at 100 Hz, channels EEG, EEG, EOG, EMG -> logits (batch, n_classes)."""

    parameters_without_gradient_in_training = ("recalibration.main.0.bias", "recalibration.main.3.bias")

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        n_eeg = n_channels - 2
        self.eeg = Branch(n_eeg, n_filters=N_FILTERS)
        self.eog = Branch(1, n_filters=N_FILTERS // 2)
        self.emg = Branch(1, n_filters=N_FILTERS // 2)
        self.recalibration = ModalityRecalibration()
        self.transformer = nn.TransformerEncoderLayer(N_FEATURES, nhead=4, dim_feedforward=2048, batch_first=True)
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(N_TOKENS * N_FEATURES, 32), nn.ReLU(), nn.Linear(32, n_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.eeg(x[:, :-2]), self.eog(x[:, -2:-1]), self.emg(x[:, -1:]))
        modalities = torch.cat(branches, dim=1).unflatten(1, (N_MODALITIES, N_FILTERS))  # (batch, 4, 64, 24)
        features = self.recalibration(modalities).reshape(-1, N_TOKENS, N_FEATURES)
        return self.classifier(self.transformer(features) * features)

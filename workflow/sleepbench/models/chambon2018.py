"""SleepStagerChambon2018: a spatial filter, then two temporal convolutions on each virtual channel.

Paper: Chambon, Galtier, Arnal, Wainrib and Gramfort, "A deep learning architecture for temporal sleep stage
classification using multivariate and multimodal time series", IEEE TNSRE 2018; its network of one epoch.

Its authors contribute to braindecode, whose network it is checked against, github.com/braindecode/braindecode at 1.8.1
[V].

Published size: none is known here. Verified: outputs, gradients and sizes equal those of braindecode's (1e-15 of the
outputs' scale in float64, with 1, 2, 4 and 10 channels); for five classes and 1, 2, 3, 4, 10 channels 4,301, 4,987,
5,673, 6,361, 10,531 parameters and 1.940M, 3.893M, 5.848M, 7.809M, 19.703M multiply-accumulates.

Defined for any number of channels: 1 has no spatial filter. The paper's two or more spatial filters, one for each kind
of signal, are not in braindecode's.

What the description leaves open and how it was decided:

- The virtual channels share the temporal filters.
- The first convolution pads by half its kernel, 3000 samples becoming 3001; the pools drop what does not fill them.
- Initial weights are PyTorch's defaults, as they are there.
- The input is that of braindecode's example for it: a 30-Hz low-pass, then each epoch and channel with mean 0 and
  standard deviation 1. Whether the paper standardised recordings or epochs was not found out. Their filter runs over
  the recording, the one here over each epoch.
"""

from torch import Tensor, nn

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network

N_FILTERS = 8
KERNEL_SIZE = 50
N_STEPS = 17
"""Of the features: 3000 -> 3001 -> 230 -> 231 -> 17."""


class SleepStagerChambon2018(Network):
    """(batch, n_channels, 3000) at 100 Hz, standardised -> logits (batch, n_classes)."""

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.spatial = nn.Conv1d(n_channels, n_channels, kernel_size=1) if n_channels > 1 else nn.Identity()
        self.temporal = nn.Sequential(
            nn.Conv1d(1, N_FILTERS, KERNEL_SIZE, padding=KERNEL_SIZE // 2),
            nn.ReLU(),
            nn.MaxPool1d(13),
            nn.Conv1d(N_FILTERS, N_FILTERS, KERNEL_SIZE, padding=KERNEL_SIZE // 2),
            nn.ReLU(),
            nn.MaxPool1d(13),
        )
        self.dropout = nn.Dropout(0.25)
        self.classifier = nn.Linear(n_channels * N_FILTERS * N_STEPS, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        virtual_channels = self.spatial(x)
        # Folded into the batch, as they share the filters.
        features = self.temporal(virtual_channels.flatten(0, 1).unsqueeze(1))  # (batch * n_channels, 8, 17)
        return self.classifier(self.dropout(features.reshape(x.shape[0], -1)))

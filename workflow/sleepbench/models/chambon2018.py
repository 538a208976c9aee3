"""SleepStagerChambon2018: a spatial filter, then two temporal convolutions on each virtual channel.

Paper: Chambon, Galtier, Arnal, Wainrib and Gramfort, "A deep learning architecture for temporal sleep stage
classification using multivariate and multimodal time series", IEEE TNSRE 2018; its network of one epoch.

Published size: none is known here. Verified: parameters and multiply-accumulates equal those of an independent build;
for five classes and 1, 2, 3, 4 channels 4,301, 4,987, 5,673, 6,361 and 1.940M, 3.893M, 5.848M, 7.809M.

What the description leaves open and how it was decided:

- One channel has no spatial filter.
- The virtual channels share the temporal filters.
- The first convolution pads by half its kernel, 3000 samples becoming 3001; the pools drop what does not fill them.
- The paper standardises each recording. Here a fixed unit takes its place.
- Initial weights are PyTorch's defaults.
"""

from torch import Tensor, nn

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network
from sleepbench.models.layers import MICROVOLTS_PER_UNIT

N_FILTERS = 8
KERNEL_SIZE = 50
N_STEPS = 17
"""Of the features: 3000 -> 3001 -> 230 -> 231 -> 17."""


class SleepStagerChambon2018(Network):
    """(batch, n_channels, 3000) microvolts at 100 Hz -> logits (batch, n_classes)."""

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
        virtual_channels = self.spatial(x / MICROVOLTS_PER_UNIT)
        # Folded into the batch, as they share the filters.
        features = self.temporal(virtual_channels.flatten(0, 1).unsqueeze(1))  # (batch * n_channels, 8, 17)
        return self.classifier(self.dropout(features.reshape(x.shape[0], -1)))

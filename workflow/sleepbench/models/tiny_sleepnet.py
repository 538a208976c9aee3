"""TinySleepNet: one convolutional branch and one LSTM that only looks back.

Paper: Supratak and Guo, "TinySleepNet: an efficient deep learning model for sleep stage scoring based on raw
single-channel EEG", EMBC 2020. Trained on sequences of 20 epochs. The published inference carries the LSTM's state
through the night; a whole unbroken run of epochs in one call is the same. The L2 penalty of the recipe falls on
`l2_parameters()`.

Published size: none is known here. Verified: parameters and multiply-accumulates per epoch equal those of an
independent build, for five classes 1,516,421 and 29.09M with one channel, 1,535,621 and 38.69M with four.

What the paper leaves open, or where this file departs from it:

- Padding is TensorFlow's "SAME", as the network was published in it; the pools' padding never wins a maximum.
- The published training program leaves batch norm in evaluation mode throughout; here it learns as the paper says.
- More than one channel enter the first convolution together.
- The LSTM has no peepholes, which that of the released program has.
- Initial weights, and the epsilon and momentum of batch norm, are PyTorch's defaults.

The training departs from that of the released program, whose numbers the recipe `tiny_sleepnet` has:

- Shift in time: in the released program one is drawn for each night, and the epoch that wraps around is dropped. Here
  one is drawn for each sequence, circularly within it.
- Offset of the sequences: in the released program up to four epochs at the head of each night, drawn again in every
  training epoch, are left out. Here every unbroken run of epochs is cut at an offset below 20, drawn as often, and what
  is left over at its ends is learnt too, in sequences of the full length that reach into their neighbours.
- Batches: in the released program they are 15 nights side by side, and the LSTM's state is carried from one batch to
  the next through the night. Here the sequences are shuffled, and each starts from zeros.
- Class weights: in the released program the weighted losses are summed and divided by the number of epochs. Here they
  are divided by the sum of the weights.
- Selection: in the released program the best training epoch has a higher validation accuracy and no lower macro-F1 than
  the best before, and training stops when more than 50 have passed since. Here the protocol's selection rule decides,
  and the patience of 50 counts from the highest validation accuracy.
"""

from torch import Tensor, nn

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network
from sleepbench.models.layers import same_convolution

N_FEATURES = 16 * 128
N_HIDDEN = 128


class TinySleepNet(Network):
    """(batch, length, n_channels, 3000) microvolts at 100 Hz -> logits (batch, length, n_classes)."""

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.feature_extractor = nn.Sequential(
            same_convolution(n_channels, 128, kernel_size=50, stride=6),  # length 500
            nn.MaxPool1d(8, padding=2),  # 63
            nn.Dropout(0.5),
            same_convolution(128, 128, kernel_size=8),
            same_convolution(128, 128, kernel_size=8),
            same_convolution(128, 128, kernel_size=8),
            nn.MaxPool1d(4, ceil_mode=True),  # 16
            nn.Flatten(),
            nn.Dropout(0.5),
        )
        self.lstm = nn.LSTM(N_FEATURES, N_HIDDEN, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(N_HIDDEN, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        batch, length = x.shape[:2]
        features = self.feature_extractor(x.flatten(0, 1))  # (batch * length, 2048)
        context, _ = self.lstm(features.reshape(batch, length, -1))
        return self.classifier(self.dropout(context))

    def l2_parameters(self) -> list[str]:
        """Names of the parameters that the published recipe penalises: the kernels of all convolutions."""
        return [f"{name}.weight" for name, module in self.named_modules() if isinstance(module, nn.Conv1d)]

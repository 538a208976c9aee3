"""NanoSleepNet-TCN: NanoSleepNet's epoch features, refined by dilated convolutions across epochs.

Paper: Liu, Wei and Zhang, "NanoSleepNet-TCN: a compact temporal model for on-device single-channel EEG sleep staging",
2026 (submitted; known from the abstract at github.com/guisongliu/Nano-SleepNet). One EEG channel, sequences of 10.

Published size: 17.10K parameters, 6.84M FLOPs per online prediction. Verified: 17,098 parameters and, for ten epochs,
33.52M multiply-accumulates for five classes, as in an independent build. The published FLOPs are twice the
multiply-accumulates of encoding one epoch, refining ten cached ones and classifying one.

What the description leaves open and how it was decided:

- The authors tell of a causal and a non-causal model. This is the non-causal one: an epoch sees up to seven on either
  side, and a sequence has zeros around it. A night is scored in overlapping windows of the training length.
- Nothing is dropped out.
- Initial weights, and the epsilon and momentum of batch norm, are PyTorch's defaults.
"""

from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.stages import STAGES
from sleepbench.models.base import Network
from sleepbench.models.nano_sleepnet import N_FEATURES, EpochEncoder

N_CONTEXT = 32


def _pointwise(n_inputs: int, n_outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(n_inputs, n_outputs, kernel_size=1, bias=False), nn.BatchNorm1d(n_outputs))


def _dilated_block(dilation: int) -> nn.Sequential:
    depthwise = nn.Conv1d(
        N_CONTEXT, N_CONTEXT, kernel_size=3, padding=dilation, dilation=dilation, groups=N_CONTEXT, bias=False
    )
    return nn.Sequential(depthwise, nn.BatchNorm1d(N_CONTEXT), nn.GELU(), _pointwise(N_CONTEXT, N_CONTEXT), nn.GELU())


class NanoSleepNetTCN(Network):
    """(batch, length, 1, 3000) microvolts at 100 Hz -> logits (batch, length, n_classes)."""

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.encoder = EpochEncoder(n_channels)
        self.context = nn.Sequential(
            _pointwise(N_FEATURES, N_CONTEXT),
            nn.GELU(),
            *(_dilated_block(dilation) for dilation in (1, 2, 4)),
            _pointwise(N_CONTEXT, N_FEATURES),
        )
        self.classifier = nn.Linear(N_FEATURES, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.encoder(x.flatten(0, 1)).reshape(*x.shape[:2], N_FEATURES).transpose(1, 2)
        refined = functional.gelu(self.context(features) + features)  # (batch, 64, length)
        return self.classifier(refined.transpose(1, 2))

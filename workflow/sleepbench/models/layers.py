"""Layers that several architectures share."""

from torch import Tensor, nn

MICROVOLTS_PER_UNIT = 20.0
"""What a network divides its input by when no batch norm follows its first layer.

The papers of such networks standardise each recording. A fixed unit, about the standard deviation of a night's EEG,
leaves the data the same for all models.
"""


def same_convolution(n_inputs: int, n_outputs: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU: (n, n_inputs, time) -> (n, n_outputs, time / stride).

    The padding is TensorFlow's "SAME", an odd zero on the right, for a time that the stride divides.
    """
    padding = kernel_size - stride
    return nn.Sequential(
        nn.ZeroPad1d((padding // 2, padding - padding // 2)),
        nn.Conv1d(n_inputs, n_outputs, kernel_size, stride, bias=False),
        nn.BatchNorm1d(n_outputs),
        nn.ReLU(),
    )


class EfficientChannelAttention(nn.Module):
    """(n, channels, time) to the same shape: efficient channel attention (ECA).

    The weight of a channel is computed from its mean over time and those of the neighbouring channels.
    """

    def __init__(self, kernel_size: int):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean(dim=-1, keepdim=True).transpose(1, 2)  # (n, 1, channels)
        return x * self.conv(means).sigmoid().transpose(1, 2)

"""SeqSleepNet: a learned filter bank on spectra, recurrent networks within and across epochs.

Paper: Phan, Andreotti, Cooray, Chén and De Vos, "SeqSleepNet: End-to-End Hierarchical Recurrent Neural Network for
Sequence-to-Sequence Automatic Sleep Staging", IEEE TNSRE 2019, arXiv:1809.10932. Trained on sequences of 20 epochs.
Published size: about 0.14M parameters.

After the description: 125,221 parameters for one channel and five classes, which is what the sizes of the described
layers add up to, but neither the published size nor the 141,893 of an independent build; two channels, 141,637, and a
norm over the 128 features of an epoch, 256, would explain those. The multiply-accumulates per 20 epochs, 30.0M, are
those of an independent build. That count leaves out the products of attention, with which it is 30.1M; neither includes
Fourier transforms.

Where the paper leaves something open or this file departs from it:

- The spectra are computed here, from the raw signal, without parameters: with a symmetric Hamming window.
- The paper standardises every frequency bin. Here a fixed unit of power takes its place.
- To the power of every bin is added that of faint noise, so that a dead signal has a logarithm.
- The filter bank is a sigmoid of learned weights times fixed triangles, evenly spaced from 0 to 50 Hz. Every channel
  has its own; the outputs of all channels enter the first recurrent network together.
- Dropout, 0.25, is on the outputs of both recurrent networks.
- Initial weights are PyTorch's defaults; the filter bank and attention's context vector start as linear layers do.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.stages import SAMPLING_RATE, STAGES
from sleepbench.models.base import Network

WINDOW = 2 * SAMPLING_RATE
HOP = SAMPLING_RATE
N_FFT = 256
N_BINS = N_FFT // 2 + 1
N_FILTERS = 32
N_HIDDEN = 64
N_ATTENTION = 64

POWER_FLOOR = 1.0
"""What white noise of 0.11 microvolts, about the recorder's step, has in every bin."""
TYPICAL_POWER = 1000.0
"""The middle of an EEG's bins, on a logarithmic scale, whose standard deviation is about one decade."""


class LogSpectrogram(nn.Module):
    """(n, 3000) microvolts -> (n, 29, 129): log10 of the power in 2-s windows, one every second.

    The values of an EEG lie between -3 and 4.
    """

    def __init__(self):
        super().__init__()
        self.register_buffer("window", torch.hamming_window(WINDOW, periodic=False), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        # The window is centred between zeros, so that as much is read beyond the signal's ends.
        x = functional.pad(x, ((N_FFT - WINDOW) // 2,) * 2)
        spectra = torch.stft(x, N_FFT, HOP, WINDOW, self.window, center=False, return_complex=True)
        logarithms = ((spectra.abs() ** 2 + POWER_FLOOR) / TYPICAL_POWER).log() / math.log(10)
        return logarithms.transpose(1, 2)


class FilterBank(nn.Module):
    """(n, n_channels, time, 129) -> (n, time, 32 * n_channels)."""

    def __init__(self, n_channels: int):
        super().__init__()
        limit = 1 / math.sqrt(N_BINS)
        self.weight = nn.Parameter(torch.empty(n_channels, N_FILTERS, N_BINS).uniform_(-limit, limit))
        # In units of the spacing, filter i rises from i to i + 1 and falls to i + 2.
        position = torch.linspace(0, N_FILTERS + 1, N_BINS)
        triangles = (1 - (position - torch.arange(1, N_FILTERS + 1)[:, None]).abs()).clamp(min=0)
        self.register_buffer("triangles", triangles, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        filters = self.weight.sigmoid() * self.triangles
        return torch.cat([functional.linear(x[:, i], bank) for i, bank in enumerate(filters)], dim=-1)


class AttentionPool(nn.Module):
    """(n, time, n_features) -> (n, n_features): a mean over time with learned weights."""

    def __init__(self, n_features: int):
        super().__init__()
        self.hidden = nn.Linear(n_features, N_ATTENTION)
        limit = 1 / math.sqrt(N_ATTENTION)
        self.context = nn.Parameter(torch.empty(N_ATTENTION, 1).uniform_(-limit, limit))

    def forward(self, x: Tensor) -> Tensor:
        weights = (self.hidden(x).tanh() @ self.context).softmax(dim=1)  # (n, time, 1)
        return (weights.transpose(1, 2) @ x).squeeze(1)


class SeqSleepNet(Network):
    """(batch, length, n_channels, 3000) microvolts at 100 Hz -> logits (batch, length, n_classes)."""

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.spectrogram = LogSpectrogram()
        self.filter_bank = FilterBank(n_channels)
        self.epoch_gru = nn.GRU(n_channels * N_FILTERS, N_HIDDEN, batch_first=True, bidirectional=True)
        self.attention = AttentionPool(2 * N_HIDDEN)
        self.sequence_gru = nn.GRU(2 * N_HIDDEN, N_HIDDEN, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(0.25)
        self.classifier = nn.Linear(2 * N_HIDDEN, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        batch, length = x.shape[:2]
        spectra = self.spectrogram(x.flatten(0, 2)).unflatten(0, (batch * length, -1))
        bands = self.filter_bank(spectra)  # (batch * length, 29, 32 * n_channels)
        features, _ = self.epoch_gru(bands)
        epochs = self.attention(self.dropout(features))  # (batch * length, 128)
        context, _ = self.sequence_gru(epochs.unflatten(0, (batch, length)))
        return self.classifier(self.dropout(context))

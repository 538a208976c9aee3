"""SeqSleepNet: a learned filter bank on spectra, recurrent networks within and across epochs.

Paper: Phan, Andreotti, Cooray, Chén and De Vos, "SeqSleepNet: End-to-End Hierarchical Recurrent Neural Network for
Sequence-to-Sequence Automatic Sleep Staging", IEEE TNSRE 2019, arXiv:1809.10932. Trained on sequences of 20 epochs.
Released code: github.com/pquochuy/sleep_transfer_learning at d6983bb, TensorFlow 1 [C], the authors' program for
Sleep-EDF. Rewritten here, checked against it [V]. Their program for MASS, github.com/pquochuy/SeqSleepNet at f8a5fd0,
has the same network but for the classifier, of which every position in a sequence has its own.

Published size: none is known here. Verified: outputs, in training and not, gradients and the size equal those of the
released program, given the same spectra (1e-15 of the outputs' scale in float64; in training 1e-13 with batches of
eight sequences, 1e-10 with three, as they are normed); 164,133 parameters for one channel and five classes, 176,388
with a classifier for every position, and 37.7M multiply-accumulates per 20 epochs, Fourier transforms not counted.

Defined for an EEG, an EOG and an EMG, one to three channels [C]; nothing in it depends on their number, and here any is
taken.

What the released programs settle:

- The recurrent cells are LSTMs with batch norm, of Cooijmans and others, arXiv:1603.09025, with statistics of its own
  for every step of a sequence.
- Dropout, 0.25, is on inputs and outputs of both recurrent networks; each direction's inputs have a mask of their own.
- The filter bank is a sigmoid of learned weights times fixed triangles, whose corners are evenly spaced from 0 to 50 Hz
  and then rounded down to bins. Every channel has its own; the outputs of all channels enter the first recurrent
  network together.
- A bin is standardised with its mean and deviation over the training set, which `measure_input` takes. Before that it
  is in a fixed unit.

Where this file departs from them:

- The spectra are computed here, from the raw signal, without parameters. To the power of every bin is added that of
  noise far below the recorder's step, so that a dead signal has a logarithm.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from sleepbench.core.stages import SAMPLING_RATE, STAGES
from sleepbench.models.base import Network
from sleepbench.models.open_length import State, run_steps

WINDOW = 2 * SAMPLING_RATE
HOP = SAMPLING_RATE
N_FFT = 256
N_BINS = N_FFT // 2 + 1
N_FRAMES = 29
N_FILTERS = 32
N_HIDDEN = 64
N_ATTENTION = 64
LENGTH = 20
"""Epochs of a sequence in training."""
DROPOUT = 0.25

POWER_FLOOR = 1e-3
"""What white noise of 0.004 microvolts, less than a twentieth of the recorder's step, has in every bin."""
TYPICAL_DECIBELS = (30.0, 10.0)
"""Mean and deviation of an EEG's bins, until `measure_input` has seen some."""


class LogSpectrogram(nn.Module):
    """(n, 3000) microvolts -> (n, 29, 129): of 2 s every second, decibels."""

    def __init__(self):
        super().__init__()
        self.register_buffer("window", torch.hamming_window(WINDOW, periodic=False), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        # The window is centred between zeros, so that as much is read beyond the signal's ends.
        x = functional.pad(x, ((N_FFT - WINDOW) // 2,) * 2)
        spectra = torch.stft(x, N_FFT, HOP, WINDOW, self.window, center=False, return_complex=True)
        return (spectra.abs() ** 2 + POWER_FLOOR).log().transpose(1, 2) * (10 / math.log(10))


class FilterBank(nn.Module):
    """(n, n_channels, time, 129) -> (n, time, 32 * n_channels)."""

    def __init__(self, n_channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(n_channels, N_FILTERS, N_BINS).normal_())
        self.register_buffer("triangles", triangles().float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        filters = self.weight.sigmoid() * self.triangles
        return torch.cat([functional.linear(x[:, i], bank) for i, bank in enumerate(filters)], dim=-1)


def triangles() -> Tensor:
    """(32, 129), float64: filter i rises from corner i to corner i + 1, where it is 1, and falls to corner i + 2."""
    nyquist = SAMPLING_RATE / 2
    corners = [math.floor((N_FFT + 1) * i * nyquist / (N_FILTERS + 1) / SAMPLING_RATE) for i in range(N_FILTERS + 2)]
    bins = torch.arange(N_BINS, dtype=torch.float64)
    low, peak, high = (torch.tensor(corners[i : i + N_FILTERS])[:, None] for i in range(3))
    return torch.minimum((bins - low) / (peak - low), (high - bins) / (high - peak)).clamp(min=0)


class StepNorm(nn.Module):
    """Batch norm of the steps of two directions, each with statistics of its own: (2, batch, n_features) a step.

    Steps beyond `n_steps` are normed with the statistics of the last one. The moving variance is that of the batch,
    without PyTorch's correction.
    """

    def __init__(self, n_steps: int, n_features: int, has_offset: bool):
        super().__init__()
        self.momentum = 0.05  # weight of the batch in the moving statistics
        self.scale = nn.Parameter(torch.full((2, n_features), 0.1))
        self.offset = nn.Parameter(torch.zeros(2, n_features)) if has_offset else None
        self.register_buffer("running_mean", torch.zeros(2, n_steps, n_features))
        self.register_buffer("running_var", torch.ones(2, n_steps, n_features))

    def forward(self, x: Tensor, first: int) -> Tensor:
        """(2, batch, steps, n_features), of which the first is step `first`, to the same shape."""
        if not self.training:
            scale, offset = self.known(first, x.shape[2])
            return x * scale[:, None] + offset[:, None]
        variance, mean = torch.var_mean(x, dim=1, correction=0)
        known, n_known = slice(first, first + x.shape[2]), max(0, self.running_mean.shape[1] - first)
        with torch.no_grad():
            for running, new in ((self.running_mean, mean), (self.running_var, variance)):
                running[:, known].lerp_(new[:, :n_known].to(running.dtype), self.momentum)
        scale, offset = self._scale_and_offset(mean, variance)
        return x * scale[:, None] + offset[:, None]

    def of_step(self, step: int, x: Tensor) -> Tensor:
        """(2, batch, n_features) of one step, to the same shape."""
        return self(x.unsqueeze(2), step).squeeze(2)

    def known(self, first: int, n_steps: int) -> tuple[Tensor, Tensor]:
        """Scale and offset of steps by the moving statistics, (2, n_steps, n_features) each."""
        steps = torch.arange(first, first + n_steps, device=self.scale.device).clamp(max=self.running_mean.shape[1] - 1)
        return self._scale_and_offset(self.running_mean[:, steps], self.running_var[:, steps])

    def _scale_and_offset(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        scale = self.scale[:, None] * (variance + 1e-5).rsqrt()
        offset = -mean * scale
        return scale, offset if self.offset is None else offset + self.offset[:, None]


class BatchNormLSTM(nn.Module):
    """(batch, length, n_inputs) -> (batch, length, 2 * n_hidden): a bidirectional LSTM with batch norm in its cells.

    The first axis of every parameter and statistic is the direction; gates are in the order forget, input, output,
    cell. A sequence of up to `n_steps` has statistics for every step; the backward direction counts from the end.
    """

    def __init__(self, n_inputs: int, n_hidden: int, n_steps: int):
        super().__init__()
        self.weight_ih = nn.Parameter(torch.empty(2, 4 * n_hidden, n_inputs))
        self.weight_hh = nn.Parameter(torch.empty(2, 4 * n_hidden, n_hidden))
        self.norm_ih = StepNorm(n_steps, 4 * n_hidden, has_offset=False)
        self.norm_hh = StepNorm(n_steps, 4 * n_hidden, has_offset=True)
        self.norm_cell = StepNorm(n_steps, n_hidden, has_offset=True)
        self.dropout = nn.Dropout(DROPOUT)
        for weight in (*self.weight_ih, *self.weight_hh):
            nn.init.orthogonal_(weight.data)
        with torch.no_grad():
            self.norm_hh.offset[:, :n_hidden] = 1  # of the forget gate

    def forward(self, x: Tensor) -> Tensor:
        directions = torch.stack((self.dropout(x), self.dropout(x.flip(1))))
        entering = self.norm_ih(torch.einsum("dbti,dgi->dbtg", directions, self.weight_ih), 0)
        state = (x.new_zeros(2, x.shape[0], self.weight_hh.shape[-1]),) * 2
        if self.training:
            outputs = []
            for step, gates in enumerate(entering.unbind(dim=2)):
                norms = (partial(norm.of_step, step) for norm in (self.norm_hh, self.norm_cell))
                state = self._advance(state, gates, *norms)
                outputs.append(state[0])
            ahead, back = torch.stack(outputs, dim=2)
        else:
            norms = (known[:, None] for norm in (self.norm_hh, self.norm_cell) for known in norm.known(0, x.shape[1]))
            (ahead, back), _ = run_steps(self._advance_by_known_norms, state, entering, *norms, dim=2)
        return self.dropout(torch.cat((ahead, back.flip(1)), dim=-1))

    def _advance(
        self, state: State, gates: Tensor, norm_hh: Callable[[Tensor], Tensor], norm_cell: Callable[[Tensor], Tensor]
    ) -> State:
        output, cell = state
        recurring = torch.bmm(output, self.weight_hh.transpose(1, 2))
        forget, enter, leave, new = (gates + norm_hh(recurring)).chunk(4, dim=-1)
        cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
        return norm_cell(cell).tanh() * leave.sigmoid(), cell

    def _advance_by_known_norms(self, state: State, gates: Tensor, *norms: Tensor) -> State:
        scale_hh, offset_hh, scale_cell, offset_cell = norms
        return self._advance(state, gates, lambda x: x * scale_hh + offset_hh, lambda x: x * scale_cell + offset_cell)


class AttentionPool(nn.Module):
    """(n, time, n_features) -> (n, n_features): a mean over time with learned weights."""

    def __init__(self, n_features: int):
        super().__init__()
        self.hidden = nn.Linear(n_features, N_ATTENTION)
        self.context = nn.Parameter(torch.empty(N_ATTENTION, 1))
        for parameter in (*self.hidden.parameters(), self.context):
            nn.init.normal_(parameter, 0, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        weights = (self.hidden(x).tanh() @ self.context).softmax(dim=1)  # (n, time, 1)
        return (weights.transpose(1, 2) @ x).squeeze(1)


class SeqSleepNet(Network):
    """(batch, length, n_channels, 3000) microvolts at 100 Hz -> logits (batch, length, n_classes)."""

    def __init__(self, n_channels: int, n_classes: int = len(STAGES)):
        super().__init__()
        self.spectrogram = LogSpectrogram()
        mean, deviation = TYPICAL_DECIBELS
        self.register_buffer("bin_mean", torch.full((n_channels, 1, N_BINS), mean))
        self.register_buffer("bin_deviation", torch.full((n_channels, 1, N_BINS), deviation))
        self.filter_bank = FilterBank(n_channels)
        self.epoch_lstm = BatchNormLSTM(n_channels * N_FILTERS, N_HIDDEN, N_FRAMES)
        self.attention = AttentionPool(2 * N_HIDDEN)
        self.sequence_lstm = BatchNormLSTM(2 * N_HIDDEN, N_HIDDEN, LENGTH)
        self.classifier = nn.Linear(2 * N_HIDDEN, n_classes)
        nn.init.xavier_uniform_(self.classifier.weight)
        nn.init.uniform_(self.classifier.bias, -math.sqrt(3 / n_classes), math.sqrt(3 / n_classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classify_encoded(self.encode_epochs(x.flatten(0, 1)).unflatten(0, x.shape[:2]))

    def encode_epochs(self, x: Tensor) -> Tensor:
        return self.encode_spectra(self.spectra(x))

    def spectra(self, x: Tensor) -> Tensor:
        """Epochs (n, n_channels, 3000) in microvolts -> (n, n_channels, 29, 129), standardised."""
        decibels = self.spectrogram(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return (decibels - self.bin_mean) / self.bin_deviation

    def encode_spectra(self, spectra: Tensor) -> Tensor:
        """What an epoch is to the sequence, whatever its neighbours in it: (n, n_channels, 29, 129) -> (n, 128)."""
        return self.attention(self.epoch_lstm(self.filter_bank(spectra)))

    def classify_encoded(self, encoded: Tensor) -> Tensor:
        return self.classifier(self.sequence_lstm(encoded))

    @torch.no_grad()
    def measure_input(self, epochs: Iterable[Tensor]) -> None:
        """Take each bin's mean and deviation over the training set."""
        count, total, squares = 0, 0, 0
        for x in epochs:
            decibels = self.spectrogram(x.flatten(0, 1)).unflatten(0, x.shape[:2]).double()
            count += len(x) * N_FRAMES
            total = total + decibels.sum(dim=(0, 2))
            squares = squares + (decibels**2).sum(dim=(0, 2))
        mean = total / count
        self.bin_mean.copy_(mean[:, None])
        self.bin_deviation.copy_((squares / count - mean**2).clamp(min=1e-6).sqrt()[:, None])

    def l2_parameters(self) -> list[str]:
        """All but the filter bank's, biases and the norms' included."""
        return [name for name, _ in self.named_parameters() if not name.startswith("filter_bank.")]

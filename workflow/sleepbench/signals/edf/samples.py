"""The samples of channels of a file that holds what its header promises, in the arithmetic of MNE: the same bits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.signals.edf.checks import check_complete, check_has_signals, find_channel
from sleepbench.signals.edf.header import BYTES_PER_SAMPLE, EdfHeader, EdfSignal, read_header

VOLTS = {"uV": 1e-6, "µV": 1e-6, "mV": 1e-3, "V": 1.0}
"""The physical dimensions in volts, in which MNE keeps signals."""
BYTES_AT_ONCE = 2**20


@dataclass(frozen=True)
class StoredSamples:
    """A channel's samples where they lie: a slice is read, and scaled to microvolts, when it is asked for.

    `samples[start:stop]` is float64; a day of four channels is never in memory.
    """

    path: Path
    header: EdfHeader
    signal: EdfSignal

    def __len__(self) -> int:
        return self.header.n_records * self.signal.samples_per_record

    def __getitem__(self, part: slice) -> np.ndarray:
        """Some samples in microvolts, float64; BenchmarkError where the file lost them meanwhile."""
        return self.scaled(self.numbers(part))

    def __array__(self, dtype: type | None = None, copy: bool | None = None) -> np.ndarray:
        """All of them, for NumPy."""
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def numbers(self, part: slice) -> np.ndarray:
        """Some samples as they are stored, int16."""
        start, stop, step = part.indices(len(self))
        if step != 1:
            raise ValueError(f"a step of {step}: samples are read in a row")
        per_record = self.signal.samples_per_record
        first, end = start // per_record, -(-max(start, stop) // per_record)
        read = np.empty((end - first, per_record), "<i2")
        in_all = self.header.record_bytes // BYTES_PER_SAMPLE
        before = sum(one.samples_per_record for one in self.header.signals[: self.header.signals.index(self.signal)])
        at_once = max(1, BYTES_AT_ONCE // self.header.record_bytes)
        with self.path.open("rb") as file:
            for record in range(first, end, at_once):
                n = min(at_once, end - record)
                file.seek(self.header.header_bytes + record * self.header.record_bytes)
                content = np.fromfile(file, "<i2", n * in_all)
                if len(content) < n * in_all:
                    raise BenchmarkError(
                        f"{self.path}, channel {self.signal.label!r}: ended while it was read, within data record "
                        f"{record + len(content) // in_all + 1} of {self.header.n_records}; does another program write "
                        "it? Run again when that is done"
                    )
                read[record - first : record - first + n] = content.reshape(n, in_all)[:, before : before + per_record]
        return read.reshape(-1)[start - first * per_record : max(start, stop) - first * per_record]

    def scaled(self, numbers: np.ndarray) -> np.ndarray:
        """Stored numbers in microvolts, float64."""
        # The steps of MNE, one by one, which leads over volts: other orders round otherwise.
        gain, offset = self.signal.scale
        microvolts = numbers * gain
        microvolts += offset
        microvolts *= VOLTS[self.signal.dimension]
        microvolts *= 1e6
        return microvolts


def open_channels(path: str | Path, channels: Sequence[str]) -> dict[str, tuple[StoredSamples, float]]:
    """Whole channels at their own sampling rates, which are read where they are asked for.

    Returns channel -> (samples, sampling rate in Hz), in the order asked for.
    Labels must match exactly but for blanks at their ends. BenchmarkError for an incomplete file and a channel that is
    missing, doubled, not in volts or of an undefined scale.
    """
    path = Path(path)
    header = read_header(path)
    check_complete(path, header)
    check_has_signals(path, header)
    signals = {channel: find_channel(path, header, channel) for channel in channels}
    return {channel: (StoredSamples(path, header, signal), header.rate(signal)) for channel, signal in signals.items()}


def read_channels(path: str | Path, channels: Sequence[str]) -> dict[str, tuple[np.ndarray, float]]:
    """The same as arrays: channel -> (float64 (n_samples,) in microvolts, sampling rate in Hz)."""
    return {channel: (samples[:], rate) for channel, (samples, rate) in open_channels(path, channels).items()}

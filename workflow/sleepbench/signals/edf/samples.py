"""The samples of whole channels, by MNE, of a file that holds what its header promises."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.signals.edf.checks import check_complete, check_has_signals, find_channel
from sleepbench.signals.edf.header import read_header


def read_channels(path: str | Path, channels: Sequence[str]) -> dict[str, tuple[np.ndarray, float]]:
    """Read whole channels at their own sampling rates.

    Returns channel -> (float64 (n_samples,) in microvolts, sampling rate in Hz), in the order asked for.
    Labels must match exactly but for blanks at their ends. BenchmarkError for an incomplete file and a channel that is
    missing, doubled, not in volts or of an undefined scale.
    """
    path = Path(path)
    header = read_header(path)
    check_complete(path, header)
    check_has_signals(path, header)
    signals = {channel: find_channel(path, header, channel) for channel in channels}
    by_size: dict[int, list[str]] = {}
    for channel, signal in signals.items():
        by_size.setdefault(signal.samples_per_record, []).append(channel)
    # One rate at a time: MNE resamples all it reads together to the highest rate among them.
    values: dict[str, np.ndarray] = {}
    for samples_per_record, group in by_size.items():
        for channel, microvolts in _read_group(path, group).items():
            if len(microvolts) != header.n_records * samples_per_record:
                raise BenchmarkError(
                    f"{path}, channel {channel!r}: {len(microvolts)} samples were read, "
                    f"the header promises {header.n_records * samples_per_record}; the file is damaged"
                )
            values[channel] = microvolts
    return {channel: (values[channel], header.rate(signal)) for channel, signal in signals.items()}


def _read_group(path: Path, channels: list[str]) -> dict[str, np.ndarray]:
    """Samples of channels that share a rate, in microvolts."""
    import mne  # here, because it takes half a second and headers and hypnograms do without

    try:
        raw = mne.io.read_raw_edf(
            path, include=channels, stim_channel=None, preload=False, encoding="latin1", verbose="ERROR"
        )
        microvolts = raw.get_data(verbose="ERROR")
    except Exception as error:  # MNE also reads fields that nobody asked for, and fails in its own ways
        raise BenchmarkError(
            f"{path}: MNE cannot read it ({type(error).__name__}: {error}); correct the header or fetch the file again"
        ) from error
    microvolts *= 1e6  # MNE scales to volts
    return dict(zip(raw.ch_names, microvolts, strict=True))

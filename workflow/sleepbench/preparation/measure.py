"""Channels of a night measured as they were stored: how flat, how clipped, how large."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np

from sleepbench.core.stages import EPOCH_SECONDS, STAGES
from sleepbench.datasets.base import Signal
from sleepbench.signals.edf import StoredSamples

NIGHT_STAGES = (*STAGES, "movement", "unknown")
"""What an epoch of a whole night is; its code is its position here, as in `sleepbench.core.stages`."""

QUANTILES = ("0.1", "1", "5", "25", "50", "75", "95", "99", "99.9")
"""Percentages of a channel's samples, whose amplitudes describe it."""
LARGELY_FLAT = 0.1
"""Share of flat epochs from which a channel is called largely flat: two hours of a day or more."""
CLIPPED = 0.01
"""Share of samples at the recorder's limits from which a channel is called clipped: a quarter of an hour of a day."""
PLAUSIBLE_UV = (0.3, 1000.0)
"""Half the interquartile range of EEG and EOG: 5 to 50 uV over a night, a thousandth of it when volts are mistaken."""
POSSIBLE_UV = (1e-3, 1e5)
"""What no electrode reaches: below is a hundredth of the thermal noise of its skin, above a tenth of a volt."""
LOWEST_CODE, N_CODES = -(2**15), 2**16
"""Recorders store whole numbers of 16 bits."""
SAMPLES_PER_BLOCK = 2**18
"""Samples that are measured at once: 2 MB."""


def measure_channel(signal: Signal, n_epochs: int, seconds: float = EPOCH_SECONDS) -> dict[str, Any]:
    """Describe a channel over the whole epochs of a night, without approximation.

    `seconds` of each epoch are in the signal.

    Returns, besides unit and sampling rate,

    - flat_share: share of the epochs all of whose samples are the same, at any rate: 3000 samples of a 100-Hz
      channel, 30 of a 1-Hz one;
    - clipped_share: share of samples at (or beyond) the lowest or highest number that the recorder stores, whatever the
      unit and polarity: there it could not follow the signal. An epoch that is flat at a limit is clipped too. None
      where the storage is not known;
    - samples_beyond_limits: samples beyond these numbers, which no recorder writes; None as above;
    - quantiles_uv: per percentage p of QUANTILES the smallest amplitude in microvolts that at least p % of the samples
      do not exceed; always an amplitude that occurs.
    """
    samples = round(signal.rate * seconds)
    n_flat, n_clipped, n_beyond, amplitudes, counts = (_values if signal.storage is None else _stored_numbers)(
        signal, n_epochs, samples
    )
    total = n_epochs * samples
    # Fractions, because 0.1 % of a whole number of samples must not be rounded up to the next.
    ranks = [ceil(Fraction(percentage) * total / 100) for percentage in QUANTILES]
    quantiles = amplitudes[np.searchsorted(counts.cumsum(), ranks)]
    return {
        "unit": "uV",
        "sampling_rate_hz": signal.rate,
        "flat_share": n_flat / n_epochs,
        "clipped_share": None if n_clipped is None else n_clipped / total,
        "samples_beyond_limits": n_beyond,
        "quantiles_uv": dict(zip(QUANTILES, (round(float(value), 6) for value in quantiles), strict=True)),
    }


Measured = tuple[int, int | None, int | None, np.ndarray, np.ndarray]
"""Flat epochs, samples clipped and beyond the limits, amplitudes that may occur, ascending, how often each does."""


def _values(signal: Signal, n_epochs: int, samples: int) -> Measured:
    """Of microvolts as they are, whose storage is not known."""
    epochs = signal.microvolts[: n_epochs * samples].reshape(n_epochs, samples)
    amplitudes, counts = np.unique(epochs, return_counts=True)
    return int((epochs == epochs[:, :1]).all(axis=1).sum()), None, None, amplitudes, counts


def _stored_numbers(signal: Signal, n_epochs: int, samples: int) -> Measured:
    """By counting the whole numbers that the samples were stored as."""
    storage = signal.storage
    counts = np.zeros(N_CODES, dtype=np.int64)
    n_flat = 0
    for codes in _codes(signal, samples * max(1, SAMPLES_PER_BLOCK // samples), n_epochs * samples):
        epochs = codes.reshape(-1, samples)
        n_flat += int((epochs == epochs[:, :1]).all(axis=1).sum())
        counts += np.bincount(codes.astype(np.intp) - LOWEST_CODE, minlength=N_CODES)
    low, high = storage.low - LOWEST_CODE, storage.high - LOWEST_CODE
    n_clipped = int(counts[: low + 1].sum() + counts[high:].sum())
    n_beyond = int(counts[:low].sum() + counts[high + 1 :].sum())
    amplitudes = np.arange(LOWEST_CODE, LOWEST_CODE + N_CODES) * storage.gain + storage.offset
    if storage.gain < 0:
        amplitudes, counts = amplitudes[::-1], counts[::-1]
    return n_flat, n_clipped, n_beyond, amplitudes, counts


def _codes(signal: Signal, n: int, end: int) -> Iterator[np.ndarray]:
    """The whole numbers of the samples before `end`, at most `n` at once."""
    if isinstance(signal.microvolts, StoredSamples):
        yield from (signal.microvolts.numbers(slice(start, min(start + n, end))) for start in range(0, end, n))
        return
    for part in signal.parts(n, end):
        numbers = part - signal.storage.offset
        numbers /= signal.storage.gain
        # 16 bits hold all there can be; an extreme scale's rounding must not lead beyond.
        yield np.rint(numbers, out=numbers).astype(np.intp).clip(LOWEST_CODE, LOWEST_CODE + N_CODES - 1)


def half_range_uv(role: str, measured: Mapping[str, Any]) -> float | None:
    """Half the interquartile range of a channel, by which a mistaken unit is noticed.

    None of a channel that is no EEG or EOG, or does not change for much of the time.
    """
    if not role.startswith(("eeg", "eog")) or measured["flat_share"] >= LARGELY_FLAT:
        return None
    quantiles = measured["quantiles_uv"]
    return (quantiles["75"] - quantiles["25"]) / 2 or None


def poor_sentences(role: str, channel: str, measured: Mapping[str, Any]) -> list[str]:
    """Sentences on a channel that is flat or clipped, or of an implausible unit; it is prepared as it is."""
    flat, clipped = measured["flat_share"], measured["clipped_share"] or 0
    sentences = []
    if flat == 1:
        sentences.append(f"{channel} does not change in any epoch: it holds no signal; it is kept as it is")
    elif flat >= LARGELY_FLAT:
        sentences.append(f"{channel} does not change in {100 * flat:.1f} % of the epochs; they are kept as they are")
    if clipped >= CLIPPED:
        sentences.append(f"{channel} is at the recorder's limits in {100 * clipped:.1f} % of the samples")
    if beyond := measured["samples_beyond_limits"]:
        sentences.append(f"{channel} has {beyond:,} samples beyond the recorder's limits: the file may be damaged")
    half, (low, high) = half_range_uv(role, measured), PLAUSIBLE_UV
    if half is not None and not low <= half <= high:
        sentences.append(
            f"{channel}: half of its samples lie within {half:.2g} uV of their middle, where EEG and EOG have "
            f"{low:g} to {high:g} uV: is its unit right?"
        )
    return sentences

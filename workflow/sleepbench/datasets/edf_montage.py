"""A montage whose roles are channels of an EDF file, or differences of two."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.base import Signal
from sleepbench.datasets.sleep_edf_cassette import storage_of
from sleepbench.signals import edf

Channels = Mapping[str, Sequence[str]]
"""By role the label of a channel, or of two whose difference it is."""


def read_montage(
    path: Path, channels: Channels, roles: Sequence[str], aliases: Mapping[str, Sequence[str]] | None = None
) -> dict[str, Signal]:
    """The signals with these roles in microvolts.

    `aliases` are other labels of a channel, of which a file may have one in place of its own.
    How a difference was stored is not known. BenchmarkError as `edf.open_channels`, and where the two
    channels of a difference are not of one rate.
    """
    stored = {signal.label: signal for signal in edf.read_header(path).signals}

    def found(label: str) -> str:
        return next((one for one in (label, *(aliases or {}).get(label, ())) if one in stored), label)

    chosen = {role: [found(label) for label in channels[role]] for role in roles}
    read = edf.open_channels(path, list(dict.fromkeys(label for labels in chosen.values() for label in labels)))
    return {role: _signal(path, labels, read, stored) for role, labels in chosen.items()}


def _signal(path: Path, labels: Sequence[str], read: Mapping, stored: Mapping) -> Signal:
    microvolts, rate = read[labels[0]]
    if len(labels) == 1:
        return Signal(microvolts, rate, storage_of(stored[labels[0]]))
    other, other_rate = read[labels[1]]
    if other_rate != rate:
        raise BenchmarkError(
            f"{path}: {labels[0]!r} is at {rate:g} Hz, {labels[1]!r} at {other_rate:g} Hz; their difference takes one "
            "rate: correct the file"
        )
    return Signal(microvolts[:] - other[:], rate)

"""Check an EDF file against its own header and time stamps, and find the requested channels.

What is odd in a file but handled is noted as well.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sleepbench.core.errors import BenchmarkError, MissingChannelError, most_alike
from sleepbench.signals.edf.annotations import read_annotation_lists
from sleepbench.signals.edf.header import (
    ANNOTATIONS,
    FIXED_HEADER_BYTES,
    NUL_PADDED,
    SIGNAL_FIELDS,
    EdfHeader,
    EdfSignal,
    exactly,
)

MICROVOLTS = {"uV": 1.0, "µV": 1.0, "mV": 1e3, "V": 1e6}
"""The physical dimensions whose scale is known, in microvolts."""
HIGHEST_MICROVOLTS = 1e12
"""A million volts: a physical limit beyond it is damage, and float32 must hold the values."""

STAMP_TOLERANCE = 1e-3
"""Seconds by which a time stamp may differ from where its record belongs: a tenth of a sample at 100 Hz."""


LONGEST_RECORDING = 366 * 24 * 3600


def check_complete(path: str | Path, header: EdfHeader) -> None:
    """Check size and time stamps against the header; BenchmarkError when they disagree or there are gaps."""
    if header.n_records < 1:
        raise BenchmarkError(
            f"{path}: the header says {header.n_records} data records (-1: the recording was never closed), "
            "expected at least one; the file is unfinished: move it away and fetch it again"
        )
    if header.record_bytes == 0:
        raise BenchmarkError(f"{path}: its data records have 0 samples; the header is damaged")
    expected = header.header_bytes + header.n_records * header.record_bytes
    found = Path(path).stat().st_size
    if found != expected:
        what = "truncated" if found < expected else "longer than its header says"
        remedy = "move it away and fetch it again"
        if found > expected and _is_zero_from(path, expected):
            remedy = f"all bytes beyond these are zero: cut them off, truncate -s {expected} FILE, or fetch it again"
        raise BenchmarkError(
            f"{path}: is {what}: {found} bytes, expected {expected} ({header.header_bytes} of header and "
            f"{header.n_records} records of {header.record_bytes}); {remedy}"
        )
    if header.seconds > LONGEST_RECORDING:
        raise BenchmarkError(
            f"{path}: lasts {header.seconds} s ({header.n_records} records of {header.record_seconds} s), expected at "
            f"most {LONGEST_RECORDING}; the header is damaged: move the file away and fetch it again"
        )
    if header.reserved == "EDF+D" and not (header.has_time_stamps and header.record_seconds):
        raise BenchmarkError(
            f"{path}: is discontinuous (EDF+D) and has no time stamps that say where its records lie, so seconds "
            "cannot be counted in samples; a continuous EDF is expected"
        )
    _check_time_stamps(path, header, [record.start for record in read_annotation_lists(path, header)])


def _is_zero_from(path: str | Path, start: int) -> bool:
    """Whether a file holds nothing but zero bytes from a byte on."""
    with Path(path).open("rb") as file:
        file.seek(start)
        return not any(any(block) for block in iter(lambda: file.read(2**20), b""))


def check_has_signals(path: str | Path, header: EdfHeader) -> None:
    """Refuse a file of annotations only, whose data records have no duration."""
    if header.record_seconds == 0:
        raise BenchmarkError(
            f"{path}: its data records last 0 s (annotations only), expected signals; PSG and hypnogram may be swapped"
        )


def _check_time_stamps(path: str | Path, header: EdfHeader, starts: list[float]) -> None:
    """Check that the data records are contiguous from the header's start time.

    The first record must begin within a second of the start in the header, each other one where the one before ends.
    BenchmarkError where that is not so.
    """
    if not starts:
        return
    if not 0 <= starts[0] < 1:
        raise BenchmarkError(
            f"{path}: its first data record begins {starts[0]:g} s after the start in the header, expected less than "
            "1 s; the file is damaged: move it away and fetch it again"
        )
    if header.record_seconds == 0:
        return
    length = exactly(header.record_seconds)
    for record, found in enumerate(starts):
        expected = starts[0] + record * length.numerator / length.denominator
        if abs(found - expected) > STAMP_TOLERANCE:
            what = f"{'gap' if found > expected else 'overlap'} of {abs(found - expected):g} s"
            mark = "(EDF+D)" if header.reserved == "EDF+D" else f"though marked {header.reserved or 'plain EDF'}"
            raise BenchmarkError(
                f"{path}: is discontinuous {mark}: {what} between data record {record}, which ends at {expected:g} s, "
                f"and the next, which begins at {found:g} s; a continuous EDF is expected: cut the file at the gap"
            )


def find_channel(path: Path, header: EdfHeader, channel: str) -> EdfSignal:
    """The one signal with this label, in volts of a known scale."""
    labels = Counter(signal.label for signal in header.signals)
    if channel not in labels:
        raise MissingChannelError(
            f"{path}: has no channel {channel!r}{_suggestion(channel, list(labels))}; "
            f"it has {', '.join(map(repr, labels))}"
        )
    if labels[channel] > 1:
        raise BenchmarkError(
            f"{path}: has {labels[channel]} channels called {channel!r}, expected one; rename or drop one"
        )
    signal = next(signal for signal in header.signals if signal.label == channel)
    if signal.dimension not in MICROVOLTS:
        raise BenchmarkError(
            f"{path}, channel {channel!r}: its unit is {signal.dimension!r}, expected one of {', '.join(MICROVOLTS)}; "
            "choose another channel or correct the header"
        )
    if signal.scale_problem:
        raise BenchmarkError(
            f"{path}, channel {channel!r}: its scale is undefined: {signal.scale_problem}; the header is damaged: "
            "choose another channel or fetch the file again"
        )
    if signal.samples_per_record == 0:
        raise BenchmarkError(f"{path}, channel {channel!r}: has 0 samples per record; choose another channel")
    highest = MICROVOLTS[signal.dimension] * max(abs(signal.physical_min), abs(signal.physical_max))
    if highest > HIGHEST_MICROVOLTS:
        raise BenchmarkError(
            f"{path}, channel {channel!r}: its physical limits reach {highest:g} uV, expected at most "
            f"{HIGHEST_MICROVOLTS:g}; the header is damaged: choose another channel or fetch the file again"
        )
    return signal


def _suggestion(channel: str, labels: list[str]) -> str:
    """A label that differs only in case and blanks, or the nearest one, as the end of a sentence."""

    def plain(label: str) -> str:
        return re.sub(r"\s", "", label).casefold()

    for label in labels:
        if "\0" in label and plain(label.replace("\0", "")) == plain(channel):
            return f" (its label is {NUL_PADDED})"
        if plain(label) == plain(channel):
            return f" (it has {label!r}: case and blanks count)"
    near = most_alike(channel, labels, least=0.4)
    return f" (did you mean {near!r}?)" if near else ""


def remarks(path: str | Path, header: EdfHeader, channels: Sequence[str]) -> list[str]:
    """One sentence for each oddity of a complete file that was handled and that a user may want to know.

    `channels` are those that are read; none for a hypnogram.
    """
    path = Path(path)
    sentences = []
    if header.has_time_stamps:
        if header.reserved == "EDF+D":
            sentences.append(f"{path.name} is marked EDF+D (discontinuous), but its time stamps have no gap")
        if header.reserved == "":
            sentences.append(f"{path.name} is not marked EDF+, but has time stamps, which were checked")
        if offset := read_annotation_lists(path, header, most=1)[0].start:
            sentences.append(
                f"{path.name} begins {offset:g} s after the start in its header; epochs are counted from its beginning"
            )
    elif header.reserved:
        sentences.append(f"{path.name} is marked {header.reserved}, but has no time stamps, so no gap can be seen")
    with path.open("rb") as file:
        content = file.read(header.header_bytes)
    parts = {"patient": content[8:88], "recording": content[88:168], "other": content[:8] + content[168:]}
    if odd := [name for name, part in parts.items() if not part.isascii()]:
        sentences.append(f"{path.name} has bytes that are not ASCII in its header ({', '.join(odd)} fields)")
    for channel in channels:
        signal = find_channel(path, header, channel)
        if content[FIXED_HEADER_BYTES + SIGNAL_FIELDS[0] * header.signals.index(signal) :][:1] == b" ":
            sentences.append(f"the label of {channel} begins with a blank in {path.name}, which is left out")
        if (factor := MICROVOLTS[signal.dimension]) != 1:
            sentences.append(f"{channel} is recorded in {signal.dimension}; times {factor:g} gives microvolts")
        if signal.physical_min > signal.physical_max:
            sentences.append(
                f"{channel} has its physical minimum above its maximum (inverted polarity); "
                "its sign is that of the header"
            )
    for signal in header.signals:
        if signal.scale_problem and signal.label not in channels and signal.label != ANNOTATIONS:
            sentences.append(f"{signal.label}, which is not used, has no scale: {signal.scale_problem}")
    return sentences

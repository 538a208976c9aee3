"""EDF files: a strict header of our own, samples by MNE.

The readers forgive too much: a truncated file or one whose record count is -1 loads with a warning, a discontinuous
file loads as if it had no gaps. So the header is parsed here from its bytes, the file's size is held against it, and
only then does MNE read samples.
Format: Kemp et al., Electroenceph. clin. Neurophysiol. 82:391-393 (1992); EDF+: Kemp and Olivan, Clin. Neurophysiol.
114:1755-1761 (2003).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from itertools import pairwise
from pathlib import Path

import numpy as np

from sleepbench.errors import BenchmarkError

BYTES_PER_SAMPLE = 2
FIXED_HEADER_BYTES = 256
SIGNAL_HEADER_BYTES = 256
SIGNAL_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
"""Widths of label, transducer, dimension, physical and digital min and max, filter, samples per record, reserved."""

VOLT_UNITS = ("uV", "µV", "mV", "V")
"""The physical dimensions whose scale is known; MNE turns each into volts."""

INTEGER = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class EdfSignal:
    """One signal's header; the physical limits are in units of `dimension`."""

    label: str
    dimension: str
    physical_min: float
    physical_max: float
    digital_min: int
    digital_max: int
    samples_per_record: int


@dataclass(frozen=True)
class EdfHeader:
    """An EDF file's header; `reserved` is "" for plain EDF, else "EDF+C" (continuous) or "EDF+D" (discontinuous)."""

    start: datetime
    header_bytes: int
    reserved: str
    n_records: int
    record_seconds: float
    signals: tuple[EdfSignal, ...]

    @property
    def record_bytes(self) -> int:
        """Bytes of one data record."""
        return BYTES_PER_SAMPLE * sum(signal.samples_per_record for signal in self.signals)

    @property
    def seconds(self) -> float:
        """Duration of the signals; 0 for a file of annotations only."""
        return self.n_records * self.record_seconds


def read_header(path: str | Path) -> EdfHeader:
    """Parse an EDF header from its bytes; BenchmarkError naming the file when it is not one."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            fixed = file.read(FIXED_HEADER_BYTES)
            _check_is_edf(path, fixed)
            n_signals = _integer(path, "number of signals", fixed[252:256])
            if n_signals < 1:
                raise BenchmarkError(f"{path}: the header says {n_signals} signals, expected at least one")
            described = file.read(n_signals * SIGNAL_HEADER_BYTES)
    except OSError as error:
        raise BenchmarkError(
            f"{path}: cannot be read ({error.strerror}); check the path and its permissions"
        ) from error
    header_bytes = _integer(path, "header bytes", fixed[184:192])
    expected = FIXED_HEADER_BYTES + n_signals * SIGNAL_HEADER_BYTES
    if header_bytes != expected:
        raise BenchmarkError(
            f"{path}: the header says it has {header_bytes} bytes, but {n_signals} signals make {expected}; "
            "the file is damaged: move it away and fetch it again"
        )
    if FIXED_HEADER_BYTES + len(described) != header_bytes:
        raise BenchmarkError(
            f"{path}: ends inside its header, after {FIXED_HEADER_BYTES + len(described)} of {header_bytes} bytes; "
            "the file is truncated: move it away and fetch it again"
        )
    record_seconds = _number(path, "duration of a data record", fixed[244:252])
    if record_seconds < 0:
        raise BenchmarkError(f"{path}: a data record lasts {record_seconds} s, expected 0 or more")
    return EdfHeader(
        start=_start(path, fixed[168:184]),
        header_bytes=header_bytes,
        reserved=_continuity(path, fixed[192:236]),
        n_records=_integer(path, "number of data records", fixed[236:244]),
        record_seconds=record_seconds,
        signals=_signals(path, described, n_signals),
    )


def check_complete(path: str | Path, header: EdfHeader) -> None:
    """Hold the file's size against its header; BenchmarkError when they disagree or when there may be gaps."""
    if header.reserved == "EDF+D":
        raise BenchmarkError(
            f"{path}: is discontinuous (EDF+D), so seconds cannot be counted in samples; a continuous EDF is expected"
        )
    if header.n_records < 1:
        raise BenchmarkError(
            f"{path}: the header says {header.n_records} data records (-1: the recording was never closed), "
            "expected at least one; the file is unfinished: move it away and fetch it again"
        )
    expected = header.header_bytes + header.n_records * header.record_bytes
    found = Path(path).stat().st_size
    if found != expected:
        what = "truncated" if found < expected else "longer than its header says"
        raise BenchmarkError(
            f"{path}: is {what}: {found} bytes, expected {expected} ({header.header_bytes} of header and "
            f"{header.n_records} records of {header.record_bytes}); move it away and fetch it again"
        )


def read_channels(path: str | Path, channels: Sequence[str]) -> dict[str, tuple[np.ndarray, float]]:
    """Read whole channels at their own sampling rates.

    Returns channel -> (float64 (n_samples,) in microvolts, sampling rate in Hz), in the order asked for.
    Labels must match exactly but for blanks at their ends. BenchmarkError for an incomplete file, a channel that is
    missing, doubled or not in volts, and values that are not finite.
    """
    path = Path(path)
    header = read_header(path)
    check_complete(path, header)
    if header.record_seconds == 0:
        raise BenchmarkError(f"{path}: its data records last 0 s (annotations only), expected signals")
    by_size: dict[int, list[str]] = {}
    for channel in channels:
        by_size.setdefault(_find(path, header, channel).samples_per_record, []).append(channel)
    # One rate at a time: MNE resamples all it reads together to the highest rate among them.
    values: dict[str, tuple[np.ndarray, float]] = {}
    for samples_per_record, group in by_size.items():
        rate = samples_per_record / header.record_seconds
        for channel, microvolts in _read_group(path, group).items():
            if len(microvolts) != header.n_records * samples_per_record:
                raise BenchmarkError(
                    f"{path}, channel {channel!r}: {len(microvolts)} samples were read, "
                    f"the header promises {header.n_records * samples_per_record}"
                )
            if not np.isfinite(microvolts).all():
                raise BenchmarkError(f"{path}, channel {channel!r}: has values that are not finite; check its scaling")
            values[channel] = (microvolts, rate)
    return {channel: values[channel] for channel in channels}


def _read_group(path: Path, channels: list[str]) -> dict[str, np.ndarray]:
    """Samples of channels that share a rate, in microvolts."""
    import mne  # here, because it takes half a second and headers and hypnograms do without

    raw = mne.io.read_raw_edf(path, include=channels, stim_channel=None, preload=False, verbose="ERROR")
    microvolts = raw.get_data(verbose="ERROR")
    microvolts *= 1e6  # MNE scales to volts
    return dict(zip(raw.ch_names, microvolts, strict=True))


def _find(path: Path, header: EdfHeader, channel: str) -> EdfSignal:
    """The one signal with this label, in volts of a known scale."""
    labels = Counter(signal.label for signal in header.signals)
    if channel not in labels:
        raise BenchmarkError(
            f"{path}: has no channel {channel!r}{_suggestion(channel, list(labels))}; "
            f"it has {', '.join(map(repr, labels))}"
        )
    if labels[channel] > 1:
        raise BenchmarkError(
            f"{path}: has {labels[channel]} channels called {channel!r}, expected one; rename or drop one"
        )
    signal = next(signal for signal in header.signals if signal.label == channel)
    if signal.dimension not in VOLT_UNITS:
        raise BenchmarkError(
            f"{path}, channel {channel!r}: its unit is {signal.dimension!r}, expected one of {', '.join(VOLT_UNITS)}; "
            "choose another channel or mend the header"
        )
    return signal


def _suggestion(channel: str, labels: list[str]) -> str:
    """A label that differs only in case and blanks, or the nearest one, as the end of a sentence."""

    def plain(label: str) -> str:
        return re.sub(r"\s", "", label).casefold()

    for label in labels:
        if plain(label) == plain(channel):
            return f" (it has {label!r}: case and blanks count)"
    near = get_close_matches(channel, labels, n=1, cutoff=0.4)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _check_is_edf(path: Path, fixed: bytes) -> None:
    """The first 256 bytes must be there and begin with EDF's version, 0."""
    if not fixed:
        raise BenchmarkError(f"{path}: is empty, expected an EDF file; move it away and fetch it again")
    if fixed[:8] != b"0       ":
        what = "a web page" if fixed.lstrip()[:1] == b"<" else f"something that begins with {fixed[:8]!r}"
        raise BenchmarkError(f"{path}: is not an EDF file but {what}; move it away and fetch it again")
    if len(fixed) < FIXED_HEADER_BYTES:
        raise BenchmarkError(
            f"{path}: ends inside its header, after {len(fixed)} bytes; the file is truncated: "
            "move it away and fetch it again"
        )


def _signals(path: Path, described: bytes, n_signals: int) -> tuple[EdfSignal, ...]:
    """The signals' headers: EDF stores each field for all signals before the next field."""
    bounds = np.cumsum([0, *(width * n_signals for width in SIGNAL_FIELDS)])
    columns = [
        [described[start + i * width : start + (i + 1) * width] for i in range(n_signals)]
        for (start, _), width in zip(pairwise(bounds), SIGNAL_FIELDS, strict=True)
    ]
    return tuple(_signal(path, *fields) for fields in zip(*columns, strict=True))


def _signal(
    path: Path,
    label: bytes,
    _transducer: bytes,
    dimension: bytes,
    physical_min: bytes,
    physical_max: bytes,
    digital_min: bytes,
    digital_max: bytes,
    _prefilter: bytes,
    samples_per_record: bytes,
    _reserved: bytes,
) -> EdfSignal:
    """One signal's header from its fields."""
    name = _text(label)
    signal = EdfSignal(
        label=name,
        dimension=_text(dimension),
        physical_min=_number(path, f"physical minimum of {name!r}", physical_min),
        physical_max=_number(path, f"physical maximum of {name!r}", physical_max),
        digital_min=_integer(path, f"digital minimum of {name!r}", digital_min),
        digital_max=_integer(path, f"digital maximum of {name!r}", digital_max),
        samples_per_record=_integer(path, f"samples per record of {name!r}", samples_per_record),
    )
    if signal.physical_min == signal.physical_max or signal.digital_min >= signal.digital_max:
        raise BenchmarkError(
            f"{path}, signal {name!r}: its scale is undefined: physical {signal.physical_min} to "
            f"{signal.physical_max}, digital {signal.digital_min} to {signal.digital_max}; the header is damaged"
        )
    if signal.samples_per_record < 1:
        raise BenchmarkError(
            f"{path}, signal {name!r}: has {signal.samples_per_record} samples per record, expected > 0"
        )
    return signal


def _start(path: Path, field: bytes) -> datetime:
    """Start of the recording, from dd.mm.yy and hh.mm.ss; years 85 to 99 are 19yy (EDF+ section 2.1.3.2)."""
    text = field.decode("latin-1")
    match = re.fullmatch(r"(\d\d)\.(\d\d)\.(\d\d)(\d\d)\.(\d\d)\.(\d\d)", text, re.ASCII)
    try:
        day, month, year, hour, minute, second = (int(part) for part in match.groups()) if match else ()
        return datetime(year + (1900 if year >= 85 else 2000), month, day, hour, minute, second)
    except ValueError as error:
        raise BenchmarkError(
            f"{path}: the start is {text!r}, expected dd.mm.yyhh.mm.ss; the header is damaged"
        ) from error


def _continuity(path: Path, field: bytes) -> str:
    """The EDF+ mark in the reserved field; readers of plain EDF ignore whatever else is there."""
    text = _text(field)
    if not text.startswith("EDF+"):
        return ""
    if text[:5] not in ("EDF+C", "EDF+D"):
        raise BenchmarkError(f"{path}: the reserved field is {text!r}, expected EDF+C or EDF+D; the header is damaged")
    return text[:5]


def _text(field: bytes) -> str:
    """A header field without the blanks around it; Latin-1, in which a unit may be written µV."""
    return field.decode("latin-1").strip()


def _integer(path: Path, name: str, field: bytes) -> int:
    """A whole number in a header field; Python's int() alone would take 1_0."""
    text = _text(field)
    if not INTEGER.fullmatch(text):
        raise BenchmarkError(f"{path}: the {name} is {text!r}, expected a whole number; the header is damaged")
    return int(text)


def _number(path: Path, name: str, field: bytes) -> float:
    """A finite number in a header field; Python's float() alone would take nan."""
    text = _text(field)
    value = float(text) if NUMBER.fullmatch(text) else np.inf
    if not np.isfinite(value):
        raise BenchmarkError(f"{path}: the {name} is {text!r}, expected a number; the header is damaged")
    return value

"""An EDF file's header, from its bytes: what it says of the file and of each signal.

Format: Kemp et al., Electroenceph. clin. Neurophysiol. 82:391-393 (1992); EDF+: Kemp and Olivan, Clin. Neurophysiol.
114:1755-1761 (2003).
"""

import re
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from math import isfinite
from pathlib import Path

import numpy as np

from sleepbench.core.errors import BenchmarkError

BYTES_PER_SAMPLE = 2
FIXED_HEADER_BYTES = 256
SIGNAL_HEADER_BYTES = 256
SIGNAL_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
"""Widths of label, transducer, dimension, physical and digital min and max, filter, samples per record, reserved."""

NUL_PADDED = (
    "padded with NUL bytes where EDF has blanks, by the program that wrote it: put a blank in the place of each NUL "
    "byte of the header"
)
SCALE_FIELDS = ("physical minimum", "physical maximum", "digital minimum", "digital maximum")

ANNOTATIONS = "EDF Annotations"
"""The label of a signal that holds annotation lists instead of samples (EDF+ section 2.2.1)."""

SHORTEST_RECORD, LONGEST_RECORD = 1e-3, 24 * 3600
"""Seconds; a duration beyond these is damage, and would have arrays made of any size."""

INTEGER = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


@dataclass(frozen=True)
class EdfSignal:
    """One signal's header; the physical limits are in units of `dimension`.

    `scale_problem` is "" or says why samples cannot be scaled; limits that are no numbers are then NaN or 0. It is an
    error only in a channel that is asked for: real files have markers with any scale.
    """

    label: str
    dimension: str
    physical_min: float
    physical_max: float
    digital_min: int
    digital_max: int
    samples_per_record: int
    scale_problem: str = ""

    @property
    def scale(self) -> tuple[float, float]:
        """Gain and offset: physical value = gain * digital value + offset.

        The gain of inverted limits is negative.
        """
        gain = (self.physical_max - self.physical_min) / (self.digital_max - self.digital_min)
        return gain, self.physical_min - gain * self.digital_min


@dataclass(frozen=True)
class EdfHeader:
    """An EDF file's header.

    `reserved` is "" for plain EDF, "EDF+C" for continuous and "EDF+D" for discontinuous EDF+.
    """

    patient: str
    recording: str
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
        return float(self.n_records * exactly(self.record_seconds))

    @property
    def simulated(self) -> bool:
        """Whether the recording field has the word that simulated nights carry."""
        return "simulated" in self.recording.split()

    @property
    def has_time_stamps(self) -> bool:
        """Whether a signal holds annotation lists, which begin with their data record's time stamp."""
        return any(signal.label == ANNOTATIONS for signal in self.signals)

    def rate(self, signal: EdfSignal) -> float:
        """Sampling rate in Hz."""
        return float(signal.samples_per_record / exactly(self.record_seconds))


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
    if record_seconds and not SHORTEST_RECORD <= record_seconds <= LONGEST_RECORD:
        raise BenchmarkError(
            f"{path}: a data record lasts {record_seconds} s, expected 0 (annotations only) or {SHORTEST_RECORD} to "
            f"{LONGEST_RECORD} s; the header is damaged: move the file away and fetch it again"
        )
    return EdfHeader(
        patient=_text(fixed[8:88]),
        recording=_text(fixed[88:168]),
        start=_start(path, fixed[168:184]),
        header_bytes=header_bytes,
        reserved=_continuity(path, fixed[192:236]),
        n_records=_integer(path, "number of data records", fixed[236:244]),
        record_seconds=record_seconds,
        signals=_signals(path, described, n_signals),
    )


def exactly(seconds: float) -> Fraction:
    """The decimal number in the header, so that 300 records of 0.1 s are 30 s."""
    return Fraction(repr(seconds))


def _check_is_edf(path: Path, fixed: bytes) -> None:
    """The first 256 bytes must be there and begin with EDF's version, 0."""
    if not fixed:
        raise BenchmarkError(f"{path}: is empty, expected an EDF file; move it away and fetch it again")
    if fixed[:8] != b"0       ":
        if fixed[:8].rstrip(b"\0 ") == b"0":
            raise BenchmarkError(f"{path}: its header is {NUL_PADDED}")
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
    samples = _integer(path, f"samples per record of {name!r}", samples_per_record)
    if samples < 0:
        raise BenchmarkError(f"{path}, signal {name!r}: has {samples} samples per record, expected 0 or more")
    fields = dict(zip(SCALE_FIELDS, map(_text, (physical_min, physical_max, digital_min, digital_max)), strict=True))
    return EdfSignal(name, _text(dimension), *_limits(fields), samples, _scale_problem(fields))


def _limits(fields: dict[str, str]) -> tuple[float, float, int, int]:
    """Physical and digital limits; NaN or 0 for what is no number."""
    low, high = (float(fields[name]) if NUMBER.fullmatch(fields[name]) else np.nan for name in SCALE_FIELDS[:2])
    digital_low, digital_high = (
        int(fields[name]) if INTEGER.fullmatch(fields[name]) else 0 for name in SCALE_FIELDS[2:]
    )
    return low, high, digital_low, digital_high


def _scale_problem(fields: dict[str, str]) -> str:
    """Why these limits make no scale, or ""."""
    for name, text in fields.items():
        pattern = NUMBER if name.startswith("physical") else INTEGER
        if not pattern.fullmatch(text) or not isfinite(float(text)):
            return f"the {name} is {text!r}, expected a {'number' if pattern is NUMBER else 'whole number'}"
    low, high, digital_low, digital_high = _limits(fields)
    if low == high:
        return f"physical minimum and maximum are both {low:g}"
    if digital_low >= digital_high:
        return f"the digital minimum is {digital_low}, the maximum {digital_high}, expected a higher one"
    if digital_low < -32768 or digital_high > 32767:
        return f"the digital limits are {digital_low} and {digital_high}, expected at most 16 bits"
    return ""


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


def _fault(field: bytes) -> str:
    """What is wrong with a header that has such a field."""
    return NUL_PADDED if field.rstrip(b"\0") != field else "damaged"


def _integer(path: Path, name: str, field: bytes) -> int:
    """A whole number in a header field; Python's int() alone would take 1_0."""
    text = _text(field)
    if not INTEGER.fullmatch(text):
        raise BenchmarkError(f"{path}: the {name} is {text!r}, expected a whole number; the header is {_fault(field)}")
    return int(text)


def _number(path: Path, name: str, field: bytes) -> float:
    """A finite number in a header field; Python's float() alone would take nan."""
    text = _text(field)
    value = float(text) if NUMBER.fullmatch(text) else np.inf
    if not np.isfinite(value):
        raise BenchmarkError(f"{path}: the {name} is {text!r}, expected a number; the header is {_fault(field)}")
    return value

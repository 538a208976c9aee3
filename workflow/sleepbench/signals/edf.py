"""EDF and EDF+ files, strictly: header and annotation lists from the bytes themselves, samples by MNE.

The usual readers forgive too much (docs/hostile-edf.md): a truncated file or one whose record count is -1 loads with a
warning, a discontinuous file loads as if it had no gaps, bytes that are no annotations are passed over. So a file is
first held against its own header and time stamps, and only then does MNE read samples; what MNE stops at is refused.
Format: Kemp et al., Electroenceph. clin. Neurophysiol. 82:391-393 (1992); EDF+: Kemp and Olivan, Clin. Neurophysiol.
114:1755-1761 (2003).
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from itertools import accumulate, pairwise
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sleepbench.core.errors import BenchmarkError, most_alike

BYTES_PER_SAMPLE = 2
FIXED_HEADER_BYTES = 256
SIGNAL_HEADER_BYTES = 256
SIGNAL_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
"""Widths of label, transducer, dimension, physical and digital min and max, filter, samples per record, reserved."""

SCALE_FIELDS = ("physical minimum", "physical maximum", "digital minimum", "digital maximum")

MICROVOLTS = {"uV": 1.0, "µV": 1.0, "mV": 1e3, "V": 1e6}
"""The physical dimensions whose scale is known, in microvolts."""
HIGHEST_MICROVOLTS = 1e12
"""A million volts: a physical limit beyond it is damage, and float32 must hold the values."""

ANNOTATIONS = "EDF Annotations"
"""The label of a signal that holds annotation lists instead of samples (EDF+ section 2.2.1)."""
STAMP_TOLERANCE = 1e-3
"""Seconds by which a time stamp may differ from where its record belongs: a tenth of a sample at 100 Hz."""

LONGEST_RECORDING = 366 * 24 * 3600
SHORTEST_RECORD, LONGEST_RECORD = 1e-3, 24 * 3600
"""Seconds; a duration beyond these is damage, and would have arrays made of any size."""

ONSET = re.compile(rb"[+-][0-9]+(\.[0-9]+)?")
DURATION = re.compile(rb"[0-9]+(\.[0-9]+)?")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""Characters that an annotation's text may not have; tab and line ends it may (EDF+ section 2.2.2)."""
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
        """Gain and offset: physical value = gain * digital value + offset. The gain of inverted limits is negative."""
        gain = (self.physical_max - self.physical_min) / (self.digital_max - self.digital_min)
        return gain, self.physical_min - gain * self.digital_min


@dataclass(frozen=True)
class EdfHeader:
    """An EDF file's header; `reserved` is "" for plain EDF, else "EDF+C" (continuous) or "EDF+D" (discontinuous)."""

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
        return float(self.n_records * _exactly(self.record_seconds))

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
        return float(signal.samples_per_record / _exactly(self.record_seconds))


class Annotation(NamedTuple):
    """An EDF+ annotation: onset in seconds from the header's start, duration in seconds or None, text."""

    onset: float
    duration: float | None
    text: str


@dataclass(frozen=True)
class AnnotationList:
    """One data record's time stamp, in seconds from the header's start, and the annotations stored in it."""

    start: float
    annotations: tuple[Annotation, ...]


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


def check_complete(path: str | Path, header: EdfHeader) -> None:
    """Hold the file's size and time stamps against its header; BenchmarkError when they disagree or there are gaps."""
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
        raise BenchmarkError(
            f"{path}: is {what}: {found} bytes, expected {expected} ({header.header_bytes} of header and "
            f"{header.n_records} records of {header.record_bytes}); move it away and fetch it again"
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


def check_has_signals(path: str | Path, header: EdfHeader) -> None:
    """Refuse a file of annotations only, whose data records have no duration."""
    if header.record_seconds == 0:
        raise BenchmarkError(
            f"{path}: its data records last 0 s (annotations only), expected signals; PSG and hypnogram may be swapped"
        )


def read_annotation_lists(path: str | Path, header: EdfHeader) -> list[AnnotationList]:
    """Read each data record's time stamp and annotations; [] for a file without a signal of annotations.

    Strict (EDF+ section 2.2): a record's first list is its time stamp, lists follow each other without a gap, and all
    unused bytes are zero. BenchmarkError naming record and byte for anything else.
    """
    path = Path(path)
    bounds = [0, *accumulate(BYTES_PER_SAMPLE * signal.samples_per_record for signal in header.signals)]
    places = [
        place for place, signal in zip(pairwise(bounds), header.signals, strict=True) if signal.label == ANNOTATIONS
    ]
    if not places:
        return []
    lists = []
    with path.open("rb") as file:
        for record in range(header.n_records):
            annotations: list[Annotation] = []
            for start, end in places:
                position = header.header_bytes + record * header.record_bytes + start
                file.seek(position)
                try:
                    annotations += _parse_annotations(file.read(end - start), stamped=start == places[0][0])
                except _MalformedError as error:
                    raise BenchmarkError(
                        f"{path}: its annotations cannot be read: in data record {record + 1} of {header.n_records}, "
                        f"at byte {position + error.offset} of the file, {error}; the file is damaged: move it away "
                        "and fetch it again"
                    ) from error
            lists.append(AnnotationList(annotations[0].onset, tuple(annotations[1:])))
    return lists


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
    signals = {channel: _find(path, header, channel) for channel in channels}
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
            f"{path}: MNE cannot read it ({type(error).__name__}: {error}); mend the header or fetch the file again"
        ) from error
    microvolts *= 1e6  # MNE scales to volts
    return dict(zip(raw.ch_names, microvolts, strict=True))


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
        if offset := read_annotation_lists(path, header)[0].start:
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
        signal = _find(path, header, channel)
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


class _MalformedError(Exception):
    """Bytes that are no annotation list; `offset` counts from the beginning of the signal's part of the record."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


def _parse_annotations(content: bytes, stamped: bool) -> list[Annotation]:
    """The annotations of one signal in one record; where it is `stamped` the first is the time stamp, with text ""."""
    annotations: list[Annotation] = []
    position = 0
    while position < len(content) and content[position]:
        end = content.find(b"\0", position)
        if end < 0:
            raise _MalformedError(f"the list {content[position:][:40]!r} does not end with a zero byte", position)
        timing, *texts = content[position:end].split(b"\x14")
        onset, *duration = timing.split(b"\x15")
        if not texts or texts.pop() or not texts:
            raise _MalformedError(f"the list {content[position:end][:40]!r} does not end with bytes 20 and 0", position)
        if not ONSET.fullmatch(onset):
            raise _MalformedError(f"the onset is {onset[:40]!r}, expected a sign and a number", position)
        if len(duration) > 1 or (duration and not DURATION.fullmatch(duration[0])):
            raise _MalformedError(f"the duration is {duration[0][:40]!r}, expected one number without sign", position)
        if stamped and not annotations and (duration or texts[0]):
            raise _MalformedError(f"there is {timing[:40]!r} {texts[0][:40]!r}, expected a time stamp", position)
        for text in texts:
            annotations.append(_annotation(onset, duration, text, position))
        position = end + 1
    if any(content[position:]):
        raise _MalformedError("unused bytes are not zero", len(content) - len(content[position:].lstrip(b"\0")))
    if stamped and not annotations:
        raise _MalformedError("there is nothing, expected a time stamp", 0)
    return annotations


def _annotation(onset: bytes, duration: list[bytes], text: bytes, position: int) -> Annotation:
    """An annotation from its fields, whose times are numbers."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError as error:
        raise _MalformedError(f"the text {text[:40]!r} is not UTF-8", position) from error
    if CONTROL.search(decoded):
        raise _MalformedError(f"the text {text[:40]!r} has control characters", position)
    annotation = Annotation(float(onset), float(duration[0]) if duration else None, decoded)
    if not (isfinite(annotation.onset) and isfinite(annotation.duration or 0)):
        raise _MalformedError(f"the text {text[:40]!r} is at no finite time", position)
    return annotation


def _check_time_stamps(path: str | Path, header: EdfHeader, starts: list[float]) -> None:
    """The first record begins within a second of the header's start, each other one where the one before ends."""
    if not starts:
        return
    if not 0 <= starts[0] < 1:
        raise BenchmarkError(
            f"{path}: its first data record begins {starts[0]:g} s after the start in the header, expected less than "
            "1 s; the file is damaged: move it away and fetch it again"
        )
    if header.record_seconds == 0:
        return
    record_seconds = _exactly(header.record_seconds)
    for record, found in enumerate(starts):
        expected = starts[0] + float(record * record_seconds)
        if abs(found - expected) > STAMP_TOLERANCE:
            what = f"{'gap' if found > expected else 'overlap'} of {abs(found - expected):g} s"
            mark = "(EDF+D)" if header.reserved == "EDF+D" else f"though marked {header.reserved or 'plain EDF'}"
            raise BenchmarkError(
                f"{path}: is discontinuous {mark}: {what} between data record {record}, which ends at {expected:g} s, "
                f"and the next, which begins at {found:g} s; a continuous EDF is expected: cut the file at the gap"
            )


def _exactly(seconds: float) -> Fraction:
    """The decimal number in the header, so that 300 records of 0.1 s are 30 s."""
    return Fraction(repr(seconds))


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
    if signal.dimension not in MICROVOLTS:
        raise BenchmarkError(
            f"{path}, channel {channel!r}: its unit is {signal.dimension!r}, expected one of {', '.join(MICROVOLTS)}; "
            "choose another channel or mend the header"
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
        if plain(label) == plain(channel):
            return f" (it has {label!r}: case and blanks count)"
    near = most_alike(channel, labels, least=0.4)
    return f" (did you mean {near!r}?)" if near else ""


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

"""Strict reading of an EDF+ file's annotation lists.

A list holds the time stamp of a data record and the annotations in it.
"""

import re
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from sleepbench.core.errors import BenchmarkError
from sleepbench.signals.edf.header import ANNOTATIONS, BYTES_PER_SAMPLE, EdfHeader

ONSET = re.compile(rb"[+-][0-9]+(\.[0-9]+)?")
DURATION = re.compile(rb"[0-9]+(\.[0-9]+)?")
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""Characters that an annotation's text may not have; tab and line ends it may (EDF+ section 2.2.2)."""


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


def read_annotation_lists(path: str | Path, header: EdfHeader, most: int | None = None) -> list[AnnotationList]:
    """Read each data record's time stamp and annotations; [] for a file without a signal of annotations.

    `most` is the number of records that are read, None for all.

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
    lists, record_bytes = [], header.record_bytes
    with path.open("rb") as file:
        for record in range(header.n_records if most is None else min(most, header.n_records)):
            annotations: list[Annotation] = []
            for start, end in places:
                position = header.header_bytes + record * record_bytes + start
                file.seek(position)
                try:
                    annotations += _parse_annotations(file.read(end - start), stamped=start == places[0][0])
                except _MalformedError as error:
                    raise BenchmarkError(
                        f"{path}: its annotations cannot be read: in data record {record + 1} of {header.n_records}, "
                        f"at byte {position + error.offset} of the file, {error}; {error.remedy}"
                    ) from error
            lists.append(AnnotationList(annotations[0].onset, tuple(annotations[1:])))
    return lists


DAMAGED = "the file is damaged: move it away and fetch it again"
OTHER_CHARACTERS = (
    "EDF+ asks for UTF-8, the program that wrote the file took other characters (in Latin-1 it says {!r}), and fetched "
    "again it is the same: let that program write UTF-8, or put an ASCII character in the place of each byte above 127 "
    "(EDFbrowser edits annotations)"
)


class _MalformedError(Exception):
    """Bytes that are not an annotation list.

    `offset` is their position, counted from the beginning of the signal's part of the data record; `remedy` says what
    to do.
    """

    def __init__(self, message: str, offset: int, remedy: str = DAMAGED) -> None:
        super().__init__(message)
        self.offset, self.remedy = offset, remedy


def _parse_annotations(content: bytes, stamped: bool) -> list[Annotation]:
    """The annotations of one signal in one data record.

    Where the signal is `stamped`, the first annotation is the time stamp, with an empty text.
    """
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
        remedy = OTHER_CHARACTERS.format(text[:40].decode("latin-1"))
        raise _MalformedError(f"the text {text[:40]!r} is not UTF-8", position, remedy) from error
    if CONTROL.search(decoded):
        raise _MalformedError(f"the text {text[:40]!r} has control characters", position)
    annotation = Annotation(float(onset), float(duration[0]) if duration else None, decoded)
    if not (isfinite(annotation.onset) and isfinite(annotation.duration or 0)):
        raise _MalformedError(f"the text {text[:40]!r} is at no finite time", position)
    return annotation

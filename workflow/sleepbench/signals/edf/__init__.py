"""Strict reading of EDF and EDF+ files.

Header, annotation lists and samples are read from the bytes themselves; samples come out as MNE gives them, to the bit.

The usual readers forgive too much (docs/hostile-edf.md): a truncated file or one whose record count is -1 loads with a
warning, a discontinuous file loads as if it had no gaps, bytes that are no annotations are passed over. So a file is
first checked against its own header and time stamps, and only then are samples read.
"""

from sleepbench.signals.edf.annotations import Annotation, AnnotationList, read_annotation_lists
from sleepbench.signals.edf.checks import MICROVOLTS, check_complete, check_has_signals, find_channel, remarks
from sleepbench.signals.edf.header import ANNOTATIONS, EdfHeader, EdfSignal, read_header
from sleepbench.signals.edf.samples import StoredSamples, open_channels, read_channels

__all__ = [
    "ANNOTATIONS",
    "MICROVOLTS",
    "Annotation",
    "AnnotationList",
    "EdfHeader",
    "EdfSignal",
    "StoredSamples",
    "check_complete",
    "check_has_signals",
    "find_channel",
    "open_channels",
    "read_annotation_lists",
    "read_channels",
    "read_header",
    "remarks",
]

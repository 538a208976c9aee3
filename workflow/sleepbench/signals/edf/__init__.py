"""Strict reading of EDF and EDF+ files.

Header and annotation lists are parsed from the bytes themselves; samples are read by MNE.

The usual readers forgive too much (docs/hostile-edf.md): a truncated file or one whose record count is -1 loads with a
warning, a discontinuous file loads as if it had no gaps, bytes that are no annotations are passed over. So a file is
first checked against its own header and time stamps, and only then does MNE read samples; what MNE stops at is refused.
"""

from sleepbench.signals.edf.annotations import Annotation, AnnotationList, read_annotation_lists
from sleepbench.signals.edf.checks import MICROVOLTS, check_complete, check_has_signals, find_channel, remarks
from sleepbench.signals.edf.header import ANNOTATIONS, EdfHeader, EdfSignal, read_header
from sleepbench.signals.edf.samples import read_channels

__all__ = [
    "ANNOTATIONS",
    "MICROVOLTS",
    "Annotation",
    "AnnotationList",
    "EdfHeader",
    "EdfSignal",
    "check_complete",
    "check_has_signals",
    "find_channel",
    "read_annotation_lists",
    "read_channels",
    "read_header",
    "remarks",
]

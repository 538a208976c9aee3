"""Scored stages from EDF+ annotations on the 30-s grid; what the texts mean is the database's to say."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import EPOCH_SECONDS
from sleepbench.signals.edf import ANNOTATIONS, check_complete, read_annotation_lists, read_header

LONGEST_SECONDS = 31 * 24 * 3600
"""Scoring of more than a month is damage, and would have an array made of any size."""

ScoredAnnotation = tuple[float, float, str]
"""Onset and duration in seconds, text."""


def read_scoring(path: str | Path, stages: Mapping[str, int]) -> np.ndarray:
    """The stage of each 30-s epoch of an EDF+ hypnogram, from the start of the file.

    Returns int8 (n_epochs,); `stages` maps the annotations' texts to codes. BenchmarkError as `read_annotations`.
    """
    annotations = read_annotations(path, stages)
    return np.repeat(
        np.array([stages[text] for _, _, text in annotations], dtype=np.int8),
        [round(duration / EPOCH_SECONDS) for _, duration, _ in annotations],
    )


def read_annotations(path: str | Path, stages: Mapping[str, int]) -> list[ScoredAnnotation]:
    """A hypnogram's annotations in order of time, as (onset, duration, text).

    Onset, counted from the beginning of the file, and duration are in seconds. BenchmarkError when the file is not a
    continuous EDF+ with annotations, a text is not among `stages`, or the annotations do not cover the time from 0 to
    the end of the last one on the 30-s grid, each second once.
    """
    path = Path(path)
    header = read_header(path)
    if header.reserved == "" or all(signal.label != ANNOTATIONS for signal in header.signals):
        raise BenchmarkError(
            f"{path}: is not a hypnogram: an EDF+ file with a signal called 'EDF Annotations' is expected, found "
            f"{header.reserved or 'plain EDF'} with {', '.join(repr(signal.label) for signal in header.signals)}"
        )
    check_complete(path, header)
    lists = read_annotation_lists(path, header)
    # Onsets count from the start in the header; a first time stamp of +0.5 says that all began half a second later.
    annotations = [
        (round(onset - lists[0].start, 6), duration, text)
        for record in lists
        for onset, duration, text in record.annotations
    ]
    annotations.sort(key=lambda annotation: annotation[0])
    if not annotations:
        raise BenchmarkError(f"{path}: has no annotations, expected sleep stages")
    for annotation in annotations:
        _check_annotation(path, annotation, stages)
    _check_contiguous(path, annotations)
    if (end := sum(annotations[-1][:2])) > LONGEST_SECONDS:
        raise BenchmarkError(
            f"{path}: its annotations cover {end:g} s, expected at most {LONGEST_SECONDS}; the file is damaged: move "
            "it away and fetch it again"
        )
    return annotations


def _check_annotation(path: Path, annotation: tuple[float, float | None, str], stages: Mapping[str, int]) -> None:
    """A known text, on the 30-s grid."""
    onset, duration, text = annotation
    where = f"{path}: annotation {text!r} at {onset:g} s"
    if text not in stages:
        raise BenchmarkError(f"{where} is not a known stage; the known ones are {', '.join(map(repr, stages))}")
    if duration is None or duration <= 0:
        raise BenchmarkError(f"{where} has duration {duration}, expected a positive multiple of {EPOCH_SECONDS} s")
    if onset % EPOCH_SECONDS or duration % EPOCH_SECONDS:
        raise BenchmarkError(
            f"{where} lasting {duration:g} s is not on the {EPOCH_SECONDS}-s grid from the file's start, "
            "so its epochs would be cut; correct the hypnogram"
        )


def _check_contiguous(path: Path, annotations: list[ScoredAnnotation]) -> None:
    """From 0 on, each annotation begins where the one before ends."""
    for (onset, duration, text), (following, _, next_text) in pairwise([(0.0, 0.0, "start of the file"), *annotations]):
        if following != onset + duration:
            what = "gap" if following > onset + duration else "overlap"
            raise BenchmarkError(
                f"{path}: {what} between {text!r}, which ends at {onset + duration:g} s, and {next_text!r} at "
                f"{following:g} s; every epoch needs exactly one stage: correct the hypnogram"
            )

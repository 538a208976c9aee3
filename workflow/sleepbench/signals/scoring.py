"""Scored stages from EDF+ annotations on the 30-s grid; what the texts mean is the database's to say."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import EPOCH_SECONDS, UNKNOWN
from sleepbench.signals.edf import ANNOTATIONS, check_complete, read_annotation_lists, read_header

LONGEST_SECONDS = 31 * 24 * 3600
"""Scoring of more than a month is damage, and would have an array made of any size."""

ScoredAnnotation = tuple[float, float, str]
"""Onset and duration in seconds, text."""
OTHER_EPOCHS = (10, 15, 20)
"""Seconds of the epochs that people score in besides 30."""


def read_scoring(
    path: str | Path, stages: Mapping[str, int], ignored: Sequence[str] = (), may_have_gaps: bool = False
) -> np.ndarray:
    """The stage of each 30-s epoch of an EDF+ hypnogram, from the start of the file.

    Returns int8 (n_epochs,); `stages` maps the annotations' texts to codes. An epoch that no annotation covers is
    unknown. BenchmarkError as `read_annotations`.
    """
    annotations = read_annotations(path, stages, ignored, may_have_gaps)
    scored = np.full(round(sum(annotations[-1][:2]) / EPOCH_SECONDS), UNKNOWN, dtype=np.int8)
    for onset, duration, text in annotations:
        first, n = round(onset / EPOCH_SECONDS), round(duration / EPOCH_SECONDS)
        scored[first : first + n] = stages[text]
    return scored


def read_annotations(
    path: str | Path, stages: Mapping[str, int], ignored: Sequence[str] = (), may_have_gaps: bool = False
) -> list[ScoredAnnotation]:
    """A hypnogram's annotations of stages in order of time, as (onset, duration, text).

    Onset, counted from the beginning of the file, and duration are in seconds. Texts that begin with one of `ignored`
    say no stage, and are left out; `scoring_remarks` counts them. BenchmarkError when the file is not a continuous
    EDF+ with annotations, a text is not among `stages`, or the annotations do not cover the time from 0 to the end of
    the last one on the 30-s grid, each second once. Where the scoring `may_have_gaps`, or begin late, they need not
    cover all of it.
    """
    path = Path(path)
    annotations = [one for one in _all_annotations(path) if not one[2].startswith(tuple(ignored))]
    if not annotations:
        raise BenchmarkError(f"{path}: has no annotations, expected sleep stages")
    for annotation in annotations:
        _check_annotation(path, annotation, annotations, stages)
    _check_contiguous(path, annotations, may_have_gaps)
    if (end := sum(annotations[-1][:2])) > LONGEST_SECONDS:
        raise BenchmarkError(
            f"{path}: its annotations cover {end:g} s, expected at most {LONGEST_SECONDS}; the file is damaged: move "
            "it away and fetch it again"
        )
    return annotations


def scoring_remarks(path: str | Path, stages: Mapping[str, int], ignored: Sequence[str] = ()) -> list[str]:
    """A sentence for each kind of annotation that says no stage, and for what no annotation covers."""
    name, others = Path(path).name, [text for _, _, text in _all_annotations(Path(path)) if text not in stages]
    said = [
        f"'{text}' in {name} says no stage and is ignored ({n} annotation{'s' if n > 1 else ''})"
        for text, n in sorted(Counter(others).items())
    ]
    annotations = read_annotations(path, stages, ignored, may_have_gaps=True)
    if late := annotations[0][0]:
        said.append(f"the scoring begins {late:g} s into the night; the epochs before count as unknown")
    gaps = [after[0] - sum(before[:2]) for before, after in pairwise(annotations)]
    if n := sum(gap > 0 for gap in gaps):
        said.append(f"the scoring has {n} gap{'s' if n > 1 else ''} of {sum(gaps):g} s in all, which count as unknown")
    return said


def _all_annotations(path: Path) -> list[tuple[float, float | None, str]]:
    """All annotations of a hypnogram in order of time, whatever they say."""
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
    return sorted(annotations, key=lambda annotation: annotation[0])


def _check_annotation(
    path: Path,
    annotation: tuple[float, float | None, str],
    annotations: Sequence[tuple[float, float | None, str]],
    stages: Mapping[str, int],
) -> None:
    """A known text, on the 30-s grid."""
    onset, duration, text = annotation
    where = f"{path}: annotation {text!r} at {onset:g} s"
    if text not in stages:
        raise BenchmarkError(f"{where} is not a known stage; the known ones are {', '.join(map(repr, stages))}")
    if duration is None or duration <= 0:
        raise BenchmarkError(f"{where} has duration {duration}, expected a positive multiple of {EPOCH_SECONDS} s")
    if onset % EPOCH_SECONDS or duration % EPOCH_SECONDS:
        if epoch := _epoch_seconds([one for _, one, _ in annotations]):
            raise BenchmarkError(
                f"{path}: is scored in epochs of {epoch} s, expected {EPOCH_SECONDS} s. They are not joined: "
                f"nobody has said which stage {EPOCH_SECONDS} s of two stages have. Have it scored in epochs of "
                f"{EPOCH_SECONDS} s, or make such a file by a rule of your own, and say which"
            )
        raise BenchmarkError(
            f"{where} lasting {duration:g} s is not on the {EPOCH_SECONDS}-s grid from the file's start, "
            "so its epochs would be cut; correct the hypnogram"
        )


def _epoch_seconds(durations: Sequence[float | None]) -> int | None:
    """The length of the epochs that all annotations consist of, where it is another one that people use."""
    if all(one and one % EPOCH_SECONDS == 0 for one in durations):
        return None
    fits = (e for e in OTHER_EPOCHS if e in durations and all(one and one % e == 0 for one in durations))
    return max(fits, default=None)


def _check_contiguous(path: Path, annotations: list[ScoredAnnotation], may_have_gaps: bool) -> None:
    """From 0 on, each annotation begins where the one before ends; or after it, where there may be gaps."""
    for (onset, duration, text), (following, _, next_text) in pairwise([(0.0, 0.0, "start of the file"), *annotations]):
        end = onset + duration
        if following < end or (following > end and not may_have_gaps):
            what = "gap" if following > end else "overlap"
            raise BenchmarkError(
                f"{path}: {what} between {text!r}, which ends at {end:g} s, and {next_text!r} at "
                f"{following:g} s; every epoch needs exactly one stage: correct the hypnogram"
            )

"""Hypnograms: from EDF+ annotations to one stage per 30-s epoch, and which epochs of a night are kept."""

from itertools import pairwise
from pathlib import Path

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import EPOCH_SECONDS, MOVEMENT, N1, N2, N3, REM, UNKNOWN, W
from sleepbench.signals.edf import ANNOTATIONS, check_complete, read_annotation_lists, read_header

DESCRIPTIONS = {
    "Sleep stage W": W,
    "Sleep stage 1": N1,
    "Sleep stage 2": N2,
    "Sleep stage 3": N3,
    "Sleep stage 4": N3,  # Rechtschaffen and Kales stage 4; the AASM manual joins it with 3
    "Sleep stage R": REM,
    "Movement time": MOVEMENT,
    "Sleep stage ?": UNKNOWN,
}
"""Sleep-EDF's annotation texts and their stages."""

WINDOWS = ("standard", "released")
WAKE_MARGIN = 60
"""Epochs of wake kept on either side: 30 minutes."""

LONGEST_SECONDS = 31 * 24 * 3600
"""Scoring of more than a month is damage, and would have an array made of any size."""

Annotation = tuple[float, float, str]
"""Onset and duration in seconds, text."""


def read_annotations(path: str | Path) -> list[Annotation]:
    """Read a hypnogram's annotations, in order: (onset in seconds from the file's start, duration in seconds, text).

    BenchmarkError when the file is not a continuous EDF+ with annotations, a text is unknown, or the annotations do not
    cover the time from 0 to the end of the last one on the 30-s grid, each second once.
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
        _check_annotation(path, annotation)
    _check_contiguous(path, annotations)
    if (end := sum(annotations[-1][:2])) > LONGEST_SECONDS:
        raise BenchmarkError(
            f"{path}: its annotations cover {end:g} s, expected at most {LONGEST_SECONDS}; the file is damaged: move "
            "it away and fetch it again"
        )
    return annotations


def load_stages(path: str | Path, n_epochs: int | None = None) -> np.ndarray:
    """Stage of each 30-s epoch from the start of the file: int8 (n_epochs,), 0 to 6 (stages, movement, unknown).

    `n_epochs` is the signal's length. The hypnograms of Sleep-EDF cover 24 h, longer than the signal, and are cut to
    it; a signal that outlasts its hypnogram is unscored there, hence unknown.
    """
    annotations = read_annotations(path)
    scored = np.repeat(
        np.array([DESCRIPTIONS[text] for _, _, text in annotations], dtype=np.int8),
        [round(duration / EPOCH_SECONDS) for _, duration, _ in annotations],
    )
    if n_epochs is None:
        return scored
    stages = np.full(n_epochs, UNKNOWN, dtype=np.int8)
    covered = min(n_epochs, len(scored))
    stages[:covered] = scored[:covered]
    return stages


def select_window(stages: np.ndarray, rule: str) -> np.ndarray:
    """Indices of the epochs of a night that are kept, ascending, int64.

    `stages` (n_epochs,) covers the signal, codes 0 to 6. Both rules keep 60 epochs of wake either side of sleep and no
    movement or unknown epoch; they differ in what comes first:
    - "standard" (DeepSleepNet and its successors): remove movement and unknown, then count 60 epochs from the first
      and the last epoch of sleep in what remains;
    - "released" (the released ULW-SleepNet program): count 60 epochs from the first and the last epoch that is not W,
      where movement and unknown are not W, then remove them. Where the signal outlasts the scoring this keeps long
      stretches of wake.
    BenchmarkError for another rule, and for a night without sleep.
    """
    if rule not in WINDOWS:
        raise BenchmarkError(f"the window is {rule!r}, expected one of {', '.join(map(repr, WINDOWS))}")
    is_stage = stages <= REM
    if not (is_stage & (stages != W)).any():
        raise BenchmarkError("no epoch is scored as sleep (N1, N2, N3 or REM), so there is no window to keep")
    if rule == "standard":
        kept = np.flatnonzero(is_stage)
        return kept[_around(stages[kept] != W)]
    window = np.arange(len(stages))[_around(stages != W)]
    return window[is_stage[window]]


def _around(wanted: np.ndarray) -> slice:
    """From 60 before the first to 60 after the last true element."""
    indices = np.flatnonzero(wanted)
    return slice(max(indices[0] - WAKE_MARGIN, 0), indices[-1] + WAKE_MARGIN + 1)


def _check_annotation(path: Path, annotation: tuple[float, float | None, str]) -> None:
    """A known text, on the 30-s grid."""
    onset, duration, text = annotation
    where = f"{path}: annotation {text!r} at {onset:g} s"
    if text not in DESCRIPTIONS:
        raise BenchmarkError(f"{where} is not a known stage; the known ones are {', '.join(map(repr, DESCRIPTIONS))}")
    if duration is None or duration <= 0:
        raise BenchmarkError(f"{where} has duration {duration}, expected a positive multiple of {EPOCH_SECONDS} s")
    if onset % EPOCH_SECONDS or duration % EPOCH_SECONDS:
        raise BenchmarkError(
            f"{where} lasting {duration:g} s is not on the {EPOCH_SECONDS}-s grid from the file's start, "
            "so its epochs would be cut; mend the hypnogram"
        )


def _check_contiguous(path: Path, annotations: list[Annotation]) -> None:
    """From 0 on, each annotation begins where the one before ends."""
    for (onset, duration, text), (following, _, next_text) in pairwise([(0.0, 0.0, "start of the file"), *annotations]):
        if following != onset + duration:
            what = "gap" if following > onset + duration else "overlap"
            raise BenchmarkError(
                f"{path}: {what} between {text!r}, which ends at {onset + duration:g} s, and {next_text!r} at "
                f"{following:g} s; every epoch needs exactly one stage: mend the hypnogram"
            )

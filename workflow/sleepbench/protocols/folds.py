"""Folds: which recordings are used for training, validation and test.

Folds are made once per (dataset, protocol) and kept as a JSON file. A fold file says who each recording is of, so that
nobody who reads one needs anything else to tell people apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document, sha256_of_json

if TYPE_CHECKING:
    from sleepbench.datasets.base import Recording

VALIDATION_SHARE = 0.1
FOLD_FILE_KEYS = ("dataset", "name", "folds", "folds_sha256", "data_sha256")
"""What every reader of a fold file needs."""


@dataclass(frozen=True)
class FoldSettings:
    """What folds depend on besides the recordings.

    unit : a fold tests a "recording_block" of consecutive recordings, or a "subject" or several
    remainder : what a floor division by the number of folds leaves is "dropped", or "kept"
    """

    unit: str
    remainder: str
    validation_subjects: bool
    seed: int
    n_folds: int

    @property
    def name(self) -> str:
        """A name for paths; protocols that share it share folds and trainings."""
        validation = f"validation{self.seed}" if self.validation_subjects else "no_validation"
        return f"{self.unit}-{self.n_folds}-{self.remainder}-{validation}"


@dataclass(frozen=True)
class Fold:
    """Ids of the recordings that train, validate (none: empty) and test, each in ascending order."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def make_folds(recordings: Iterable[Recording], settings: FoldSettings) -> list[Fold]:
    """Divide recordings into folds.

    Recording blocks are consecutive recordings in ascending order of id; a subject fold holds the subjects whose index,
    in ascending order, is the fold's number modulo the number of folds. Raises BenchmarkError when there are fewer
    units than folds, or no training subject is left.
    """
    recordings = sorted(recordings)
    tests = (_recording_blocks if settings.unit == "recording_block" else _subject_folds)(recordings, settings)
    used = sorted(recording for test in tests for recording in test)
    folds = []
    for number, test in enumerate(tests):
        tested = {recording.id for recording in test}
        rest = [recording for recording in used if recording.id not in tested]
        held_out = _validation_subjects(rest, settings, number) if settings.validation_subjects else frozenset()
        folds.append(
            Fold(
                train=tuple(recording.id for recording in rest if recording.subject not in held_out),
                validation=tuple(recording.id for recording in rest if recording.subject in held_out),
                test=tuple(recording.id for recording in test),
            )
        )
    return folds


def _recording_blocks(recordings: list[Recording], settings: FoldSettings) -> list[list[Recording]]:
    n, n_folds = len(recordings), settings.n_folds
    _require_enough(n, "recordings", settings)
    # dropped: blocks of floor(n / n_folds); kept: the first n % n_folds blocks take one more
    sizes = [n // n_folds + (settings.remainder == "kept" and number < n % n_folds) for number in range(n_folds)]
    starts = [sum(sizes[:number]) for number in range(n_folds)]
    return [recordings[start : start + size] for start, size in zip(starts, sizes, strict=True)]


def _subject_folds(recordings: list[Recording], settings: FoldSettings) -> list[list[Recording]]:
    subjects, n_folds = sorted({recording.subject for recording in recordings}), settings.n_folds
    _require_enough(len(subjects), "subjects", settings)
    if settings.remainder == "dropped":
        subjects = subjects[: len(subjects) // n_folds * n_folds]
    tested_in = {subject: index % n_folds for index, subject in enumerate(subjects)}
    return [[one for one in recordings if tested_in.get(one.subject) == number] for number in range(n_folds)]


def _require_enough(n: int, units: str, settings: FoldSettings) -> None:
    if n < settings.n_folds:
        raise BenchmarkError(
            f"{n} {units} cannot be divided into {settings.n_folds} folds: lower the protocol's number of folds"
        )


def _validation_subjects(rest: Sequence[Recording], settings: FoldSettings, number: int) -> frozenset[str]:
    """About a tenth of the subjects outside the test fold, at least one: those whose hash comes first.

    Ordering by SHA-256 of "seed/fold/subject" is a draw that any language repeats, whatever its random generator.
    """
    subjects = sorted({recording.subject for recording in rest})
    if len(subjects) < 2:
        raise BenchmarkError(
            f"fold {number}: {len(subjects)} subject(s) outside the test fold, at least 2 are needed to hold one out "
            "for validation: lower the number of folds or add subjects"
        )
    n_validation = max(1, round(VALIDATION_SHARE * len(subjects)))

    def draw(subject: str) -> str:
        return hashlib.sha256(f"{settings.seed}/{number}/{subject}".encode()).hexdigest()

    return frozenset(sorted(subjects, key=draw)[:n_validation])


def folds_document(
    dataset: str, recordings: Iterable[Recording], settings: FoldSettings, excluded: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The content of a fold file: settings, folds, dropped recordings, subjects and two hashes.

    `excluded` are the recordings that were left out before, each with the reason. `folds_sha256` covers the assignment
    alone, so that it is the same for anybody who makes these folds; `data_sha256` covers the checksums of the files
    that the recordings stand for. BenchmarkError where one is not known: the recordings are those of a table with
    checksums, or have them from receipts (`datasets.with_checksums`). Where no file's is known, before anything was
    fetched, it is None.
    """
    recordings = sorted(recordings)
    unknown = [one.id for one in recordings if any(file.sha256 is None for file in one.files)]
    known = len(unknown) < len(recordings)
    if unknown and known:
        raise BenchmarkError(f"{dataset}: the checksums of {', '.join(unknown)} are not known; fetch them first")
    files = [[one.id, *(file.sha256 for file in one.files)] for one in recordings]
    folds = make_folds(recordings, settings)
    assignment = [{part: list(ids) for part, ids in asdict(fold).items()} for fold in folds]
    tested = {id for fold in folds for id in fold.test}
    return {
        "dataset": dataset,
        "name": settings.name,
        **asdict(settings),
        "folds_sha256": sha256_of_json(assignment),
        "data_sha256": sha256_of_json(files) if known else None,
        "excluded": dict(sorted((excluded or {}).items())),
        "dropped": [recording.id for recording in recordings if recording.id not in tested],
        "subjects": {recording.id: recording.subject for recording in recordings},
        "nights": {recording.id: recording.night for recording in recordings},
        "folds": assignment,
    }


def read_folds(path: str | Path) -> dict[str, Any]:
    """The content of a fold file; BenchmarkError when it is missing, or is not as it was written."""
    document = read_document(path, "delete it and run again: the folds are made again, the same ones")
    if missing := [key for key in FOLD_FILE_KEYS if key not in document]:
        raise BenchmarkError(f"{path}: lacks {', '.join(missing)}; delete it and run again")
    return document


def folds_of(document: Mapping[str, Any]) -> list[Fold]:
    """The folds of a fold file's content; BenchmarkError when they do not match the hash they carry."""
    if sha256_of_json(document["folds"]) != document["folds_sha256"]:
        raise BenchmarkError(
            f"the folds '{document['name']}' of {document['dataset']} do not match their own hash: the file was "
            "edited; delete it and run again"
        )
    return [Fold(tuple(f["train"]), tuple(f["validation"]), tuple(f["test"])) for f in document["folds"]]

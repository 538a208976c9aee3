"""Folds: which recordings train, validate and test. Made once per (dataset, protocol), kept as a JSON file.

The choices are those of the config's protocols: the unit of a fold (a block of consecutive recordings or a subject),
whether the remainder of a floor division is dropped, the number of folds, and whether validation subjects are held out.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_json
from sleepbench.datasets.recordings import Recording

VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class FoldSettings:
    """What folds depend on besides the recordings.

    `unit` is "recording_block" or "subject", `recordings` "floor" or "all", `k` the number of folds.
    """

    unit: str
    recordings: str
    validation_subjects: bool
    seed: int
    k: int

    @classmethod
    def of_protocol(cls, protocol: dict, dataset: str) -> "FoldSettings":
        """The fold settings of a protocol of the config on a dataset."""
        return cls(
            protocol["unit"],
            protocol["recordings"],
            protocol["validation_subjects"],
            protocol["seed"],
            protocol["folds"][dataset],
        )

    @property
    def name(self) -> str:
        """A name for paths; protocols that share it share folds and trainings."""
        validation = f"validation{self.seed}" if self.validation_subjects else "no_validation"
        return f"{self.unit}-{self.k}-{self.recordings}-{validation}"


@dataclass(frozen=True)
class Fold:
    """Ids of the recordings that train, validate (none: empty) and test, each in ascending order."""

    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def make_folds(recordings: Sequence[Recording], settings: FoldSettings) -> list[Fold]:
    """Divide recordings into folds.

    Recording blocks are consecutive recordings in ascending order of id; a subject fold holds the subjects whose index,
    in ascending order, is the fold's number modulo k. Raises BenchmarkError when there are fewer units than folds, or
    no training subject is left.
    """
    recordings = sorted(recordings)
    tests = (
        _recording_blocks(recordings, settings)
        if settings.unit == "recording_block"
        else _subject_folds(recordings, settings)
    )
    used = sorted(recording for test in tests for recording in test)
    folds = []
    for number, test in enumerate(tests):
        rest = [recording for recording in used if recording not in test]
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
    n, k = len(recordings), settings.k
    if n < k:
        raise BenchmarkError(f"{n} recordings cannot be divided into {k} folds: lower the protocol's number of folds")
    # floor: k blocks of floor(n / k); all: the first n % k blocks take one more
    sizes = [n // k + (settings.recordings == "all" and number < n % k) for number in range(k)]
    starts = [sum(sizes[:number]) for number in range(k)]
    return [recordings[start : start + size] for start, size in zip(starts, sizes, strict=True)]


def _subject_folds(recordings: list[Recording], settings: FoldSettings) -> list[list[Recording]]:
    subjects = sorted({recording.subject for recording in recordings})
    n, k = len(subjects), settings.k
    if n < k:
        raise BenchmarkError(f"{n} subjects cannot be divided into {k} folds: lower the protocol's number of folds")
    if settings.recordings == "floor":
        subjects = subjects[: n // k * k]
    fold_of = {subject: index % k for index, subject in enumerate(subjects)}
    return [[recording for recording in recordings if fold_of.get(recording.subject) == number] for number in range(k)]


def _validation_subjects(rest: list[Recording], settings: FoldSettings, number: int) -> frozenset[str]:
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


def folds_document(dataset: str, recordings: Sequence[Recording], settings: FoldSettings) -> dict:
    """The content of a fold file: settings, folds, dropped recordings, audit, and two hashes.

    `folds_sha256` covers the assignment alone, so that it is the same for anybody who makes these folds;
    `data_sha256` covers the checksums of the EDF files that the recordings stand for.
    """
    folds = make_folds(recordings, settings)
    assignment = [{"train": list(f.train), "validation": list(f.validation), "test": list(f.test)} for f in folds]
    tested = {id for fold in folds for id in fold.test}
    return {
        "dataset": dataset,
        "name": settings.name,
        "unit": settings.unit,
        "recordings": settings.recordings,
        "k": settings.k,
        "validation_subjects": settings.validation_subjects,
        "seed": settings.seed,
        "folds_sha256": sha256_of_json(assignment),
        "data_sha256": sha256_of_json([[r.id, r.psg_sha256, r.hypnogram_sha256] for r in sorted(recordings)]),
        "dropped": [recording.id for recording in sorted(recordings) if recording.id not in tested],
        "folds": assignment,
    }


def folds_of(document: dict) -> list[Fold]:
    """The folds of a fold file's content; BenchmarkError when they do not match the hash they carry."""
    if sha256_of_json(document["folds"]) != document["folds_sha256"]:
        raise BenchmarkError(
            f"the folds '{document['name']}' of {document['dataset']} do not match their own hash: the file was "
            "edited; delete it and run again"
        )
    return [Fold(tuple(f["train"]), tuple(f["validation"]), tuple(f["test"])) for f in document["folds"]]

"""What a protocol's folds do to the data: dropped recordings, subjects in both training and test."""

from collections.abc import Sequence
from pathlib import Path

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_json
from sleepbench.datasets.recordings import Recording
from sleepbench.protocols.folds import Fold, FoldSettings, folds_document, folds_of


def audit_folds(recordings: Sequence[Recording], folds: Sequence[Fold]) -> dict:
    """Count what each fold shares between training and test.

    Returns recordings used and dropped, the number of test recordings whose subject also trains (or validates) in the
    same fold, their share of all test recordings, and the subjects concerned, per fold.
    """
    subject_of = {recording.id: recording.subject for recording in recordings}
    shared = []
    for fold in folds:
        fitted = {subject_of[id] for id in fold.train + fold.validation}
        shared.append([id for id in fold.test if subject_of[id] in fitted])
    tested = [id for fold in folds for id in fold.test]
    n_shared = sum(map(len, shared))
    return {
        "recordings": len(recordings),
        "recordings_tested": len(set(tested)),
        "recordings_dropped": sorted(set(subject_of) - set(tested)),
        "test_recordings_whose_subject_trains": n_shared,
        "share_of_test_recordings_whose_subject_trains": n_shared / len(tested),
        "subjects_in_training_and_test": [sorted({subject_of[id] for id in ids}) for ids in shared],
        "validation_subjects": [sorted({subject_of[id] for id in fold.validation}) for fold in folds],
    }


def require_subject_disjoint(audit: dict, folds: str) -> None:
    """Raise BenchmarkError when folds that are promised to have disjoint subjects share one in training and test."""
    shared = [
        f"fold {number}: {', '.join(subjects)}"
        for number, subjects in enumerate(audit["subjects_in_training_and_test"])
        if subjects
    ]
    if shared:
        raise BenchmarkError(
            f"folds {folds}: a protocol that uses them promises disjoint subjects (subject_disjoint: true), but these "
            f"subjects are both in training and test: {'; '.join(shared)}. Use unit: subject, or give up the promise"
        )


def require_each_tested_once(recordings: Sequence[Recording], folds: Sequence[Fold], name: str) -> None:
    """Raise BenchmarkError when a recording is tested in no fold or in more than one."""
    tested = [id for fold in folds for id in fold.test]
    wrong = sorted(r.id for r in recordings if tested.count(r.id) != 1)
    if wrong:
        raise BenchmarkError(f"folds {name}: must test every recording exactly once; not so: {', '.join(wrong)}")


def audit_sentence(audit: dict, name: str) -> str:
    """One line for logs and reports, on the folds or the protocol `name`."""
    dropped = audit["recordings_dropped"]
    return (
        f"{name}: {audit['recordings_tested']} of {audit['recordings']} recordings tested"
        + (f" (dropped: {', '.join(dropped)})" if dropped else "")
        + f"; the subject of {audit['test_recordings_whose_subject_trains']} of {audit['recordings_tested']} test "
        f"recordings ({audit['share_of_test_recordings_whose_subject_trains']:.0%}) is also in training"
    )


def _require_same_folds(document: dict, published: Path) -> None:
    found, expected = document["folds_sha256"], read_json(published)["folds_sha256"]
    if found != expected:
        raise BenchmarkError(
            f"{published}: the folds '{document['name']}' of {document['dataset']} have the hash {found[:12]}, the "
            f"committed ones {expected[:12]}: others would not get the same folds. Undo the change of the table of "
            "recordings or of the code that makes folds, or commit new ones with `make folds`"
        )


def write_fold_file(
    dataset: str,
    recordings: Sequence[Recording],
    settings: FoldSettings,
    subject_disjoint: bool,
    output: Path,
    published: Path | None = None,
) -> None:
    """Make folds, audit them and keep both in a JSON file.

    `subject_disjoint`: a protocol promises this of its folds; a broken promise is a BenchmarkError, and no file.
    `published` is the committed file of the same folds, if there is one: another assignment is a BenchmarkError.
    """
    document = folds_document(dataset, recordings, settings)
    if published is not None and published.exists():
        _require_same_folds(document, published)
    folds = folds_of(document)
    audit = audit_folds(recordings, folds)
    print(audit_sentence(audit, settings.name))
    if subject_disjoint:
        require_subject_disjoint(audit, settings.name)
    if settings.recordings == "all":
        require_each_tested_once(recordings, folds, settings.name)
    write_json(output, {**document, "audit": audit})

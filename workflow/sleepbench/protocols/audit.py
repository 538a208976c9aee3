"""Audit of folds: dropped recordings, subjects in both training and test, sizes of the parts.

All of it is counted from a fold file alone, which says who its recordings are of.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document, write_document
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import Recording
from sleepbench.protocols.folds import Fold, FoldSettings, folds_document, folds_of

PARTS = ("train", "validation", "test")
Epochs = Mapping[str, Mapping[str, int]]
"""By recording, epochs in all ("epochs") and by stage."""


def audit_document(document: Mapping[str, Any], epochs: Epochs | None = None) -> dict[str, Any]:
    """The audit of a fold file's content, as a whole and by fold.

    With `epochs`, it also gives the size of every part in epochs.

    Returns
    -------
    unit; n_folds; folds (their name); folds_sha256; data_sha256; recordings_used, recordings_dropped and
    recordings_tested_more_than_once (ids); recordings_excluded (id: reason); subjects (who is tested); test_recordings;
    test_recordings_whose_subject_trains, and their share of all; subject_disjoint; subject_disjoint_promised;
    by_fold: fold, and for each of PARTS PART_recordings (a number) and PART_subjects (who), then
    test_recordings_whose_subject_trains (ids) and subjects_in_training_and_test.
    With `epochs` also epochs and epochs_by_stage of all recordings used, and of each part PART_epochs and
    PART_epochs_by_stage. Whoever validates counts as training. BenchmarkError when folds of subjects share one.
    """
    folds, subjects = folds_of(document), document["subjects"]
    by_fold = [_audit_fold(number, fold, subjects, epochs) for number, fold in enumerate(folds)]
    tests = [id for fold in folds for id in fold.test]
    shared = sum(len(fold["test_recordings_whose_subject_trains"]) for fold in by_fold)
    audit = {
        "unit": document["unit"],
        "n_folds": len(folds),
        "folds": document["name"],
        "folds_sha256": document["folds_sha256"],
        "data_sha256": document["data_sha256"],
        "recordings_used": sorted(set(tests)),
        "recordings_dropped": sorted(set(subjects) - set(tests)),
        "recordings_tested_more_than_once": sorted({id for id in tests if tests.count(id) > 1}),
        "recordings_excluded": document.get("excluded", {}),
        "subjects": _people(tests, subjects),
        "test_recordings": len(tests),
        "test_recordings_whose_subject_trains": shared,
        "share_of_test_recordings_whose_subject_trains": shared / len(tests),
        "subject_disjoint": shared == 0,
        "subject_disjoint_promised": document["unit"] == "subject",
        **(_sizes(tests, epochs) if epochs is not None else {}),
        "by_fold": by_fold,
    }
    _require_disjoint_subjects(audit)
    return audit


def _audit_fold(number: int, fold: Fold, subjects: Mapping[str, str], epochs: Epochs | None) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for part in PARTS:
        ids = getattr(fold, part)
        sizes = _sizes(ids, epochs) if epochs is not None else {}
        parts |= {f"{part}_recordings": len(ids), f"{part}_subjects": _people(ids, subjects)}
        parts |= {f"{part}_{name}": size for name, size in sizes.items()}
    fitted = {subjects[id] for id in fold.train + fold.validation}
    shared = [id for id in fold.test if subjects[id] in fitted]
    return {
        "fold": number,
        **parts,
        "test_recordings_whose_subject_trains": shared,
        "subjects_in_training_and_test": _people(shared, subjects),
    }


def _people(recordings: Iterable[str], subjects: Mapping[str, str]) -> list[str]:
    """Who recordings are of, in ascending order."""
    return sorted({subjects[id] for id in recordings})


def _sizes(recordings: Iterable[str], epochs: Epochs) -> dict[str, Any]:
    """Epochs of recordings, in all and by stage."""
    counts = {name: sum(epochs[id][name] for id in recordings) for name in ("epochs", *STAGES)}
    return {"epochs": counts.pop("epochs"), "epochs_by_stage": counts}


def _require_disjoint_subjects(audit: Mapping[str, Any]) -> None:
    """Raise BenchmarkError when folds of subjects have a subject in both training and test.

    Folds of subjects promise that nobody is in both.
    """
    shared = [
        f"fold {fold['fold']}: {', '.join(fold['subjects_in_training_and_test'])}"
        for fold in audit["by_fold"]
        if fold["subjects_in_training_and_test"]
    ]
    if shared and audit["subject_disjoint_promised"]:
        raise BenchmarkError(
            f"folds {audit['folds']}: are of subjects, which promises that nobody is in training and test, but these "
            f"are: {'; '.join(shared)}; delete the file and run again"
        )


def _require_each_tested_once(audit: Mapping[str, Any]) -> None:
    """BenchmarkError when a recording is tested in no fold or in more than one."""
    if wrong := sorted([*audit["recordings_dropped"], *audit["recordings_tested_more_than_once"]]):
        raise BenchmarkError(
            f"folds {audit['folds']}: must test every recording exactly once; not so: {', '.join(wrong)}"
        )


def summary(audit: Mapping[str, Any]) -> dict[str, Any]:
    """What a fold file keeps of its audit."""
    shared = "test_recordings_whose_subject_trains"
    return {
        "recordings": len(audit["recordings_used"]) + len(audit["recordings_dropped"]),
        "recordings_tested": len(audit["recordings_used"]),
        "recordings_dropped": audit["recordings_dropped"],
        "recordings_excluded": audit["recordings_excluded"],
        **{name: audit[name] for name in (shared, f"share_of_{shared}")},
        "subjects_in_training_and_test": [fold["subjects_in_training_and_test"] for fold in audit["by_fold"]],
        "validation_subjects": [fold["validation_subjects"] for fold in audit["by_fold"]],
    }


def audit_sentence(kept: Mapping[str, Any], name: str) -> str:
    """One line for logs and reports, on the folds or the protocol `name`, from the audit in a fold file."""
    dropped, excluded = kept["recordings_dropped"], kept["recordings_excluded"]
    return (
        f"{name}: {kept['recordings_tested']} of {kept['recordings']} recordings tested"
        + (f" (dropped: {', '.join(dropped)})" if dropped else "")
        + "".join(f"; {id} left out: {reason}" for id, reason in excluded.items())
        + f"; the subject of {kept['test_recordings_whose_subject_trains']} of {kept['recordings_tested']} test "
        f"recordings ({kept['share_of_test_recordings_whose_subject_trains']:.0%}) is also in training"
    )


def write_fold_file(
    dataset: str,
    recordings: Iterable[Recording],
    settings: FoldSettings,
    output: str | Path,
    committed: str | Path | None = None,
    excluded: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Make folds, audit them, keep both in a JSON file and return it.

    `committed` is the committed file of the same folds, if there is one; folds without recordings that were `excluded`,
    each for a reason, are others. BenchmarkError, and no file, for another assignment than the committed one, and for
    folds that do not keep their promises.
    """
    document = folds_document(dataset, recordings, settings, excluded)
    if committed is not None and Path(committed).exists():
        _require_same_folds(document, Path(committed))
    audit = audit_document(document)
    if settings.remainder == "kept":
        _require_each_tested_once(audit)
    document["audit"] = summary(audit)
    print(audit_sentence(document["audit"], settings.name))
    write_document(output, document)
    return document


def _require_same_folds(document: Mapping[str, Any], committed: Path) -> None:
    known = read_document(committed, f"get it again: git checkout -- {committed}")
    left_out = document["excluded"].keys()
    if left_out != known["excluded"].keys():
        ids = ", ".join(left_out) or "nothing"
        print(f"{document['name']}: not held against {committed}, because other recordings are left out: {ids}")
        return
    found, expected = document["folds_sha256"], known["folds_sha256"]
    if found != expected:
        raise BenchmarkError(
            f"{committed}: the folds '{document['name']}' of {document['dataset']} have the hash {found[:12]}, the "
            f"committed ones {expected[:12]}: others would not get the same folds. Undo the change of the table of "
            "recordings or of the code that makes folds, or commit new ones: python tools/folds.py"
        )

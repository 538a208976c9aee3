"""The audit of every protocol, before any training: what its folds do to the recordings, and where selection looks."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_json
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import DataLabel, Recording
from sleepbench.protocols.audit import audit_folds
from sleepbench.protocols.folds import folds_of

LOOKS_AT = {
    "best_test": "test fold",
    "best_validation": "validation subjects",
    "last": "nowhere: last epoch",
    "cycle_end": "nowhere: cycle end",
}
"""Which data choose the training epoch that is reported."""

PARTS = ("train", "validation", "test")
Protocol = Mapping[str, Any]
"""A protocol as the configuration resolves it; `folds` is the name of its fold file."""


def write_audit(
    protocols: Mapping[str, Protocol],
    folds: Iterable[str | Path],
    totals: Iterable[str | Path],
    label: DataLabel,
    output: str | Path,
) -> None:
    """Audit the protocols that are run on a dataset, in all and by fold.

    `protocols` are by name, in the order of the table's rows; `folds` and `totals` are the files of them all.
    BenchmarkError where a file is missing or of something else, or subjects are shared by folds of subjects.
    """
    documents = {document["name"]: document for document in map(read_json, folds)}
    counts = {(document["folds"], document["trimming"]): document for document in map(read_json, totals)}
    audits = []
    for name, protocol in protocols.items():
        names = (protocol["folds"], (protocol["folds"], protocol["trimming"]))
        for what, key, known in zip(("fold file", "file of totals"), names, (documents, counts), strict=True):
            if key not in known:
                raise BenchmarkError(f"no {what} was given of protocol {name} ({key}); name one for every protocol")
        audits.append(audit_protocol(name, protocol, documents[names[0]], counts[names[1]], label))
    write_json(output, {"dataset": label.dataset, "simulated": label.simulated, "protocols": audits})


def audit_protocol(name: str, protocol: Protocol, folds: dict, totals: dict, label: DataLabel) -> dict[str, Any]:
    """The audit of one protocol: settings, recordings, subjects, sizes by class, and the same by fold.

    It is counted from the assignment in the fold file, whatever audit that file carries.
    """
    divided, subjects = folds_of(folds), folds["subjects"]
    _check(name, protocol, folds, totals, label)
    recordings = [Recording(id, subjects[id], folds["nights"][id]) for id in subjects]
    audit = audit_folds(recordings, divided)
    shared = audit["subjects_in_training_and_test"]
    by_fold = []
    for number, fold in enumerate(divided):
        parts: dict[str, Any] = {}
        for part in PARTS:
            ids = getattr(fold, part)
            epochs = _epochs(ids, totals["found_by_recording"])
            parts |= {
                f"{part}_recordings": len(ids),
                f"{part}_subjects": sorted({subjects[id] for id in ids}),
                f"{part}_epochs": epochs.pop("epochs"),
                f"{part}_epochs_by_stage": epochs,
            }
        straddling = [id for id in fold.test if subjects[id] in shared[number]]
        parts |= {"test_recordings_whose_subject_trains": straddling, "subjects_in_training_and_test": shared[number]}
        by_fold.append({"fold": number, **parts})
    if protocol["unit"] == "subject" and any(shared):
        broken = "; ".join(f"fold {number}: {', '.join(who)}" for number, who in enumerate(shared) if who)
        raise BenchmarkError(
            f"protocol {name} promises disjoint subjects (unit: subject), but in its folds {folds['name']} these are "
            f"both in training and test: {broken}; delete the fold file and run again"
        )
    tests = [id for fold in divided for id in fold.test]
    return {
        "protocol": name,
        "unit": folds["unit"],
        "n_folds": len(divided),
        "folds": folds["name"],
        "folds_sha256": folds["folds_sha256"],
        "data_sha256": folds["data_sha256"],
        "trimming": protocol["trimming"],
        "selection": protocol["selection"],
        "selection_looks_at": LOOKS_AT[protocol["selection"]],
        "recordings_used": sorted(set(tests)),
        "recordings_dropped": list(folds["dropped"]),
        "recordings_tested_more_than_once": sorted({id for id in tests if tests.count(id) > 1}),
        "subjects": sorted({subjects[id] for id in tests}),
        "test_recordings": len(tests),
        "test_recordings_whose_subject_trains": audit["test_recordings_whose_subject_trains"],
        "share_of_test_recordings_whose_subject_trains": audit["share_of_test_recordings_whose_subject_trains"],
        "subject_disjoint": not any(shared),
        "subject_disjoint_promised": protocol["unit"] == "subject",
        "epochs": totals["found"]["epochs"],
        "epochs_by_stage": {stage: totals["found"][stage] for stage in STAGES},
        "epochs_as_known": totals["verdict"],
        "by_fold": by_fold,
    }


def _check(name: str, protocol: Protocol, folds: dict, totals: dict, label: DataLabel) -> None:
    """BenchmarkError, listing what differs, unless the two files are of this protocol and of one another."""
    tested = sorted(id for fold in folds["folds"] for id in fold["test"])
    where = {"folds": f"fold file {folds['name']}", "totals": f"totals of {totals['folds']}, {totals['trimming']}"}
    expected = [
        ("folds", "dataset", folds["dataset"], label.dataset),
        *(("folds", key, folds[key], protocol[key]) for key in ("unit", "remainder", "validation_subjects")),
        ("totals", "dataset", totals["dataset"], label.dataset),
        ("totals", "recordings", totals["recordings"], tested),
        ("totals", "recordings of found_by_recording", sorted(totals["found_by_recording"]), tested),
        ("totals", "simulated", totals["reason"] == "simulated", label.simulated),
    ]
    problems = [
        f"{where[file]}: {key} is {found}, expected {wanted}"
        for file, key, found, wanted in expected
        if found != wanted
    ]
    if not problems and (together := _epochs(tested, totals["found_by_recording"])) != totals["found"]:
        problems.append(f"{where['totals']}: epochs by recording sum to {together}, expected {totals['found']}")
    if protocol["selection"] not in LOOKS_AT:
        problems.append(f"selection is {protocol['selection']!r}, expected one of {', '.join(LOOKS_AT)}")
    if protocol["selection"] == "best_validation" and not all(fold["validation"] for fold in folds["folds"]):
        problems.append(f"{where['folds']}: selection is best_validation, but a fold holds no validation subject")
    if problems:
        raise BenchmarkError(
            f"protocol {name} cannot be audited; correct the configuration or make these files again:\n  "
            + "\n  ".join(problems)
        )


def _epochs(recordings: Sequence[str], found: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Epochs of recordings in all and by stage, from those found in each."""
    return {name: sum(found[id][name] for id in recordings) for name in ("epochs", *STAGES)}

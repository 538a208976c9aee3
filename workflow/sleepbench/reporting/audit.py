"""The audit of every protocol, before any training.

It says what the folds of a protocol do to the recordings, and where its selection looks.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sleepbench.core.errors import BenchmarkError, nearest
from sleepbench.core.files import read_document, write_json
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import DataLabel
from sleepbench.protocols.audit import audit_document
from sleepbench.protocols.folds import read_folds
from sleepbench.protocols.selection import SELECTION_RULES

Protocol = Mapping[str, Any]
"""A protocol as the configuration resolves it; `folds` is the name of its fold file."""


def write_audit(
    protocols: Mapping[str, Protocol],
    folds: Iterable[str | Path],
    totals: Iterable[str | Path],
    label: DataLabel,
    output: str | Path,
) -> None:
    """Write audit.json: the audit of every protocol that is run on a dataset, in all and by fold.

    `protocols` are by name, in the order of the table's rows; `folds` and `totals` are the files of them all.
    BenchmarkError where a file is missing or of something else, or somebody is in training and test though the folds
    are of subjects.
    """
    documents = {document["name"]: document for document in map(read_folds, folds)}
    counts = {(document["folds"], document["trimming"]): document for document in map(read_document, totals)}
    audits = []
    for name, protocol in protocols.items():
        places = (("fold file", documents, protocol["folds"]),)
        places += (("file of totals", counts, (protocol["folds"], protocol["trimming"])),)
        for what, known, key in places:
            if key not in known:
                raise BenchmarkError(f"no {what} was given of protocol {name} ({key}); name one for every protocol")
        audits.append(audit_protocol(name, protocol, *(known[key] for _, known, key in places), label))
    write_json(output, {"dataset": label.dataset, "simulated": label.simulated, "protocols": audits})


def audit_protocol(
    name: str, protocol: Protocol, folds: Mapping[str, Any], totals: Mapping[str, Any], label: DataLabel
) -> dict[str, Any]:
    """The audit of one protocol: its settings and what `audit_document` counts.

    It also says whether the epochs are as known. It is counted from the assignment in the fold file, whatever audit
    that file carries.
    """
    _check(name, protocol, folds, totals, label)
    return {
        **{"protocol": name, "trimming": protocol["trimming"], "selection": protocol["selection"]},
        "selection_looks_at": SELECTION_RULES[protocol["selection"]].looks_at,
        "epochs_as_known": totals["verdict"],
        **audit_document(folds, totals["found_by_recording"]),
    }


def _check(
    name: str, protocol: Protocol, folds: Mapping[str, Any], totals: Mapping[str, Any], label: DataLabel
) -> None:
    """BenchmarkError, listing what differs, unless the two files are of this protocol and of one another."""
    tested = sorted(id for fold in folds["folds"] for id in fold["test"])
    by_recording = totals["found_by_recording"]
    where = {"folds": f"fold file {folds['name']}", "totals": f"totals of {totals['folds']}, {totals['trimming']}"}
    expected = [
        ("folds", "dataset", folds["dataset"], label.dataset),
        *(("folds", key, folds[key], protocol[key]) for key in ("unit", "remainder", "validation_subjects")),
        ("totals", "dataset", totals["dataset"], label.dataset),
        ("totals", "recordings", totals["recordings"], tested),
        ("totals", "recordings of found_by_recording", sorted(by_recording), tested),
        ("totals", "simulated", totals.get("reason") == "simulated", label.simulated),
    ]
    problems = [
        f"{where[file]}: {key} is {is_}, expected {wanted}" for file, key, is_, wanted in expected if is_ != wanted
    ]
    if not problems:
        together = {part: sum(by_recording[id][part] for id in tested) for part in ("epochs", *STAGES)}
        if together != totals["found"]:
            problems.append(f"{where['totals']}: epochs by recording sum to {together}, expected {totals['found']}")
    if protocol["selection"] not in SELECTION_RULES:
        problems.append(
            f"no selection rule is called {protocol['selection']!r}; {nearest(protocol['selection'], SELECTION_RULES)}"
        )
    elif SELECTION_RULES[protocol["selection"]].needs_validation and not all(
        fold["validation"] for fold in folds["folds"]
    ):
        problems.append(
            f"{where['folds']}: selection is {protocol['selection']}, but a fold holds no validation subject"
        )
    if problems:
        raise BenchmarkError(
            f"protocol {name} cannot be audited; correct the configuration or make these files again:\n  "
            + "\n  ".join(problems)
        )

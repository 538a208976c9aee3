"""The audit of every protocol, before any training: what its folds do to the recordings, and where selection looks."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_json
from sleepbench.core.stages import STAGES
from sleepbench.protocols.folds import Fold, folds_of
from sleepbench.reporting.tables.main import Column, Layout, number, text, title, write_table

LOOKS_AT = {
    "best_test": "test fold",
    "best_validation": "validation subjects",
    "last": "nowhere: last epoch",
    "cycle_end": "nowhere: cycle end",
}
"""Which data choose the training epoch that is reported."""

SHORT = 8
"""Digits of a hash that are shown."""

PARTS = ("train", "validation", "test")


def write_audit(
    protocols: Mapping[str, dict],
    folds: Mapping[str, str],
    totals: Mapping[str, str],
    dataset: str,
    simulated: bool,
    csv: str,
    markdown: str,
    latex: str,
    json: str,
) -> None:
    """Audit the protocols that are run on a dataset, as a table and as a file for machines.

    Parameters
    ----------
    protocols : name -> the protocol as the configuration has it, in the order of the table's rows
    folds : name -> path of its fold file
    totals : name -> path of the totals of its folds and window
    dataset, simulated : the dataset, and whether its signals are simulated
    csv, markdown, latex : the table
    json : everything the table holds, and the same by fold, with the epochs of its parts by stage

    BenchmarkError where the files are not those of the protocol, or a promise of disjoint subjects is broken.
    """
    for name, given in (("fold file", folds), ("file of totals", totals)):
        missing = [protocol for protocol in protocols if protocol not in given]
        if missing:
            raise BenchmarkError(f"no {name} was given of protocol {', '.join(missing)}; name one for every protocol")
    audits = [
        audit_protocol(name, protocol, folds[name], totals[name], dataset, simulated)
        for name, protocol in protocols.items()
    ]
    write_json(json, {"dataset": dataset, "simulated": simulated, "protocols": audits})
    heading = title(dataset, simulated, HEADING)
    write_table(pd.DataFrame(map(audit_row, audits)), csv, LAYOUT, dataset, heading, CAPTION, markdown, latex)


def audit_protocol(name: str, protocol: dict, folds: str, totals: str, dataset: str, simulated: bool) -> dict:
    """The audit of one protocol: settings, recordings, subjects, sizes by class, and the same by fold.

    It is counted anew from the assignment in the fold file, whatever audit that file carries. The subject of a
    recording is read off its id, SC4ssN.
    """
    document, counted = read_json(folds), read_json(totals)
    divided = folds_of(document)
    _check_match(name, protocol, folds, document, totals, counted, divided, dataset, simulated)
    by_fold = [_audit_fold(number, fold, counted["found_by_recording"]) for number, fold in enumerate(divided)]
    shared = sum(len(fold["test_recordings_whose_subject_trains"]) for fold in by_fold)
    disjoint = not any(fold["subjects_in_training_and_test"] for fold in by_fold)
    if protocol["subject_disjoint"] and not disjoint:
        broken = [f"fold {f['fold']}: {', '.join(f['subjects_in_training_and_test'])}" for f in by_fold]
        raise BenchmarkError(
            f"{folds}: protocol {name} promises disjoint subjects (subject_disjoint: true), but these are both in "
            f"training and test: {'; '.join(line for line in broken if not line.endswith(': '))}; correct the protocol"
        )
    tests = [id for fold in divided for id in fold.test]
    return {
        "protocol": name,
        "unit": document["unit"],
        "folds": len(divided),
        "folds_name": document["name"],
        "folds_sha256": document["folds_sha256"],
        "data_sha256": document["data_sha256"],
        "window": protocol["window"],
        "selection": protocol["selection"],
        "selection_looks_at": LOOKS_AT[protocol["selection"]],
        "recordings_used": sorted(set(tests)),
        "recordings_dropped": list(document["dropped"]),
        "recordings_tested_more_than_once": sorted({id for id in tests if tests.count(id) > 1}),
        "subjects": subjects_of(tests),
        "test_recordings": len(tests),
        "test_recordings_whose_subject_trains": shared,
        "share_of_test_recordings_whose_subject_trains": shared / len(tests),
        "subject_disjoint": disjoint,
        "subject_disjoint_promised": protocol["subject_disjoint"],
        "epochs": counted["found"]["epochs"],
        "epochs_by_stage": {stage: counted["found"][stage] for stage in STAGES},
        "epochs_as_known": counted["verdict"],
        "by_fold": by_fold,
    }


def _check_match(
    name: str,
    protocol: dict,
    folds: str,
    document: dict,
    totals: str,
    counted: dict,
    divided: Sequence[Fold],
    dataset: str,
    simulated: bool,
) -> None:
    """BenchmarkError, listing what differs, unless the two files are of this protocol and of one another."""
    expected = [
        (folds, "dataset", document["dataset"], dataset),
        (folds, "unit", document["unit"], protocol["unit"]),
        (folds, "recordings", document["recordings"], protocol["recordings"]),
        (folds, "validation_subjects", document["validation_subjects"], protocol["validation_subjects"]),
        (totals, "dataset", counted["dataset"], dataset),
        (totals, "window", counted["window"], protocol["window"]),
        (totals, "folds", counted["folds"], document["name"]),
        (totals, "recordings", counted["recordings"], sorted(id for fold in divided for id in fold.test)),
        (totals, "recordings of found_by_recording", [*counted.get("found_by_recording", ())], counted["recordings"]),
    ]
    problems = [
        f"{path}: {key} is {found}, expected {wanted}" for path, key, found, wanted in expected if found != wanted
    ]
    together = _epochs(counted["recordings"], counted["found_by_recording"]) if not problems else counted["found"]
    if together != counted["found"]:
        problems.append(f"{totals}: the epochs found by recording sum to {together}, expected {counted['found']}")
    if protocol["selection"] not in LOOKS_AT:
        problems.append(f"selection is {protocol['selection']!r}, expected one of {', '.join(LOOKS_AT)}")
    if protocol["selection"] == "best_validation" and not all(fold.validation for fold in divided):
        problems.append(f"{folds}: selection is best_validation, but a fold holds no validation subject")
    if (counted.get("reason") == "simulated") != simulated:
        problems.append(f"{totals}: is of {'real' if simulated else 'simulated'} data, but simulated: {simulated}")
    if problems:
        raise BenchmarkError(
            f"protocol {name} cannot be audited; correct the configuration or make these files again:\n  "
            + "\n  ".join(problems)
        )


def subjects_of(recordings: Sequence[str]) -> list[str]:
    """The subjects of recordings, in ascending order."""
    return sorted({id[3:5] for id in recordings})


def _epochs(recordings: Sequence[str], found: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Epochs of recordings in all and by stage, from those found in each."""
    return {name: sum(found[id][name] for id in recordings) for name in ("epochs", *STAGES)}


def _audit_fold(number: int, fold: Fold, found: Mapping[str, Mapping[str, int]]) -> dict:
    """Sizes of one fold, and what its test part shares with training; validation subjects count as training.

    `found` gives the epochs of each recording in the protocol's window, in all and by stage.
    """
    fitted = {*subjects_of(fold.train + fold.validation)}
    shared = [id for id in fold.test if {*subjects_of([id])} & fitted]
    parts = {}
    for part in PARTS:
        ids = getattr(fold, part)
        epochs = _epochs(ids, found)
        parts |= {
            f"{part}_recordings": len(ids),
            f"{part}_subjects": subjects_of(ids),
            f"{part}_epochs": epochs.pop("epochs"),
            f"{part}_epochs_by_stage": epochs,
        }
    return {
        "fold": number,
        **parts,
        "test_recordings_whose_subject_trains": shared,
        "subjects_in_training_and_test": subjects_of(shared),
    }


# ---------------------------------------------------------------------------------------------------------- rendering


def audit_row(audit: dict) -> dict:
    """The row of the table's CSV: numbers instead of lists."""
    row = {
        key: len(value) if isinstance(value, list) else value
        for key, value in audit.items()
        if key not in ("by_fold", "epochs_by_stage", "subject_disjoint", "subject_disjoint_promised")
    }
    for part in PARTS:
        row |= _fewest_and_most(f"{part}_subjects", [len(fold[f"{part}_subjects"]) for fold in audit["by_fold"]])
    for part in PARTS:
        row |= _fewest_and_most(f"{part}_epochs", [fold[f"{part}_epochs"] for fold in audit["by_fold"]])
        for stage in STAGES:
            sizes = [fold[f"{part}_epochs_by_stage"][stage] for fold in audit["by_fold"]]
            row |= _fewest_and_most(f"{part}_{stage}", sizes)
    return {
        **row,
        **audit["epochs_by_stage"],
        **{f"share_{stage}": n / max(1, audit["epochs"]) for stage, n in audit["epochs_by_stage"].items()},
        "subject_disjoint": "yes" if audit["subject_disjoint"] else "no",
        "subject_disjoint_promised": "yes" if audit["subject_disjoint_promised"] else "no",
        "dropped": " ".join(audit["recordings_dropped"]),
    }


def _fewest_and_most(name: str, sizes: Sequence[int]) -> dict[str, int]:
    return {f"{name}_per_fold_min": min(sizes), f"{name}_per_fold_max": max(sizes)}


def _per_fold(name: str) -> Callable[[pd.Series], str]:
    """Cells that show the fewest and most of something in a fold."""

    def cell(row: pd.Series) -> str:
        fewest, most = (row[f"{name}_per_fold_{bound}"] for bound in ("min", "max"))
        return f"{fewest:,}" if fewest == most else f"{fewest:,}–{most:,}"

    return cell


def _note(row: pd.Series) -> str:
    """The recordings that are dropped, how many subjects train, and the epochs of a fold by part and stage."""
    dropped = "no recording dropped" if pd.isna(row["dropped"]) else f"dropped: {', '.join(row['dropped'].split())}"
    subjects = f"{row['subjects']} subjects, {_per_fold('train_subjects')(row)} training in a fold"
    sizes = []
    for part in PARTS:
        if row[f"{part}_epochs_per_fold_max"]:
            of_stages = ", ".join(f"{stage} {_per_fold(f'{part}_{stage}')(row)}" for stage in STAGES)
            sizes.append(f"{part} {_per_fold(f'{part}_epochs')(row)} ({of_stages})")
    return f"{subjects}; {dropped}; epochs in a fold: {'; '.join(sizes)}"


def _shared(row: pd.Series) -> str:
    """The share of test recordings whose subject is in training, or that there is none."""
    if row["subject_disjoint"] == "yes":
        return "disjoint"
    return f"{100 * row['share_of_test_recordings_whose_subject_trains']:.1f} %"


def _selects_by(row: pd.Series) -> str:
    """Which data select, in short."""
    return row["selection_looks_at"].partition(":")[0].replace("validation", "val.")


LAYOUT = Layout(
    columns=(
        Column("Protocol", text("protocol"), "left"),
        Column("Folds", number("folds", ".0f"), sort_by="folds"),
        Column("of", lambda row: {"recording_block": "blocks", "subject": "subjects"}[row["unit"]], "left"),
        Column("Rec.", number("recordings_used", ".0f"), sort_by="recordings_used"),
        Column("Drop.", number("recordings_dropped", ".0f"), sort_by="recordings_dropped"),
        Column("Test", _per_fold("test_subjects")),
        Column("Val.", _per_fold("validation_subjects")),
        Column("Shared", _shared, sort_by="share_of_test_recordings_whose_subject_trains"),
        Column("Selects by", _selects_by, "left"),
        Column("Window", text("window"), "left"),
        Column("Epochs", number("epochs", ",.0f"), sort_by="epochs"),
        Column("Stages, %", lambda row: "/".join(f"{100 * row[f'share_{stage}']:.0f}" for stage in STAGES)),
        Column("Hash", lambda row: str(row["folds_sha256"])[:SHORT], "left"),
    ),
    note=_note,
)
HEADING = "Audit of the protocols"
CAPTION = (
    "Counted from the fold files, before any training. Folds of blocks of consecutive recordings, or of subjects. "
    "Rec. and Drop.: recordings used and dropped. Test, Val.: subjects tested and held out for validation in a "
    "fold (fewest to most). Shared: share of the test recordings whose subject is also in training or validation "
    "of the same fold; disjoint: no subject is in both in any fold. Selects by: the data that choose the training "
    'epoch that is reported; "test fold" means that it is the best one on the very data it is reported on. '
    "Epochs, and the share of the stages W, N1, N2, N3 and REM: of all recordings used, in the protocol's window; the "
    "notes give the fewest and most epochs of a fold, audit.json those of every fold. "
    "Hash: the first digits of the SHA-256 of the assignment of recordings to folds."
)

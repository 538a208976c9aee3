"""Table: the audit of every protocol, before any training."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from sleepbench.core.files import read_json
from sleepbench.core.stages import STAGES
from sleepbench.protocols.audit import PARTS
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.rendering import Column, number, text

SHORT = 8
"""Digits of a hash that are shown."""
ORDER = (
    *("protocol", "unit", "n_folds", "folds", "folds_sha256", "data_sha256", "trimming", "selection"),
    *("selection_looks_at", "recordings_used", "recordings_dropped", "recordings_tested_more_than_once", "subjects"),
    *("test_recordings", "test_recordings_whose_subject_trains", "share_of_test_recordings_whose_subject_trains"),
    *("epochs", "epochs_as_known"),
)
"""What is said of a protocol; of lists, how long they are."""


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per protocol of audit.json."""
    return pd.DataFrame(map(audit_row, read_json(inputs.path("audit"))["protocols"]))


def audit_row(audit: dict[str, Any]) -> dict[str, Any]:
    """An audit with numbers instead of lists, and the fewest and most of its folds instead of each."""
    row = {key: len(audit[key]) if isinstance(audit[key], list) else audit[key] for key in ORDER}
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
        **{name: "yes" if audit[name] else "no" for name in ("subject_disjoint", "subject_disjoint_promised")},
        "dropped": " ".join(audit["recordings_dropped"]),
        "recordings_excluded": len(audit["recordings_excluded"]),
        "excluded": "; ".join(f"{id}: {reason}" for id, reason in audit["recordings_excluded"].items()),
    }


def _fewest_and_most(name: str, sizes: Sequence[int]) -> dict[str, int]:
    return {f"{name}_per_fold_min": min(sizes), f"{name}_per_fold_max": max(sizes)}


def per_fold(name: str) -> Callable[[pd.Series], str]:
    """Cells that show the fewest and most of something in a fold."""

    def cell(row: pd.Series) -> str:
        fewest, most = (row[f"{name}_per_fold_{bound}"] for bound in ("min", "max"))
        return f"{fewest:,}" if fewest == most else f"{fewest:,}–{most:,}"

    return cell


def note(row: pd.Series) -> str:
    """The dropped recordings, number of training subjects, and epochs of a fold by part and stage."""
    dropped = "no recording dropped" if pd.isna(row["dropped"]) else f"dropped: {', '.join(row['dropped'].split())}"
    subjects = f"{row['subjects']} subjects, {per_fold('train_subjects')(row)} training in a fold"
    sizes = []
    for part in PARTS:
        if row[f"{part}_epochs_per_fold_max"]:
            by_stage = ", ".join(f"{stage} {per_fold(f'{part}_{stage}')(row)}" for stage in STAGES)
            sizes.append(f"{part} {per_fold(f'{part}_epochs')(row)} ({by_stage})")
    excluded = "" if pd.isna(row["excluded"]) or not row["excluded"] else f"; left out: {row['excluded']}"
    return f"{subjects}; {dropped}{excluded}; epochs in a fold: {'; '.join(sizes)}"


def shared(row: pd.Series) -> str:
    """The share of test recordings whose subject is in training, or that there is none."""
    if row["subject_disjoint"] == "yes":
        return "disjoint"
    return f"{100 * row['share_of_test_recordings_whose_subject_trains']:.1f} %"


def selects_by(row: pd.Series) -> str:
    """Which data select, in short."""
    return row["selection_looks_at"].partition(":")[0].replace("validation", "val.")


ARTEFACT = Table(
    name="audit",
    place=40,
    heading="Audit of the protocols",
    caption=(
        "Counted from the fold files, before any training. Folds of blocks of consecutive recordings, or of subjects. "
        "Rec. and Drop.: recordings used and dropped. Those that were left out before, each for a reason, "
        "are in the notes. Test, Val.: subjects tested and held out for validation in a fold (fewest to most). Shared: "
        "share of the test recordings whose subject is also in training or validation "
        "of the same fold; disjoint: no subject is in both in any fold. Selects by: the data that choose the training "
        'epoch that is reported; "test fold" means that it is the best one on the very data it is reported on. '
        "Epochs, and the share of the stages W, N1, N2, N3 and REM: of all recordings used, by the protocol's "
        "trimming; the notes give the fewest and most epochs of a fold, audit.json those of every fold. "
        "Hash: the first digits of the SHA-256 of the assignment of recordings to folds."
    ),
    inputs=("audit",),
    build=build,
    columns=(
        Column("Protocol", text("protocol"), "left"),
        Column("Folds", number("n_folds", ".0f"), sort_by="n_folds"),
        Column("of", lambda row: {"recording_block": "blocks", "subject": "subjects"}[row["unit"]], "left"),
        Column("Rec.", number("recordings_used", ".0f"), sort_by="recordings_used"),
        Column("Drop.", number("recordings_dropped", ".0f"), sort_by="recordings_dropped"),
        Column("Test", per_fold("test_subjects")),
        Column("Val.", per_fold("validation_subjects")),
        Column("Shared", shared, sort_by="share_of_test_recordings_whose_subject_trains"),
        Column("Selects by", selects_by, "left"),
        Column("Trimming", text("trimming"), "left"),
        Column("Epochs", number("epochs", ",.0f"), sort_by="epochs"),
        Column("Stages, %", lambda row: "/".join(f"{100 * row[f'share_{stage}']:.0f}" for stage in STAGES)),
        Column("Hash", lambda row: str(row["folds_sha256"])[:SHORT], "left"),
    ),
    note=note,
    row_keys=("protocol",),
    in_summary=True,
)

"""The index of a dataset: one file that lists its prepared recordings.

Folds, totals, trainings and tables depend on the index instead of on the single recordings.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document, replacing, sha256_of_file, write_document
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import Dataset, Recording, SourceFile, read_receipt, with_checksums
from sleepbench.preparation.prepared import SIGNALS, PreparedFiles
from sleepbench.signals.trimming import AROUND_SLEEP, check_trimming

PEOPLE = ("subject", "night", "age", "sex", "group", "condition")
"""What an index says of whose night a recording is, and which."""


@dataclass(frozen=True)
class Index:
    """What is prepared of a dataset.

    recordings : in ascending order, with the SHA-256 of their files
    sources : by recording, the paths of its files by role
    prepared : by recording, its prepared files with their SHA-256
    epochs : by recording and trimming, epochs in all ("epochs") and by stage
    excluded : recordings that are left out, each with the reason; they are nowhere else in the index
    """

    path: Path
    dataset: str
    simulated: bool
    recordings: tuple[Recording, ...]
    sources: Mapping[str, Mapping[str, Path]]
    prepared: Mapping[str, PreparedFiles]
    epochs: Mapping[str, Mapping[str, Mapping[str, int]]]
    excluded: Mapping[str, str]

    def kept(self, trimming: str) -> dict[str, Mapping[str, int]]:
        """The epochs that a trimming keeps of each recording, in all and by stage."""
        check_trimming(trimming)
        return {id: counts[trimming] for id, counts in self.epochs.items()}


def write_index(
    dataset: Dataset, prepared: Sequence[str | Path], receipts: Sequence[str | Path], output: str | Path
) -> Index:
    """Write the index of a dataset as JSON (`output`) and, for people, as CSV beside it; return it.

    `prepared` are the X.json of its recordings, `receipts` those of their files. BenchmarkError when one is missing,
    damaged, of another recording or of other files than were prepared, or not simulated as the dataset is.
    """
    output = Path(output)
    fetched = {receipt["recording"]: receipt for receipt in map(read_receipt, receipts)}
    found = {}
    for path in map(Path, prepared):
        summary = _read_description(path, dataset)
        found[summary["recording"]] = path, summary
    recordings = with_checksums(dataset.used(), fetched)
    if missing := [recording.id for recording in recordings if recording.id not in found]:
        raise BenchmarkError(f"{dataset.name}: recordings that are not prepared: {', '.join(missing)}; prepare them")
    lacking = {id: summary["excluded"] for id, (_, summary) in found.items() if "excluded" in summary}
    excluded = {id: reason for id, reason in sorted((dataset.excluded() | lacking).items())}
    rows = [_row(one, *found[one.id], fetched[one.id]) for one in recordings if one.id not in lacking]
    if not rows:
        reasons = "; ".join(f"{id}: {reason}" for id, reason in excluded.items())
        raise BenchmarkError(f"{dataset.name}: every recording is left out, expected one or more: {reasons}")
    for id, reason in excluded.items():
        print(f"Left out: {id}: {reason}")
    document = {
        "dataset": dataset.name,
        "simulated": dataset.label.simulated,
        "recordings": rows,
        "excluded": excluded,
    }
    _write_view(output.with_suffix(".csv"), rows)
    write_document(output, document)
    return read_index(output)


def read_index(path: str | Path) -> Index:
    """Read an index; BenchmarkError when it is missing or is not as it was written."""
    path = Path(path)
    if not path.exists():
        raise BenchmarkError(f"{path}: the index of recordings is missing; prepare the dataset first")
    document = read_document(path)
    try:
        rows = {row["recording"]: row for row in document["recordings"]}
        return Index(
            path=path,
            dataset=document["dataset"],
            simulated=document["simulated"],
            recordings=tuple(_recording(row) for row in rows.values()),
            sources={id: {role: Path(f["path"]) for role, f in row["files"].items()} for id, row in rows.items()},
            prepared={id: PreparedFiles(path, Path(row["signals"]), row["sha256"]) for id, row in rows.items()},
            epochs={id: row["epochs"] for id, row in rows.items()},
            excluded=document.get("excluded", {}),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BenchmarkError(f"{path}: is no index of recordings ({error!r}); delete it and run again") from error


def _read_description(path: Path, dataset: Dataset) -> dict[str, Any]:
    """An X.json, whose counts must add up and which must be simulated as the dataset is."""
    summary = read_document(path, "delete it and run again: its recording is prepared again")
    try:
        sums = (
            {}
            if "excluded" in summary
            else {
                trimming: (sum(int(counts[stage]) for stage in STAGES), counts["epochs"])
                for trimming in {*AROUND_SLEEP, *summary["trimmings"]}
                for counts in [summary["trimmings"][trimming]]
            }
        )
        says = summary["simulated"], summary["recording"], summary["sources"], summary["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise BenchmarkError(f"{path}: does not describe a prepared recording ({error!r}); prepare it again") from error
    if says[0] is not dataset.label.simulated:
        raise BenchmarkError(
            f"{path}: says simulated: {says[0]}, but simulated: {dataset.label.simulated} was asked for; correct the "
            "configuration or prepare the recording again"
        )
    for stages, epochs in sums.values():
        if stages != epochs:
            raise BenchmarkError(f"{path}: the stages sum to {stages}, not to {epochs}; prepare it again")
    return summary


def _row(recording: Recording, path: Path, summary: Mapping[str, Any], receipt: Mapping[str, Any]) -> dict[str, Any]:
    expected = {file.role: file.sha256 for file in recording.files}
    made_of = {role: source["sha256"] for role, source in summary["sources"].items()}
    if made_of != expected:
        raise BenchmarkError(f"{path}: was prepared from {made_of}, but the files are {expected}; prepare it again")
    identity = asdict(recording)
    del identity["files"]
    return {
        "recording": identity.pop("id"),
        **identity,
        "files": {file.role: {"name": file.name, **receipt[file.role]} for file in recording.files},
        "signals": path.with_suffix(SIGNALS).as_posix(),
        "epochs": dict(summary["trimmings"]),
        "sha256": {**summary["sha256"], path.name: sha256_of_file(path)},
    }


def _recording(row: Mapping[str, Any]) -> Recording:
    files = tuple(SourceFile(role, file["name"], file["sha256"], file["bytes"]) for role, file in row["files"].items())
    return Recording(row["recording"], files=files, **{name: row.get(name) for name in PEOPLE})


def _write_view(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """The same as a table: one row a recording."""
    view = [
        {
            **{name: row[name] for name in ("recording", *PEOPLE)},
            **{f"{trimming}_{name}": n for trimming, counts in row["epochs"].items() for name, n in counts.items()},
            **{f"{role}_sha256": file["sha256"] for role, file in row["files"].items()},
            "signals": row["signals"],
            **{f"{name.removeprefix(row['recording'] + '.')}_sha256": found for name, found in row["sha256"].items()},
        }
        for row in rows
    ]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(view[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(view)

"""Epoch counts of a database that are known before anything is prepared.

Totals are in YAML, the counts of single recordings in CSV.
"""

import csv
from collections.abc import Mapping
from pathlib import Path

import yaml

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import replacing
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import KnownTotal

Counts = tuple[int, ...]
"""Epochs of W, N1, N2, N3, REM."""

COLUMNS = ("recording", "trimming", "epochs", *STAGES)


def read_known_totals(path: Path) -> list[KnownTotal]:
    """Read known totals; BenchmarkError when one lacks a key or does not add up."""
    totals = []
    for entry in yaml.safe_load(Path(path).read_text(encoding="utf-8")):
        try:
            total = KnownTotal(
                **{key: entry[key] for key in ("dataset", "trimming", "source", "verified")},
                **{key: entry["recordings"][key] for key in ("first", "last", "number")},
                counts=tuple(entry["counts"]),
                folds=entry.get("folds"),
            )
            epochs = entry["epochs"]
            sums = [sum(total.counts), *([sum(total.folds["epochs"])] if total.folds else [])]
        except (KeyError, TypeError) as error:
            raise BenchmarkError(f"{path}: not a known total ({error!r}): {entry}") from error
        if any(found != epochs for found in sums):
            raise BenchmarkError(
                f"{path}: {total.dataset}, trimming {total.trimming}: counts and folds sum to {sums}, not to {epochs}"
            )
        totals.append(total)
    return totals


def read_known_epochs(path: Path) -> dict[tuple[str, str], Counts]:
    """Read the epochs known by recording: (recording, trimming) -> counts; BenchmarkError for a bad row."""
    path = Path(path)
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise BenchmarkError(f"{path}: the columns are {rows.fieldnames}, expected {list(COLUMNS)}")
        known = {}
        for row in rows:
            try:
                counts, epochs = tuple(int(row[stage]) for stage in STAGES), int(row["epochs"])
            except (TypeError, ValueError) as error:
                raise BenchmarkError(f"{path}, line {rows.line_num}: not counts of epochs ({error}): {row}") from error
            if sum(counts) != epochs:
                raise BenchmarkError(f"{path}, line {rows.line_num}: the stages sum to {sum(counts)}, not to {epochs}")
            known[row["recording"], row["trimming"]] = counts
    return known


def write_known_epochs(counts: Mapping[tuple[str, str], Counts], path: Path) -> None:
    """Write a table that `read_known_epochs` reads."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((*key, sum(night), *night) for key, night in counts.items())

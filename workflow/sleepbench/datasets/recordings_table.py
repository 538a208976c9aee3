"""A table of recordings as CSV: their subjects, their files and the files' checksums.

Columns: id, subject, night, then for each role of a file its name, ROLE_sha256 (empty: not known) and, where the table
has them, ROLE_bytes, its size, then age, sex, group and condition where the table has them.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import replacing
from sleepbench.datasets.base import Recording, SourceFile

REQUIRED, OPTIONAL = ("id", "subject", "night"), ("age", "sex", "group", "condition")
CHECKSUM, SIZE = "_sha256", "_bytes"


def read_recordings(path: str | Path) -> list[Recording]:
    """Read a table of recordings, in ascending order of id.

    BenchmarkError when the table cannot be read, a column is missing or unknown, or a row is bad.
    """
    path = Path(path)
    if not path.exists():
        raise BenchmarkError(f"{path}: the table of recordings does not exist")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{path}: the table of recordings cannot be read ({error}); it is a UTF-8 CSV") from error
    rows = csv.DictReader(io.StringIO(text, newline=""))
    columns = tuple(rows.fieldnames or ())
    roles = [name.removesuffix(CHECKSUM) for name in columns if name.endswith(CHECKSUM)]
    of_files = {role + suffix for role in roles for suffix in ("", CHECKSUM, SIZE)}
    unknown = set(columns) - {*REQUIRED, *OPTIONAL, *of_files}
    if unknown or not {*REQUIRED, *roles} <= set(columns):
        raise BenchmarkError(
            f"{path}: the columns are {list(columns)}, expected {', '.join(REQUIRED)}, for each file its role and "
            f"ROLE{CHECKSUM}, and if they are known ROLE{SIZE}, {', '.join(OPTIONAL)}"
        )
    recordings = []
    for row in rows:
        try:
            recordings.append(_recording(row, roles))
        except (KeyError, TypeError, ValueError) as error:
            raise BenchmarkError(f"{path}, line {rows.line_num}: not a recording ({error}): {row}") from error
    ids = [recording.id for recording in recordings]
    if doubled := sorted({id for id in ids if ids.count(id) > 1}):
        raise BenchmarkError(f"{path}: recordings listed more than once: {', '.join(doubled)}")
    return sorted(recordings)


def _recording(row: dict[str, str], roles: Sequence[str]) -> Recording:
    if None in row or None in row.values():
        raise ValueError("it has not as many cells as there are columns")
    if not row["id"] or "/" in row["id"] or row["id"].startswith("."):
        raise ValueError("its id cannot be the name of a file")
    sizes = {role: int(row[role + SIZE]) if row.get(role + SIZE) else None for role in roles}
    if wrong := [size for size in sizes.values() if size is not None and size < 0]:
        raise ValueError(f"a file cannot have {wrong[0]} bytes")
    return Recording(
        id=row["id"],
        subject=row["subject"],
        night=int(row["night"]),
        files=tuple(SourceFile(role, row[role], row[role + CHECKSUM] or None, sizes[role]) for role in roles),
        age=int(row["age"]) if row.get("age") else None,
        sex=row.get("sex") or None,
        group=row.get("group") or None,
        condition=row.get("condition") or None,
    )


def write_recordings(path: str | Path, recordings: Sequence[Recording]) -> None:
    """Write a table that `read_recordings` reads, in ascending order of id."""
    rows = [
        {
            **{name: getattr(recording, name) for name in REQUIRED},
            **{key: text for file in recording.files for key, text in _cells(file).items()},
            **{name: getattr(recording, name) for name in OPTIONAL},
        }
        for recording in sorted(recordings)
    ]
    known = [name for name in OPTIONAL if any(row[name] is not None for row in rows)]
    columns = [name for name in dict.fromkeys(key for row in rows for key in row) if name not in OPTIONAL]
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*columns, *known], lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def _cells(file: SourceFile) -> dict[str, object]:
    size = {} if file.n_bytes is None else {file.role + SIZE: file.n_bytes}
    return {file.role: file.name, file.role + CHECKSUM: file.sha256 or "", **size}


def first_subjects(recordings: Sequence[Recording], n_subjects: int | None) -> list[Recording]:
    """The recordings of the first `n_subjects` subjects in ascending order; of all where it is None."""
    subjects = sorted({recording.subject for recording in recordings})
    if n_subjects is not None and n_subjects > len(subjects):
        raise BenchmarkError(f"{n_subjects} subjects are asked for, but the table of recordings holds {len(subjects)}")
    kept = set(subjects[:n_subjects])
    return sorted(recording for recording in recordings if recording.subject in kept)

"""The table of recordings: which files make up a night, and what their bytes must hash to.

The same columns describe the real Sleep-EDF recordings (workflow/resources/sleep_edf_recordings.csv) and a simulated
cohort (its manifest), so that everything downstream treats them alike.
"""

import csv
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import replacing


@dataclass(frozen=True, order=True)
class Recording:
    """One night: a PSG file and its hypnogram.

    `id` is the first six characters of both file names (SC4ssN), `subject` the two digits ss, `night` N.
    Checksums are SHA-256 in hexadecimal; age in years; sex "F" or "M".
    """

    id: str
    subject: str
    night: int
    psg: str
    psg_sha256: str
    hypnogram: str
    hypnogram_sha256: str
    age: int
    sex: str


COLUMNS = tuple(field.name for field in fields(Recording))


def read_recordings(path: str | Path) -> list[Recording]:
    """Read a table of recordings, in ascending order of id; BenchmarkError when a column is missing or a row is bad."""
    path = Path(path)
    if not path.exists():
        raise BenchmarkError(f"{path}: the table of recordings does not exist")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkError(f"{path}: the table of recordings cannot be read ({error}); it is a UTF-8 CSV") from error
    with io.StringIO(text, newline="") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise BenchmarkError(f"{path}: the columns are {rows.fieldnames}, expected {list(COLUMNS)}")
        recordings = []
        for row in rows:
            try:
                recordings.append(Recording(**{**row, "night": int(row["night"]), "age": int(row["age"])}))
            except (TypeError, ValueError) as error:
                raise BenchmarkError(f"{path}, line {rows.line_num}: not a recording ({error}): {row}") from error
    ids = [recording.id for recording in recordings]
    doubled = sorted({id for id in ids if ids.count(id) > 1})
    if doubled:
        raise BenchmarkError(f"{path}: recordings listed more than once: {', '.join(doubled)}")
    return sorted(recordings)


def write_recordings(path: str | Path, recordings: list[Recording]) -> None:
    """Write a table that `read_recordings` reads, in ascending order of id."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(recording) for recording in sorted(recordings))


def first_subjects(recordings: list[Recording], n_subjects: int | None) -> list[Recording]:
    """The recordings of the first `n_subjects` subjects in ascending order; of all where it is None."""
    subjects = sorted({recording.subject for recording in recordings})
    if n_subjects is not None and n_subjects > len(subjects):
        raise BenchmarkError(f"{n_subjects} subjects are asked for, but the table of recordings holds {len(subjects)}")
    kept = set(subjects[:n_subjects])
    return sorted(recording for recording in recordings if recording.subject in kept)


def find_recording(recordings: list[Recording], recording_id: str) -> Recording:
    """The recording with this id; BenchmarkError when the table has none."""
    for recording in recordings:
        if recording.id == recording_id:
            return recording
    raise BenchmarkError(f"recording {recording_id} is not in the table, which lists {len(recordings)} recordings")

"""Makes workflow/resources/croissant.json: what the tables of recordings are, in the format of Croissant.

Usage: python tools/croissant.py

Croissant (https://docs.mlcommons.org/croissant) is JSON-LD that data-set searches and loaders read. It describes the
committed tables, with the SHA-256 of each and the type and meaning of each column; the recordings themselves stay where
they are published. It needs mlcroissant, which `make setup` installs.
"""

import csv
import hashlib
import json
from datetime import datetime
from pathlib import Path

import mlcroissant as mlc
import yaml

import sleepbench

ROOT = Path(__file__).parents[1]
RESOURCES = ROOT / "workflow/resources"
CROISSANT = RESOURCES / "croissant.json"
TEXT, WHOLE = mlc.DataType.TEXT, mlc.DataType.INTEGER
TABLES = {
    "sleep_edf_recordings.csv": "The nights of Sleep-EDF Expanded, sleep-cassette: who slept, and in which files",
    "sleep_edf_excerpts.csv": "Files of real excerpts: the first 5 s of each epoch of Sleep-EDF-20, one channel",
    "known_epochs.csv": "Epochs of each stage that a trimming keeps, counted on real hypnograms",
    "databases/*.csv": "Recordings of another database, or what is known of their epochs: {}",
}
"""Tables, by name or pattern below workflow/resources, and what they are."""
COLUMNS = {
    "id": (TEXT, "the recording"),
    "recording": (TEXT, "the recording, as id in the table of recordings"),
    "subject": (TEXT, "who slept; of Sleep-EDF two digits, of which a loader that reads numbers drops a leading zero"),
    "night": (WHOLE, "of the subject, from 1"),
    "psg": (TEXT, "name of the file of the signals"),
    "h5": (TEXT, "name of the file of signals and scoring"),
    "scoring": (TEXT, "name of the file of the hypnogram"),
    "scorer_1": (TEXT, "name of the file of the first scorer's hypnogram"),
    "scorer_2": (TEXT, "name of the file of the second scorer's hypnogram"),
    "file": (TEXT, "name of the file"),
    "sha256": (TEXT, "SHA-256 of the file"),
    "bytes": (WHOLE, "size of the file"),
    "age": (WHOLE, "in years"),
    "sex": (TEXT, "F or M"),
    "condition": (TEXT, "what the night was recorded under"),
    "trimming": (TEXT, "which epochs are kept: standard, or as the authors of ULW-SleepNet do"),
    "epochs": (WHOLE, "epochs of 30 s that are kept"),
    **{name: (WHOLE, f"epochs of 30 s that are scored {name}") for name in ("W", "N1", "N2", "N3", "REM")},
}
"""Type and meaning of columns; FILE_sha256 and FILE_bytes are of the file in the column FILE."""


def main() -> None:
    """Write the description of the tables as they are."""
    CROISSANT.write_text(json.dumps(described(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{CROISSANT.relative_to(ROOT)}: {', '.join(tables())}")


def described() -> dict:
    """The JSON-LD of all tables."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    metadata = mlc.Metadata(
        name="sleepbench-tables",
        description="Tables of the recordings that sleepbench trains and tests sleep-staging networks on. They hold "
        "file names, sizes, hashes, ages, sexes and counts of stages; no signals. The recordings are those of "
        "Sleep-EDF Expanded 1.0.0 and, of the excerpts, of github.com/swapnil5053/AttnSleep-EEG-5s.",
        license="https://opendatacommons.org/licenses/by/1-0/",
        url="https://physionet.org/content/sleep-edfx/1.0.0/",
        cite_as="B. Kemp et al., IEEE Trans. Biomed. Eng. 47(9):1185-1194 (2000); A. L. Goldberger et al., Circulation "
        "101(23) (2000)",
        creators=[mlc.Organization(name="The sleepbench developers")],
        date_published=datetime.fromisoformat(str(citation["date-released"])),
        version=sleepbench.__version__,
        keywords=["sleep staging", "EEG", "polysomnography", "Sleep-EDF"],
        distribution=[_file(name, said) for name, said in tables().items()],
        record_sets=[_records(name, said) for name, said in tables().items()],
    )
    return metadata.to_json()


def tables() -> dict[str, str]:
    """The names of the tables that are there, below workflow/resources, and what each is."""
    found = [(path, said) for pattern, said in TABLES.items() for path in sorted(RESOURCES.glob(pattern))]
    return {path.relative_to(RESOURCES).as_posix(): said.format(path.stem) for path, said in found}


def _file(name: str, said: str) -> mlc.FileObject:
    content = (RESOURCES / name).read_bytes()
    return mlc.FileObject(
        id=name,
        name=name,
        description=said,
        content_url=name,
        encoding_formats=["text/csv"],
        content_size=f"{len(content)} B",
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _records(name: str, said: str) -> mlc.RecordSet:
    with (RESOURCES / name).open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    stem = Path(name).stem
    fields = [
        mlc.Field(
            id=f"{stem}/{column}",
            name=column,
            description=meaning,
            data_types=[kind],
            source=mlc.Source(file_object=name, extract=mlc.Extract(column=column)),
        )
        for column in columns
        for kind, meaning in [_meaning(column, name)]
    ]
    return mlc.RecordSet(id=stem, name=stem, description=said, fields=fields)


def _meaning(column: str, table: str) -> tuple[str, str]:
    if column in COLUMNS:
        return COLUMNS[column]
    file, _, what = column.rpartition("_")
    if file in COLUMNS and what in ("sha256", "bytes"):
        kind, meaning = COLUMNS[what]
        return kind, f"{meaning} {file}"
    raise SystemExit(f"{RESOURCES / table}: has a column {column}; say what it is in COLUMNS of {Path(__file__).name}")


if __name__ == "__main__":
    main()

"""What the files of somebody else's results may hold: looked at before anything else reads them."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError

from sleepbench.core.errors import BenchmarkError, printable
from sleepbench.core.limits import bounded_memory, plain_text, read_foreign_json
from sleepbench.core.strict import Strict, problems_in
from sleepbench.evaluation.bootstrap import COLUMNS, PROBABILITIES
from sleepbench.evaluation.scores import CONFUSION, F1
from sleepbench.runs.runs_table import RUN_COLUMNS
from sleepbench.training.keys import RECORD

MOST_FOLDS = 10_000
MOST_EPOCHS = 2_000_000
"""Of one fold's predictions: the test epochs of more than a thousand nights."""
MOST_RUNS = 100_000
MOST_BYTES = {".json": 8 * 2**20, ".csv": 64 * 2**20, ".parquet": 256 * 2**20}
"""Of a file, by what it holds."""
MOST_ROWS = 10_000
"""Of a table."""
LONGEST_LINE = 2**16
MEMORY_BYTES = 400 * 2**20
"""That reading one file may take."""
SAID = 3
"""Problems of a file that a message lists."""


def _below(name: str) -> str:
    """A name of a file below the directory that it stands for, and of nothing else."""
    parts = name.split("/")
    if "\\" in name or any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts):
        raise ValueError(f"found {name[:80]!r}, expected the name of a file below, without '..' and '\\'")
    return plain_text(name)


FileName = Annotated[str, AfterValidator(_below)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
RunKey = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Count = Annotated[int, Field(ge=0, le=10**9)]
Number = Annotated[int, Field(ge=0, lt=MOST_FOLDS)]


class Open(Strict):
    """A mapping that may have further keys, which nothing reads."""

    model_config = ConfigDict(extra="allow")


class Recipe(Open):
    """A training's recipe: its settings may be any."""

    name: str


class Settings(Open):
    """What a training depends on."""

    dataset: str
    data_sha256: Sha256
    folds: FileName
    folds_sha256: Sha256
    fold: Number
    trimming: str
    model: str
    input: str
    channels: list[str]
    recipe: Recipe
    seed: int


class Provenance(Open):
    """Where a training is from."""

    title: str
    n_folds: Annotated[int, Field(ge=1, le=MOST_FOLDS)]
    simulated: bool
    git_commit: str


class NumbersOfEpochs(Open):
    """Epochs of the parts of a fold."""

    train: Count
    validation: Count
    test: Count


class Selected(Open):
    """A training as a selection rule reads it."""

    run_key: RunKey
    training_epoch: Count


class Record(Open):
    """training.json."""

    settings: Settings
    code_sha256: Sha256
    provenance: Provenance
    runs: dict[FileName, Selected]
    n_epochs: NumbersOfEpochs
    environment: dict[str, Any]
    files: dict[FileName, Sha256]


class Parts(Open):
    """The recordings of a fold."""

    train: list[str]
    validation: list[str]
    test: list[str]


class Folds(Open):
    """A fold file."""

    dataset: str
    name: str
    folds_sha256: Sha256
    data_sha256: Sha256
    folds: Annotated[list[Parts], Field(min_length=1, max_length=MOST_FOLDS)]
    subjects: dict[str, str]
    nights: dict[str, Count]


Metrics = dict[str, int | float | None]

MAIN_TABLE = (
    *("mark", "protocol", "model", "input", "recipe", "accuracy_mean_of_folds", "accuracy_sd_of_folds"),
    *("accuracy", "macro_f1", "cohen_kappa", *F1, "n_epochs"),
)
INTERVALS = (
    *("over", "protocol", "title", "input", "recipe"),
    *(f"{metric}{end}" for metric in ("accuracy", "macro_f1", "cohen_kappa") for end in ("", "_low", "_high")),
)
TABLES = {"main_results.csv": MAIN_TABLE, "intervals.csv": INTERVALS}
"""Columns that something reads, of the tables that it does."""


def read_as(kind: Any, content: bytes) -> Any:
    """A JSON document of a kind; ValueError says what is wrong with it."""
    try:
        return TypeAdapter(kind).validate_python(read_foreign_json(content), strict=True)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, place))}: {said[:200]}" for place, said in problems_in(error)]
        more = f", and {len(problems) - SAID} more" if len(problems) > SAID else ""
        raise ValueError("; ".join(problems[:SAID]) + more) from error


def check_file(root: Path, name: str) -> None:
    """Look at a file of results below `root` that something will read; others are passed over.

    BenchmarkError says what is wrong with it. Whatever the file holds, it takes little memory.
    """
    if not (look := _look(PurePosixPath(name))):
        return
    path = root / name
    try:
        if (size := path.stat().st_size) > (most := MOST_BYTES[path.suffix]):
            raise ValueError(f"it has {size} bytes, expected at most {most}")
        with bounded_memory(MEMORY_BYTES):
            look(path)
    except MemoryError as error:
        raise BenchmarkError(f"{name}: takes more memory than such a file may") from error
    except (ValueError, OSError, csv.Error, pa.ArrowException) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise BenchmarkError(f"{name}: is not as it should be ({printable(said[:500])})") from error


def _look(name: PurePosixPath) -> Callable[[Path], None] | None:
    """What looks at a file of this name."""
    if name.name == "runs.csv":
        return _look_at_runs
    if name.parent.name == "tables" and (columns := TABLES.get(name.name)):
        return lambda path: _look_at_table(path, columns)
    if name.name == "predictions.parquet":
        return look_at_predictions
    if name.name == "metrics.json":
        return _look_at_metrics
    if name.name == RECORD:
        return lambda path: read_as(Record, path.read_bytes())
    if name.parent.name == "folds" and name.suffix == ".json":
        return lambda path: read_as(Folds, path.read_bytes())
    return None


def _look_at_metrics(path: Path) -> None:
    metrics: Mapping[str, Any] = read_as(Metrics, path.read_bytes())
    for cell in CONFUSION:
        if cell not in metrics:
            raise ValueError(f"it lacks {cell}")
        if not isinstance(metrics[cell], int) or not 0 <= metrics[cell] <= 10**9:
            raise ValueError(f"{cell} is {metrics[cell]}, expected a number of epochs")


# --------------------------------------------------------------------------------------------------------------- tables


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a text file, none of which is endless; ValueError where one is."""
    with path.open(encoding="utf-8", newline="") as file:
        while line := file.readline(LONGEST_LINE):
            if len(line) == LONGEST_LINE:
                raise ValueError(f"a line has {LONGEST_LINE} characters or more")
            if "\0" in line:
                raise ValueError("a line has a character 0")
            yield line


def _look_at_runs(path: Path) -> None:
    for number, row in _rows_of(path, RUN_COLUMNS, MOST_RUNS, "runs"):
        for column, text in row.items():
            try:
                plain_text(text)
                CELLS.get(column, plain_text)(text)
            except ValueError as error:
                raise ValueError(f"line {number}, {column}: {error}") from error


def _look_at_table(path: Path, columns: Sequence[str]) -> None:
    for number, row in _rows_of(path, columns, MOST_ROWS, "rows"):
        for column in columns:
            try:
                plain_text(row[column])
            except ValueError as error:
                raise ValueError(f"line {number}, {column}: {error}") from error


def _rows_of(path: Path, columns: Sequence[str], most: int, what: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of a CSV below its header by their numbers; ValueError where it is none or lacks one of the columns."""
    rows = csv.reader(lines_of(path), strict=True)
    header = next(rows, [])
    if len(set(header)) != len(header):
        raise ValueError("a column is there twice")
    if missing := [name for name in columns if name not in header]:
        raise ValueError(f"it lacks the column {', '.join(missing)}")
    for column in header:
        plain_text(column)
    for number, cells in enumerate(rows, start=2):
        if number > most:
            raise ValueError(f"it has more than {most} {what}")
        if len(cells) != len(header):
            raise ValueError(f"line {number} has {len(cells)} cells, expected {len(header)}")
        yield number, dict(zip(header, cells, strict=True))


def _whole(most: int) -> Callable[[str], int]:
    def check(text: str) -> int:
        digits = text.removesuffix(".0")
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 20 and int(digits) <= most):
            raise ValueError(f"found {text[:40]!r}, expected a whole number from 0 to {most}")
        return int(digits)

    return check


def _one_of(*texts: str) -> Callable[[str], None]:
    def check(text: str) -> None:
        if text not in texts:
            raise ValueError(f"found {text[:40]!r}, expected {' or '.join(texts)}")

    return check


def _only_folds(text: str) -> None:
    for number in text.split():
        _whole(MOST_FOLDS)(number)


CELLS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("fold", "n_folds"), _whole(MOST_FOLDS)),
    **dict.fromkeys(
        ("n_channels", "training_epochs", "trained_epochs", "n_train", "n_validation", "n_test", "selected_epoch"),
        _whole(10**9),
    ),
    "seed": _whole(2**63 - 1),
    **dict.fromkeys(CONFUSION, _whole(10**9)),
    **{"simulated": _one_of("True", "False"), "only_folds": _only_folds, "directory": _below},
}
"""What cells of the table of runs must be, by column."""

_TEXT = (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string()))
_WHOLE = (pa.int8(), pa.int16(), pa.int32(), pa.int64())
TYPES = {
    **dict.fromkeys(("recording", "subject"), _TEXT),
    **dict.fromkeys(("night", "epoch", "stage", "predicted"), _WHOLE),
    **dict.fromkeys(PROBABILITIES, (pa.float16(), pa.float32(), pa.float64())),
}
"""Types that the columns of predictions may have in a Parquet file."""


def look_at_predictions(path: Path) -> None:
    """ValueError unless a Parquet file has the columns of predictions, of their types, and no more than a fold may."""
    # Texts as codes: a long one that is there a million times is read once.
    with open_parquet(path, MOST_EPOCHS, ["recording", "subject"]) as file:
        types = dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True))
        for column in COLUMNS:
            if column not in types:
                raise ValueError(f"it lacks the column {column}")
            if types[column] not in TYPES[column]:
                raise ValueError(f"the column {column} is of {types[column]}, expected {TYPES[column][0]}")
        _check_metadata(file.schema_arrow.metadata or {})
        table = file.read(columns=list(COLUMNS), use_threads=False)
    for column in ("recording", "subject"):
        for chunk in table[column].chunks:
            for text in chunk.dictionary.to_pylist():
                plain_text(text or "")


def _check_metadata(metadata: Mapping[bytes, bytes]) -> None:
    """ValueError where what pandas noted in a Parquet file is not what it notes of a plain table."""
    noted, attributes = (read_as(dict[str, Any], metadata.get(key, b"{}")) for key in (b"pandas", b"PANDAS_ATTRS"))
    if any(noted.get(key, []) != [] for key in ("index_columns", "column_indexes")) or len(attributes) > 1:
        raise ValueError("its rows or columns are named otherwise than in a plain table")
    if not all(isinstance(column, dict) for column in noted.get("columns", [])):
        raise ValueError("what it says of its columns is no mapping")


def open_parquet(path: Path, most_rows: int, coded: Sequence[str] = ()) -> pq.ParquetFile:
    """A Parquet file that says to have at most so many rows, in columns with names of their own; else a ValueError.

    `coded` are columns of texts to be read as codes of a dictionary.
    """
    file = pq.ParquetFile(
        path, read_dictionary=coded, thrift_string_size_limit=2**22, thrift_container_size_limit=2**17
    )
    names = file.schema_arrow.names
    if len(set(names)) != len(names):
        raise ValueError("a column is there more than once")
    if file.metadata.num_rows > most_rows:
        raise ValueError(f"it has {file.metadata.num_rows} rows, expected at most {most_rows}")
    return file

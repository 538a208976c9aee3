"""Reading somebody else's table of predictions: every column is checked, nothing is mended."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from sleepbench.core.errors import BenchmarkError, most_alike, printable
from sleepbench.core.limits import bounded_memory
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import Dataset
from sleepbench.evaluation.bootstrap import PROBABILITIES, SUM_TOLERANCE
from sleepbench.runs.schema import MOST_EPOCHS, lines_of, open_parquet

NEEDED = ("recording", "epoch", "stage", "predicted")
FORMS = (".parquet", ".csv")
SHOWN, SHORT = 5, 80
"""Names or values that a message lists before it says how many there are, and characters of each."""
MEMORY_BYTES = 500 * 2**20
"""That reading a table may take: that of the most epochs takes half of it."""
MOST_COLUMNS = 1000
LATEST = 2**31
"""No epoch has this number: a night of 30-s epochs would last two thousand years."""


def read_table(path: Path, stages: str, dataset: Dataset) -> pd.DataFrame:
    """The predictions of a Parquet or CSV file.

    Parameters
    ----------
    stages : "names" or "numbers", as the description says
    dataset : whose recordings they must be of

    Returns
    -------
    One row per epoch in the order of recording and epoch: recording (text), epoch (int64, as the table counts it),
    stage and predicted (int8, 0..4), and p_W to p_REM (float64) where the table has them. `attrs["not_read"]` names the
    columns that were left out. BenchmarkError lists all that is wrong.
    """
    table, names = _read(path)
    has_probabilities = _check_columns(path, names)
    if table.empty:
        raise BenchmarkError(f"{path}: has no row, expected one for each epoch; make the table again")
    columns = [*NEEDED, *(PROBABILITIES if has_probabilities else ())]
    not_read = [name for name in names if name not in columns]
    table = table[columns].reset_index(drop=True)
    table["recording"] = table.recording.where(table.recording.isna(), table.recording.astype(str))
    coded = pd.DataFrame({name: _codes(table[name], stages) for name in ("stage", "predicted")})
    epoch = _numbers(table.epoch)
    probability = np.stack([_numbers(table[name]) for name in PROBABILITIES]) if has_probabilities else None
    faults = [
        f"{text}: {rows.sum():,} of {len(table):,} rows, the first is row {np.flatnonzero(rows)[0] + 1}{found}"
        for text, rows, found in _faults(table, coded, epoch, probability, stages, dataset)
        if rows.any()
    ]
    if faults:
        raise BenchmarkError(f"{path}: cannot be used; correct the table:\n  " + "\n  ".join(faults))
    table = table.assign(epoch=epoch.astype(np.int64), **{name: coded[name].astype(np.int8) for name in coded})
    if probability is not None:
        table[list(PROBABILITIES)] = probability.T
    table = table.sort_values(["recording", "epoch"], ignore_index=True)
    table.attrs["not_read"] = not_read
    return table


def _read(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The columns of a table that are needed, as far as it has them, and the names of all."""
    if path.suffix not in FORMS:
        raise BenchmarkError(f"{path}: a table of predictions is a file named .parquet or .csv; convert it")
    if not path.is_file():
        raise BenchmarkError(f"{path}: no such file; give the table of predictions")
    try:
        with bounded_memory(MEMORY_BYTES):
            return _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    except MemoryError as error:
        raise BenchmarkError(f"{path}: takes more memory than a table of predictions may; make it again") from error
    except (ValueError, TypeError, LookupError, OSError, csv.Error, pa.ArrowException) as error:  # of damaged files
        said = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:500]
        raise BenchmarkError(f"{path}: is not a whole {path.suffix} file ({said}); get or make it again") from error


def _read_parquet(path: Path) -> tuple[pd.DataFrame, list[str]]:
    with open_parquet(path, MOST_EPOCHS) as file:
        types = dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True))
        wanted = [name for name in types if name in (*NEEDED, *PROBABILITIES)]
        for name in wanted:
            if not any(is_one(types[name]) for is_one in SIMPLE):
                raise ValueError(f"the column {name} is of {types[name]}, expected texts or numbers")
        # As it stands in the file: what pandas noted of an index would be read as well.
        table = file.read(columns=wanted, use_threads=False).replace_schema_metadata()
        return table.to_pandas(), list(types)


SIMPLE = (
    *(pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_null, pa.types.is_dictionary),
    *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
)
"""Types of columns that are read."""


def _read_csv(path: Path) -> tuple[pd.DataFrame, list[str]]:
    names: list[str] = []
    for number, line in enumerate(lines_of(path)):
        if number == 0:
            names = next(csv.reader([line]), [])
        if number > MOST_EPOCHS:
            raise ValueError(f"it has more than {MOST_EPOCHS} rows")
    if len(names) > MOST_COLUMNS:
        raise ValueError(f"it has {len(names)} columns, expected at most {MOST_COLUMNS}")
    texts = dict.fromkeys(("recording", "stage", "predicted"), str)
    wanted = [name for name in dict.fromkeys(names) if name in (*NEEDED, *PROBABILITIES)]
    return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values=[""], usecols=wanted), names


def _check_columns(path: Path, names: list[str]) -> bool:
    """Whether there are probabilities; BenchmarkError where a column is missing or there twice."""
    found = ", ".join(name[:SHORT] for name in names[: len(NEEDED) * SHOWN]) or "none"
    there = [name for name in PROBABILITIES if name in names]
    missing = [name for name in (*NEEDED, *(PROBABILITIES if there else ())) if name not in names]
    if missing:
        which = "" if set(missing) & set(NEEDED) else " (of the probabilities all five are needed, or none)"
        raise BenchmarkError(
            f"{path}: lacks the column {', '.join(missing)}{which}; its columns are {found}; rename or add them"
        )
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise BenchmarkError(f"{path}: has the column {', '.join(repeated)} more than once; keep one")
    return bool(there)


def _codes(column: pd.Series, stages: str) -> np.ndarray:
    """Stages as codes, float64 (n_epochs,), NaN where there is none."""
    if stages == "numbers":
        values = _numbers(column)
        return np.where(np.isin(values, range(len(STAGES))), values, np.nan)
    return column.map({name: code for code, name in enumerate(STAGES)}).to_numpy(dtype=np.float64, na_value=np.nan)


def _numbers(column: pd.Series) -> np.ndarray:
    return pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)


def _faults(
    table: pd.DataFrame,
    coded: pd.DataFrame,
    epoch: np.ndarray,
    probability: np.ndarray | None,
    stages: str,
    dataset: Dataset,
) -> Iterator[tuple[str, np.ndarray, str]]:
    """What can be wrong with a row; for each whether it is, bool (n_rows,), and what was found."""
    known = [recording.id for recording in dataset.recordings()]
    unknown = ~table.recording.isin(known).to_numpy()
    hint = ""
    if unknown.any():
        nearest = most_alike(table.recording[unknown].iloc[0], known)
        hint = f"; it has {known[0]} to {known[-1]}" + (f", the nearest is {nearest}" if nearest else "")
    yield f"the recording is not one of {dataset.name}{hint}", unknown, _found(table.recording[unknown])
    not_whole = ~(np.isfinite(epoch) & (epoch == np.floor(epoch)) & (epoch >= 0) & (epoch < LATEST))
    yield "the epoch is not a whole number from 0", not_whole, _found(table.epoch[not_whole])
    expected = f"0 to {len(STAGES) - 1}" if stages == "numbers" else ", ".join(STAGES)
    for name in coded:
        bad = coded[name].isna().to_numpy()
        yield f"{name} is not one of {expected}{_other_form(table[name][bad], stages)}", bad, _found(table[name][bad])
    twice = table.assign(epoch=epoch).duplicated(["recording", "epoch"], keep=False).to_numpy() & ~unknown & ~not_whole
    pairs = table.recording[twice] + " epoch " + table.epoch[twice].astype(str)
    yield "the epoch is there more than once", twice, _found(pairs)
    if probability is not None:
        bad = ~((probability >= 0) & (probability <= 1)).all(axis=0)
        shown = pd.Series([", ".join(f"{p:g}" for p in row) for row in probability[:, bad].T[:SHOWN]])
        yield "a probability is no number within 0..1", bad, _found(shown)
        sums = probability.sum(axis=0)
        bad_sum = ~bad & (np.abs(sums - 1) > SUM_TOLERANCE)
        yield "the probabilities do not add up to 1", bad_sum, _found(pd.Series(sums[bad_sum]).map("{:g}".format))


def _other_form(bad: pd.Series, stages: str) -> str:
    """What to say where stages are given in the form that the description does not name."""
    if bad.empty:
        return ""
    other = {"names": "numbers", "numbers": "names"}[stages]
    if not np.isnan(_codes(bad, other)).any():
        return f" (they are {other}: say `stages: {other}` in the description)"
    return ""


def _found(values: pd.Series) -> str:
    distinct = list(dict.fromkeys("nothing" if pd.isna(value) else printable(value)[:SHORT] for value in values))
    more = f", … ({len(distinct)} in all)" if len(distinct) > SHOWN else ""
    return f", found {', '.join(distinct[:SHOWN])}{more}"

"""Which row of which table is traced, and the runs or folds that it was computed from.

A row is named by terms key=value. Without table=, it is a measured row of the main table, whose numbers are computed
again from the table of runs; rows of other tables are taken as their CSVs have them, with the run keys they carry.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd

from sleepbench.config import paths
from sleepbench.config.made import require_as_made
from sleepbench.core.errors import BenchmarkError, nearest
from sleepbench.runs.results import read_table, row_scores
from sleepbench.runs.run import RowKey
from sleepbench.runs.runs_table import ROW
from sleepbench.runs.text import SHORT, command_that_trains
from sleepbench.runs.verify import Expected

MAIN = "main_results"
RUN_FILTERS = ("seed", "fold")
NUMBERS = ("accuracy_mean_of_folds", "accuracy_sd_of_folds", "accuracy", "macro_f1", "cohen_kappa", "n_epochs")

RowKeys = Mapping[str, Sequence[str]]
"""By table, the columns of its CSV that tell its rows apart; only the tables whose rows can be traced."""


@dataclass(frozen=True)
class TracedRow:
    """A row of a table, and what it was computed from.

    `key` tells it from the others of its table; that of a row that is not computed again has the number as printed,
    `row`. `numbers` are the row's, and table and table_state. Of its `n_runs` runs, `runs` are those that were asked
    for, as the table of runs has them; `folds` names fold files beside those of the runs.
    """

    table: str
    key: dict[str, Any]
    numbers: dict[str, Any]
    n_runs: int
    runs: pd.DataFrame
    folds: tuple[str, ...] = ()


def find_row(expected: Expected, terms: Sequence[str], row_keys: RowKeys) -> TracedRow:
    """The one row that the terms name; seed= and fold= name some of its runs.

    BenchmarkError with the nearest names when nothing matches, with a list when several rows do, and when the row was
    not computed from runs that are there.
    """
    name, others = _table_named(terms, row_keys)
    if name == MAIN and not any(term.startswith("row=") for term in others):
        return _main_row(expected, others)
    filters = [term for term in others if term.partition("=")[0] in RUN_FILTERS]
    table = _Table(expected, name, tuple(row_keys[name]))
    row = table.choose([term for term in others if term not in filters])
    if name == MAIN and row["mark"] == "measured":
        return _main_row(expected, [*(f"{key}={row[key]}" for key in ROW), *filters])
    return _row_of_runs(table, row, filters) if "run_keys" in row else _row_of_folds(table, row)


def _table_named(terms: Sequence[str], row_keys: RowKeys) -> tuple[str, list[str]]:
    """The table that the terms name, and the other terms."""
    named = [term.removeprefix("table=") for term in terms if term.startswith("table=")]
    if len(named) > 1:
        raise BenchmarkError(f"{len(named)} tables are named ({', '.join(named)}); a row is of one: name that")
    for name in named:
        if name not in row_keys:
            raise BenchmarkError(f"no table '{name}' of runs or folds; {nearest(name, row_keys)}")
    return (named[0] if named else MAIN), [term for term in terms if not term.startswith("table=")]


def _matching(rows: pd.DataFrame, where: str, columns: Mapping[str, Sequence[str]], term: str) -> pd.DataFrame:
    """The rows that match a term (key=value); BenchmarkError when none does.

    A row matches when any of the columns that the key stands for has the value.
    """
    key, _, value = term.partition("=")
    if key not in columns:
        raise BenchmarkError(f"no key '{key}'{where}; {nearest(key, columns)}")
    # A value is given without its spaces, which would part a command's words.
    values = [rows[column].astype(str).str.replace(" ", "_") for column in columns[key]]
    matches = pd.concat(values, axis=1).eq(value.replace(" ", "_")).any(axis=1)
    if not matches.any():
        raise BenchmarkError(f"no row{where} has {term}; {nearest(value, set(values[0]))}")
    return rows[matches]


# ------------------------------------------------------------------------------------------------- rows computed again

RUN_KEYS = {**{name: (name,) for name in (*ROW, *RUN_FILTERS)}, "model": ("model", "title")}
"""The keys of a run, and the columns that they stand for: a model as configured, or as the table prints it."""


def _main_row(expected: Expected, terms: Sequence[str]) -> TracedRow:
    """A measured row of the main table."""
    runs = read_table(expected)
    key, chosen = choose(runs, terms, Path(paths.table(expected.dataset, MAIN)))
    mine = runs[(runs[list(ROW)] == list(key)).all(axis=1)]
    return TracedRow(MAIN, key._asdict(), _numbers(mine, expected.dataset), len(mine), chosen)


def choose(runs: pd.DataFrame, terms: Sequence[str], printed: Path) -> tuple[RowKey, pd.DataFrame]:
    """The one row of the main table that the terms name, and those of its runs that they name.

    A term is key=value, with a key of a row (protocol, model, input, recipe) or of a run (seed, fold), or the first
    digits of a run key. BenchmarkError with the nearest values when nothing matches, with a list when several rows do:
    with their numbers in the `printed` table, where they are in it.
    """
    chosen = runs
    for term in terms:
        chosen = _matching(chosen, "", RUN_KEYS, term) if "=" in term else _by_run_key(chosen, term)
    keys = [RowKey(*key) for key, _ in chosen.groupby(list(ROW), sort=False)]
    if len(keys) > 1:
        numbers = _row_numbers(runs, keys, printed)
        named = [
            " ".join(f"{name}={value}" for name, value in {**numbers.get(key, {}), **key._asdict()}.items())
            for key in keys
        ]
        asked = f"{' '.join(terms)} is" if terms else "this is"
        by_number = ", by its number or the rest" if numbers else ""
        raise BenchmarkError(
            f"{len(keys)} rows match; {asked} not enough to tell them apart, name one{by_number}:\n  "
            + "\n  ".join(named)
        )
    return keys[0], chosen


def _row_numbers(runs: pd.DataFrame, keys: Sequence[RowKey], printed: Path) -> dict[RowKey, dict[str, int]]:
    """What rows are called by their numbers in the printed table, from 1, as far as it is there and has them."""
    if not printed.exists():
        return {}
    table = pd.read_csv(printed, dtype={"run_keys": str})
    found = {
        (row.protocol, row.run_keys): {"row": number}
        for number, row in enumerate(table.itertuples(), start=1)
        if row.mark == "measured"
    }
    of_rows = {RowKey(*key): " ".join(mine.run_key) for key, mine in runs.groupby(list(ROW), sort=False)}
    return {key: found[key.protocol, of_rows[key]] for key in keys if (key.protocol, of_rows[key]) in found}


def _by_run_key(runs: pd.DataFrame, digits: str) -> pd.DataFrame:
    matches = runs.run_key.str.startswith(digits.lower())
    if not digits or not matches.any():
        raise BenchmarkError(
            f"'{digits}' is neither key=value nor the beginning of a run key; run keys are "
            f"{', '.join(key[:SHORT] for key in runs.run_key[:10])}{', …' if len(runs) > 10 else ''}"
        )
    return runs[matches]


def _numbers(runs: pd.DataFrame, dataset: str) -> dict[str, Any]:
    """The row's numbers computed from its runs, and whether the printed table holds the same."""
    path = Path(paths.table(dataset, MAIN))
    numbers = {name: value for name, value in row_scores(runs).items() if name in NUMBERS}
    return {
        **{name: None if pd.isna(numbers[name]) else float(numbers[name]) for name in NUMBERS},
        "folds": f"{runs.fold.nunique()} of {runs.n_folds.iloc[0]}",
        "seeds": int(runs.seed.nunique()),
        "table": path.as_posix(),
        "table_state": _state(path, runs, numbers),
    }


def _state(path: Path, runs: pd.DataFrame, numbers: Mapping[str, float]) -> str:
    """Whether the printed table has these numbers of these runs."""
    if not path.exists():
        return "MISSING"
    table = pd.read_csv(path, dtype={"run_keys": str})
    mine = (table.mark == "measured") & (table.protocol == runs.protocol.iloc[0])
    same = table[mine & (table.run_keys == " ".join(runs.run_key))]
    if len(same) != 1:
        return "OF OTHER RUNS: make the tables again"
    # A CSV at full precision gives back the very number.
    agrees = all(same.iloc[0][name] == value or pd.isna(value) for name, value in numbers.items())
    return "the same numbers" if agrees else "OTHER NUMBERS: make the tables again"


# --------------------------------------------------------------------------------------------- rows as their tables are


@dataclass(frozen=True)
class _Table:
    """The CSV of a table whose rows the columns `keys` tell apart.

    In terms, a model's title has the key `model`.
    """

    expected: Expected
    name: str
    keys: tuple[str, ...]

    @property
    def path(self) -> Path:
        return Path(paths.table(self.expected.dataset, self.name))

    def choose(self, terms: Sequence[str]) -> pd.Series:
        """The one row that the terms name, with its number as printed, from 1, as `row`.

        Errors as of `find_row`.
        """
        if not self.path.exists():
            command = command_that_trains(self.expected.config, self.expected.dataset)
            raise BenchmarkError(f"{self.path}: not there; `{command}` makes it")
        require_as_made([self.path])
        texts = {"run_keys": str, "folds_sha256": str}
        chosen = pd.read_csv(self.path, keep_default_na=False, na_values=[""], dtype=texts)
        if chosen.empty:
            raise BenchmarkError(f"{self.path}: has no rows")
        chosen.insert(0, "row", range(1, len(chosen) + 1))
        columns = {"row": ("row",), **{"model" if key == "title" else key: (key,) for key in self.keys}}
        for term in terms:
            chosen = _matching(chosen, f" in {self.path}", columns, term)
        if len(chosen) > 1:
            listed = "\n  ".join(self.named(row) for _, row in chosen.iterrows())
            raise BenchmarkError(
                f"{self.path}: {len(chosen)} rows match; name one, by its number or the rest:\n  {listed}"
            )
        return chosen.iloc[0]

    def key(self, row: pd.Series) -> dict[str, Any]:
        """What tells a row from the others, and its number."""
        named = {"model" if key == "title" else key: row[key] for key in self.keys if not pd.isna(row[key])}
        return {"row": int(row["row"]), **named}

    def named(self, row: pd.Series) -> str:
        """A row as the terms that name it."""
        return " ".join(f"{key}={str(value).replace(' ', '_')}" for key, value in self.key(row).items())

    def numbers(self, row: pd.Series, state: str) -> dict[str, Any]:
        """The numbers of a row, and what is said of it."""
        items = {name: value for name, value in row.items() if name != "row" and isinstance(value, Real)}
        numbers = {name: float(value) for name, value in items.items() if not pd.isna(value)}
        return {**numbers, "table": self.path.as_posix(), "table_state": state}


def _row_of_runs(table: _Table, row: pd.Series, filters: Sequence[str]) -> TracedRow:
    """A row with its runs, or those that the terms `filters` name."""
    where, dataset = f"{table.path}, {table.named(row)}", table.expected.dataset
    if pd.isna(row["run_keys"]):
        raise BenchmarkError(f"{where}: was computed from no runs on {dataset}; the row's note says where it is from")
    keys, runs = list(dict.fromkeys(row["run_keys"].split())), read_table(table.expected)
    if unknown := sorted({*keys} - {*runs.run_key}):
        raise BenchmarkError(f"{where}: is of runs that runs.csv does not hold ({', '.join(unknown)}); make it again")
    # Protocols that share a training and the selection rule share runs.
    chosen = runs.drop_duplicates("run_key").set_index("run_key", drop=False).loc[keys]
    for term in filters:
        chosen = _matching(chosen, " of runs.csv", RUN_KEYS, term)
    return TracedRow(table.name, table.key(row), table.numbers(row, "taken as they are there"), len(keys), chosen)


def _row_of_folds(table: _Table, row: pd.Series) -> TracedRow:
    """A row that is made of folds before any training, with its folds."""
    document, _ = table.expected.fold_file(row["folds"])
    same = document["folds_sha256"] == row["folds_sha256"]
    state = "of the folds below" if same else "OF OTHER FOLDS: make the tables again"
    return TracedRow(table.name, table.key(row), table.numbers(row, state), 0, pd.DataFrame(), (row["folds"],))

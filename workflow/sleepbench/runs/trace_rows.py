"""Which row of which table is traced, and the runs or folds that it was computed from.

A row is named by terms key=value. Without table=, it is a measured row of the main table, whose numbers are computed
again from the runs table; rows of other tables are taken as their CSVs have them, with the run keys they carry.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

import pandas as pd

from sleepbench.core.errors import BenchmarkError, nearest
from sleepbench.runs.results import SHORT, RowKey, command_that_trains, measured_rows, read_folds, read_table

MAIN, AUDIT = "main_results", "audit"
NETWORK = ("protocol", "title", "channels", "recipe")
TABLE_KEYS = {
    AUDIT: ("protocol",),
    "channels": NETWORK,
    "claims": ("id",),
    "classes": (*NETWORK, "stage"),
    "comparisons": ("protocol", "channels", "recipe", "first", "second"),
    "groups": (*NETWORK, "group"),
    "intervals": (*NETWORK, "over"),
    "ladder": NETWORK,
    MAIN: ("protocol", "model", "channels", "recipe"),
    "postprocessing": NETWORK,
    "sleep_measures": (*NETWORK, "measure"),
}
"""The tables whose rows can be traced, and the columns of their CSVs that tell the rows apart."""

RUN_FILTERS = ("seed", "fold")
NUMBERS = ("accuracy_mean_of_folds", "accuracy_sd_of_folds", "accuracy", "macro_f1", "cohen_kappa", "n_epochs")


@dataclass(frozen=True)
class TracedRow:
    """A row of a table, and what it was computed from.

    `key` tells it from the others of its table; that of a row that is not computed again has the number as printed,
    `row`. `numbers` are the row's, and table and table_state. Of its `n_runs` runs, `runs` are those that were asked
    for, as the runs table has them; `folds` names fold files beside those of the runs.
    """

    table: str
    key: dict
    numbers: dict
    n_runs: int
    runs: pd.DataFrame
    folds: tuple[str, ...] = ()


def table_path(dataset: str, table: str) -> Path:
    """The CSV of a table."""
    return Path("results") / dataset / "tables" / f"{table}.csv"


def find_row(dataset: str, simulated: bool, terms: Sequence[str]) -> TracedRow:
    """The one row that the terms name; seed= and fold= name some of its runs.

    BenchmarkError with the nearest names when nothing matches, with a list when several rows do, and when the row was
    not computed from runs that are there.
    """
    table, others = _table_of(terms)
    if table == AUDIT:
        return _audit_row(dataset, others)
    if table == MAIN and not any(term.startswith("row=") for term in others):
        return _main_row(dataset, simulated, others)
    of_runs = [term for term in others if term.partition("=")[0] in RUN_FILTERS]
    row = choose_from_table(dataset, table, [term for term in others if term not in of_runs])
    if table == MAIN and row["mark"] == "measured":
        return _main_row(dataset, simulated, [*(f"{key}={row[key]}" for key in TABLE_KEYS[MAIN]), *of_runs])
    return _table_row(dataset, simulated, table, row, of_runs)


def _table_of(terms: Sequence[str]) -> tuple[str, list[str]]:
    """The table that the terms name, and the other terms."""
    named = [term.removeprefix("table=") for term in terms if term.startswith("table=")]
    if len(named) > 1:
        raise BenchmarkError(f"{len(named)} tables are named ({', '.join(named)}); a row is of one: name that")
    for table in named:
        if table not in TABLE_KEYS:
            raise BenchmarkError(f"no table '{table}' of runs or folds; {nearest(table, TABLE_KEYS)}")
    return (named[0] if named else MAIN), [term for term in terms if not term.startswith("table=")]


# ------------------------------------------------------------------------------------------------- rows computed again


def _main_row(dataset: str, simulated: bool, terms: Sequence[str]) -> TracedRow:
    """A measured row of the main table."""
    runs = read_table(Path(), dataset, simulated)
    key, chosen = choose(runs, terms)
    n_runs = int((runs[list(RowKey._fields)] == list(key)).all(axis=1).sum())
    return TracedRow(MAIN, key._asdict(), _numbers(runs, key, dataset, simulated), n_runs, chosen)


def choose(runs: pd.DataFrame, terms: Sequence[str]) -> tuple[RowKey, pd.DataFrame]:
    """The one row of the main table that the terms name, and those of its runs that they name.

    A term is key=value, with a key of a row (protocol, model, channels, recipe) or of a run (seed, fold), or the first
    digits of a run key. BenchmarkError with the nearest values when nothing matches, with a list when several rows do.
    """
    chosen = runs
    for term in terms:
        chosen = _by_value(chosen, *term.split("=", 1)) if "=" in term else _by_run_key(chosen, term)
    keys = [RowKey(*key) for key, _ in chosen.groupby(list(RowKey._fields), sort=False)]
    if len(keys) > 1:
        listed = "\n  ".join(" ".join(f"{name}={value}" for name, value in key._asdict().items()) for key in keys)
        asked = f"{' '.join(terms)} is" if terms else "this is"
        raise BenchmarkError(f"{len(keys)} rows match; {asked} not enough to tell them apart, name one:\n  {listed}")
    return keys[0], chosen


def _by_value(runs: pd.DataFrame, key: str, value: str) -> pd.DataFrame:
    known = (*RowKey._fields, *RUN_FILTERS)
    if key not in known:
        raise BenchmarkError(f"no key '{key}'; {nearest(key, known)}")
    matches = runs[key].astype(str) == value
    if key == "model":  # as configured, or as the table prints it
        matches |= runs.title == value
    if not matches.any():
        raise BenchmarkError(f"no run has {key}={value}; {nearest(value, map(str, set(runs[key])))}")
    return runs[matches]


def _by_run_key(runs: pd.DataFrame, digits: str) -> pd.DataFrame:
    matches = runs.run_key.str.startswith(digits.lower())
    if not digits or not matches.any():
        raise BenchmarkError(
            f"'{digits}' is neither key=value nor the beginning of a run key; run keys are "
            f"{', '.join(key[:SHORT] for key in runs.run_key[:10])}{', …' if len(runs) > 10 else ''}"
        )
    return runs[matches]


def _numbers(runs: pd.DataFrame, key: RowKey, dataset: str, simulated: bool) -> dict:
    """The row's numbers computed from the runs table, and whether the printed table holds the same."""
    row = measured_rows(runs, dataset, simulated)[key]
    path = table_path(dataset, MAIN)
    return {
        **{name: None if pd.isna(row[name]) else float(row[name]) for name in NUMBERS},
        "folds": row["folds"],
        "seeds": int(row["seeds"]),
        "table": path.as_posix(),
        "table_state": _state_of_table(path, row),
    }


def _state_of_table(path: Path, row: pd.Series) -> str:
    if not path.exists():
        return "MISSING"
    table = pd.read_csv(path, dtype={"run_keys": str})
    same = table[(table.mark == "measured") & (table.protocol == row.protocol) & (table.run_keys == row.run_keys)]
    if len(same) != 1:
        return "OF OTHER RUNS: make the tables again"
    # A CSV at full precision gives back the very number.
    agrees = all(same.iloc[0][name] == row[name] or pd.isna(row[name]) for name in NUMBERS)
    return "the same numbers" if agrees else "OTHER NUMBERS: make the tables again"


# --------------------------------------------------------------------------------------------- rows as their tables are


def choose_from_table(dataset: str, table: str, terms: Sequence[str]) -> pd.Series:
    """The one row of a table's CSV that the terms name, with its number as printed, from 1, as `row`.

    A term is key=value, with a key of TABLE_KEYS, `model` for a network's title, or `row`. Errors as of `find_row`.
    """
    path = table_path(dataset, table)
    if not path.exists():
        raise BenchmarkError(f"{path}: not there; `{command_that_trains(dataset)}` makes it")
    chosen = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"run_keys": str, "folds_sha256": str})
    if chosen.empty:
        raise BenchmarkError(f"{path}: has no rows")
    chosen.insert(0, "row", range(1, len(chosen) + 1))
    known = ("row", *("model" if key == "title" else key for key in TABLE_KEYS[table]))
    for term in terms:
        key, _, value = term.partition("=")
        if key not in known:
            raise BenchmarkError(f"no key '{key}' in the table {table}; {nearest(key, known)}")
        # A value is given without its spaces, which would part a command's words.
        values = chosen[_column(table, key)].astype(str).str.replace(" ", "_")
        if not (values == value.replace(" ", "_")).any():
            raise BenchmarkError(f"{path}: no row has {' '.join(terms)}; {nearest(value, set(values))}")
        chosen = chosen[values == value.replace(" ", "_")]
    if len(chosen) > 1:
        listed = "\n  ".join(_named(table, row) for _, row in chosen.iterrows())
        raise BenchmarkError(f"{path}: {len(chosen)} rows match; name one, by its number or the rest:\n  {listed}")
    return chosen.iloc[0]


def _column(table: str, key: str) -> str:
    return "title" if key == "model" and "title" in TABLE_KEYS[table] else key


def _key(table: str, row: pd.Series) -> dict:
    """What tells a row from the others of its table, and its number; a network's title goes by the name of model."""
    named = {"model" if key == "title" else key: row[key] for key in TABLE_KEYS[table] if not pd.isna(row[key])}
    return {"row": int(row["row"]), **named}


def _named(table: str, row: pd.Series) -> str:
    return " ".join(f"{key}={str(value).replace(' ', '_')}" for key, value in _key(table, row).items())


def _table_row(dataset: str, simulated: bool, table: str, row: pd.Series, of_runs: Sequence[str]) -> TracedRow:
    """A row with its runs, or those that the terms `of_runs` name."""
    where = f"{table_path(dataset, table)}, {_named(table, row)}"
    if pd.isna(row["run_keys"]):
        raise BenchmarkError(f"{where}: was computed from no runs on {dataset}; the row's note says where it is from")
    keys, runs = list(dict.fromkeys(row["run_keys"].split())), read_table(Path(), dataset, simulated)
    if unknown := sorted({*keys} - {*runs.run_key}):
        raise BenchmarkError(f"{where}: is of runs that runs.csv does not hold ({', '.join(unknown)}); make it again")
    # Protocols that share a training and the selection rule share runs.
    chosen = runs.drop_duplicates("run_key").set_index("run_key", drop=False).loc[keys]
    for term in of_runs:
        chosen = _by_value(chosen, *term.split("=", 1))
    numbers = _numbers_of_table(dataset, table, row, "taken as they are there")
    return TracedRow(table, _key(table, row), numbers, len(keys), chosen)


def _audit_row(dataset: str, terms: Sequence[str]) -> TracedRow:
    """A row of the audit with its folds: it is made before any training."""
    row = choose_from_table(dataset, AUDIT, terms)
    same = read_folds(Path(), dataset, row["folds_name"])["folds_sha256"] == row["folds_sha256"]
    state = "of the folds below" if same else "OF OTHER FOLDS: make the tables again"
    numbers = _numbers_of_table(dataset, AUDIT, row, state)
    return TracedRow(AUDIT, _key(AUDIT, row), numbers, 0, pd.DataFrame(), (row["folds_name"],))


def _numbers_of_table(dataset: str, table: str, row: pd.Series, state: str) -> dict:
    numbers = {name: float(v) for name, v in row.items() if name != "row" and isinstance(v, Real) and not pd.isna(v)}
    return {**numbers, "table": table_path(dataset, table).as_posix(), "table_state": state}

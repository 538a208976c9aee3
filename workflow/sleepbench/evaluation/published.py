"""What the literature says: the files published_*.csv of workflow/resources.

They are checked where they are read: a number without a mark, or a row whose source nobody could follow, is an error.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import STAGES

MARKS = ("published", "secondary")
"""Printed by the model's authors; reported by others."""
PERCENT = ("accuracy", "macro_f1", *(f"f1_{stage}" for stage in STAGES))
RESULTS = ("model", "dataset", *PERCENT, "kappa", "epochs", "input", "protocol", "mark", "source")
RECIPES = ("recipe", "setting", "theirs", "ours", "why", "source")
DEPLOYMENTS = ("model", "processor", "seconds", "source", "mark", "remark")
SIZES = ("model", "n_channels", "parameters", "flops", "unit_printed", "source", "mark", "remark")

FOLLOWABLE = re.compile(
    r"doi:10\.\d{4,9}/\S+|arXiv:\d{4}\.\d{4,5}|github\.com/[\w.-]+/[\w.-]+ at [0-9a-f]{7,40}", re.ASCII
)
NOT_FOUND = "source not found: "
"""What the source of a row begins with where there is none to follow; what was found instead is behind it."""
SOURCE_IS = (
    "expected one that can be followed: doi:10..., arXiv:NNNN.NNNNN, or github.com/OWNER/NAME at COMMIT; where there "
    f"is none, '{NOT_FOUND}' and what is known"
)


def read_published_results(path: str | Path) -> pd.DataFrame:
    """Published results, one per row; BenchmarkError names the file, the row and what is wrong with it.

    Returns
    -------
    columns of RESULTS: accuracy and F1 in percent, kappa in -1..1, empty where nothing is printed; `epochs` behind a
    row as whole numbers, empty where their number is not known; other columns as they are in the file
    """
    table = _read(path, RESULTS)
    for where, cells in _checked(table, path):
        _check_numbers(cells, where)
        for name in ("dataset", "input", "protocol"):
            if not cells[name]:
                raise BenchmarkError(f"{where}: {name} is empty, expected a text; write 'not known' where it is")
    texts = {"model", "dataset", "input", "protocol", "mark", "source"}
    numbers = {name: pd.to_numeric(table[name]) for name in table if name not in texts}
    return table.assign(**numbers).astype({"epochs": "Int64"})


def read_published_sizes(path: str | Path) -> pd.DataFrame:
    """Published sizes, all columns as text; BenchmarkError where a row's mark or source is wrong."""
    table = _read(path, SIZES)
    for _ in _checked(table, path):
        pass
    return table


def read_published_deployments(path: str | Path) -> pd.DataFrame:
    """Published times of an epoch on a microcontroller, `seconds` as numbers.

    BenchmarkError where a row lacks one, or its mark or source is wrong.
    """
    table = _read(path, DEPLOYMENTS)
    for where, cells in _checked(table, path):
        if not _number(cells["seconds"]) > 0:
            raise BenchmarkError(f"{where}: seconds is {cells['seconds']!r}, expected a number above 0")
    return table.astype({"seconds": float})


def read_published_recipes(path: str | Path) -> pd.DataFrame:
    """Settings of published recipes, all columns as text.

    `recipe` is a recipe, or a model that has none of its own; `ours` is empty where the recipe says it. BenchmarkError
    where a row lacks its setting, what the authors have or a source, or is there twice.
    """
    table = _read(path, RECIPES)
    for where, cells in _checked(table, path):
        for name in ("setting", "theirs"):
            if not cells[name]:
                raise BenchmarkError(f"{where}: {name} is empty, expected a text; write 'not known' where it is")
    for line in table.index[table.duplicated(["recipe", "setting"])]:
        recipe, setting = table.recipe[line], table.setting[line]
        raise BenchmarkError(f"{path}, line {line + 2} ({recipe}): {setting} is there twice; leave one")
    return table


# -------------------------------------------------------------------------------------------------------------- checks


def _read(path: str | Path, expected: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False).fillna("")
    except (OSError, ValueError) as error:
        raise BenchmarkError(f"{path}: cannot be read as CSV ({error}); correct or restore it") from error
    if missing := [name for name in expected if name not in table]:
        raise BenchmarkError(f"{path}: the column {', '.join(missing)} is missing, expected {', '.join(expected)}")
    return table


def _checked(table: pd.DataFrame, path: str | Path) -> Iterator[tuple[str, dict[str, str]]]:
    """What messages call each row, and its cells: with a name, a mark where there are any, and a source to follow."""
    named_by = table.columns[0]
    for line, cells in enumerate(table.to_dict("records"), start=2):
        where = f"{path}, line {line} ({cells[named_by]})"
        if not cells[named_by]:
            raise BenchmarkError(f"{where}: {named_by} is empty, expected its name")
        if cells.get("mark", MARKS[0]) not in MARKS:
            raise BenchmarkError(f"{where}: mark is {cells['mark']!r}, expected one of {', '.join(MARKS)}")
        if not FOLLOWABLE.search(cells["source"]) and not cells["source"].startswith(NOT_FOUND):
            raise BenchmarkError(f"{where}: source is {cells['source']!r}, {SOURCE_IS}")
        yield where, cells


def _check_numbers(cells: dict[str, str], where: str) -> None:
    limits = {**dict.fromkeys(PERCENT, (0, 100)), "kappa": (-1, 1)}
    for name, (low, high) in limits.items():
        if cells[name] and not low <= _number(cells[name]) <= high:
            raise BenchmarkError(f"{where}: {name} is {cells[name]!r}, expected a number from {low} to {high}, or none")
    if not any(cells[name] for name in limits):
        raise BenchmarkError(f"{where}: no result is printed, expected one of {', '.join(limits)}; leave the row out")
    if cells["epochs"] and not (cells["epochs"].isdecimal() and int(cells["epochs"]) > 0):
        found = cells["epochs"]
        raise BenchmarkError(f"{where}: epochs is {found!r}, expected a whole number above 0; empty where not known")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")

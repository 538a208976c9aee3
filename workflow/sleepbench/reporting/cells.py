"""Shared by the tables of statistics: rows in percent, cells with intervals, caption sentences.

As in the main table, what is a share is in percent; kappa and effect sizes are not.
"""

import re
from collections.abc import Callable, Sequence

import pandas as pd

from sleepbench.core.stages import STAGES
from sleepbench.reporting.rendering import DASH, Column, shown, text

NOT_IN_PERCENT = ("cohen_kappa",)

INTERVALS_ARE = (
    "Intervals in brackets: 95 %, percentile bootstrap over subjects, both nights together, 10,000 resamples. They "
    "tell how a number would vary over other subjects, not over other trainings."
)
POOLED_IS = (
    "Pooled: computed from the sum of all confusion matrices, so that every epoch counts once; with several seeds, the "
    "mean over seeds."
)
MACRO_F1_IS = (
    "The macro-F1 is the mean F1 of the stages that were scored or predicted, of all five unless a note says otherwise."
)
UNDEFINED_IS = f"{DASH}: undefined, as is the interval of a single subject."
SOURCE_IS = "Measured here, from the runs that the table's CSV names in each row (run_keys)."

MODEL = Column("Model", text("contender"), "left")
PROTOCOL = Column("Protocol", text("protocol"), "left")


# ---------------------------------------------------------------------------------------------------------------- rows


def in_percent(values: pd.DataFrame | pd.Series, metric: str) -> pd.DataFrame | pd.Series:
    """Values of a metric as they are printed."""
    return values if metric in NOT_IN_PERCENT else 100 * values


def wide(
    statistics: pd.DataFrame,
    key: Sequence[str],
    values: Sequence[str],
    others: Sequence[str] = (),
    name: str = "metric",
) -> pd.DataFrame:
    """One row per key, in the order of the statistics, with a column per metric and value, in percent.

    Column "accuracy_low" has `low` where `name` is accuracy; the first of `values` gives the column "accuracy" itself.
    `others` are columns that are the same in all rows of a key; the last column has the run keys.
    """
    key, parts = list(key), []
    for metric, rows in statistics.groupby(name, sort=False):
        part = in_percent(rows.set_index(key)[list(values)], metric)
        part.columns = [metric, *(f"{metric}_{value}" for value in values[1:])]
        parts.append(part)
    first = statistics.drop_duplicates(key).set_index(key)
    return pd.concat(
        [*(part.reindex(first.index) for part in parts), first[[*others, "run_keys"]]], axis=1
    ).reset_index()


CHANGES = ("value", "value_low", "value_high", "change", "change_low", "change_high")
SHARED = ("n_subjects", "n_shared", "seeds", "seeds_shared")


def wide_changes(statistics: pd.DataFrame, key: Sequence[str], others: Sequence[str]) -> pd.DataFrame:
    """One row per key of statistics that hold metrics and their changes, laid out as by `wide`.

    Counts are whole numbers or empty.
    """
    numbers = statistics.astype(dict.fromkeys(CHANGES, float))
    table = wide(numbers, key, CHANGES, (*others, *SHARED))
    table.columns = [column.replace("_value_", "_") for column in table]
    return table.astype({"n_shared": "Int64", "seeds_shared": "Int64"})


# --------------------------------------------------------------------------------------------------------------- cells


def form_of(metric: str, sign: str = "") -> str:
    """The number format of a metric: percent with one decimal, kappa with three."""
    # z: a rounded zero has no minus sign.
    return f"{sign}z.3f" if metric in NOT_IN_PERCENT else f"{sign}z.1f"


def without_zero(printed: str) -> str:
    """Numbers below 1 without the zero before the point, as kappa and p are usually printed."""
    return re.sub(r"(?<!\d)0\.", ".", printed)


def bare(metric: str, printed: str) -> str:
    """A metric as it is printed: kappa without the zero before the point."""
    return without_zero(printed) if metric in NOT_IN_PERCENT else printed


def metric_alone(metric: str, column: str | None = None) -> Callable[[pd.Series], str]:
    """Cells with a metric, or its column `column`, without its interval."""
    return lambda row: bare(metric, shown(row[column or metric], form_of(metric)))


def interval(metric: str, column: str | None = None, sign: str = "") -> Callable[[pd.Series], str]:
    """Cells "78.0 [75.1, 80.9]" of a metric, or of its column `column`.

    There are no brackets where there is no interval.
    """
    column, form = column or metric, form_of(metric, sign)

    def cell(row: pd.Series) -> str:
        low, high = row[f"{column}_low"], row[f"{column}_high"]
        printed = shown(row[column], form)
        return bare(metric, printed if pd.isna(low) else f"{printed} [{low:{form}}, {high:{form}}]")

    return cell


def with_interval(heading: str, metric: str) -> Column:
    """A column of a metric with its interval."""
    return Column(heading, interval(metric), sort_by=metric)


def change_of(metric: str) -> Column:
    """A column of the change in a metric, with its interval."""
    return Column("Change", interval(metric, f"{metric}_change", "+"), sort_by=f"{metric}_change")


# --------------------------------------------------------------------------------------------------------------- notes


def trained_as(row: pd.Series) -> str:
    """The input and the recipe of a contender."""
    return f"input {row['input']}, recipe {row['recipe']}"


def counted(n: float, noun: str) -> str:
    """A number of things."""
    return f"{n:.0f} {noun}" + ("" if n == 1 else "s")


def measured_on(row: pd.Series) -> str:
    """The subjects and seeds of a row."""
    return f"{counted(row['n_subjects'], 'subject')}, {counted(row['seeds'], 'seed')}"


def measured_here(run_keys: list[str]) -> str:
    """The source of a number computed from runs; all of the keys are in the CSV."""
    keys = ", ".join(key[:8] for key in run_keys[:3]) + (", …" if len(run_keys) > 3 else "")
    return f"measured here ({counted(len(run_keys), 'run')}: {keys})"


def changed_from(row: pd.Series, column: str) -> str:
    """The end of a note that says what a row's change is taken from, which `column` names.

    Empty where the row has no change.
    """
    if pd.isna(row[column]):
        return ""
    if not row["seeds_shared"]:
        return f"; no change, as no seed was run on {row[column]} too"
    shared = f"{counted(row['n_shared'], 'subject')} and {counted(row['seeds_shared'], 'seed')} in both"
    return f"; change from {row[column]}, {shared}"


def fewer_stages(row: pd.Series) -> str:
    """The end of a note on a macro-F1 that is not of all five stages; nothing where it is."""
    n = row["macro_f1_stages"]
    return "" if n == len(STAGES) else f"; macro-F1 of {n:.0f} of {len(STAGES)} stages"

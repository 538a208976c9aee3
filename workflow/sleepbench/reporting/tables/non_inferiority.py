"""Table: what the networks that claims are about lose against each rival, by margin."""

from collections.abc import Callable

import pandas as pd

from sleepbench.evaluation.non_inferiority import POWER
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import SOURCE_IS, counted, without_zero
from sleepbench.reporting.reading import read_statistics
from sleepbench.reporting.rendering import DASH, Column, number, shown, text

PAIR = ("protocol", "input", "recipe", "title", "rival")
POINTS = (
    *("difference", "low", "high", "sd", "smallest_margin"),
    *("fold_difference", "fold_low", "fold_high"),
)
"""Columns of the statistics that are shares, and percentage points here."""
OTHERS = ("title_recipe", "rival_recipe", "n_channels", "n_subjects", "seeds", "n_folds", "test_to_train", "fold_p")
OF_A_MARGIN = ("verdict", "p_not_inferior", "p_equivalent", "worse", "equivalent", "better")
SHORT = {"accuracy": "acc.", "macro_f1": "MF1"}


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per pair and metric, with the columns of each margin; differences in percentage points."""
    key = [*PAIR, "metric"]
    found = read_statistics(inputs, "non_inferiority", (*key, *OTHERS, *POINTS, "margin", *OF_A_MARGIN, "reason"))
    points = found[[*POINTS]].astype(float) * 100
    first = pd.concat([found[[*key, *OTHERS]], points, found[["reason", "run_keys"]]], axis=1)
    table = first.drop_duplicates(key).set_index(key)
    keys = table.pop("run_keys")
    for margin, rows in found.groupby("margin"):
        table = table.join(rows.set_index(key)[[*OF_A_MARGIN]].add_suffix(f"_{percent(margin)}"))
    return table.join(keys).reset_index()


def percent(margin: float) -> str:
    """A margin in points, as columns of the CSV and headings have it."""
    return f"{100 * margin:g}"


def margins_of(table: pd.DataFrame) -> list[str]:
    """The margins of a table, in points."""
    return [name.removeprefix("verdict_") for name in table if name.startswith("verdict_")]


def difference(row: pd.Series) -> str:
    """Cells "-0.8 [-2.6, +1.0]": a difference in points with its bounds."""
    printed = shown(row["difference"], "+z.1f")
    return printed if pd.isna(row["low"]) else f"{printed} [{row['low']:+z.1f}, {row['high']:+z.1f}]"


def by_fold(row: pd.Series) -> str:
    """Cells "-3.1 to +1.5": the bounds over folds."""
    return DASH if pd.isna(row["fold_low"]) else f"{row['fold_low']:+z.1f} to {row['fold_high']:+z.1f}"


def probable(margin: str) -> Callable[[pd.Series], str]:
    """Cells ".92 .00 .08" of the Bayesian test."""
    return lambda row: " ".join(
        without_zero(shown(row[f"{name}_{margin}"], ".2f")) for name in ("worse", "equivalent", "better")
    )


def columns(table: pd.DataFrame) -> tuple[Column, ...]:
    """The columns for the margins of a table."""
    margins = margins_of(table)
    return (
        Column("Input, recipe", lambda row: f"{row['input']}, {row['recipe']}", "left"),
        Column("Rival", text("rival"), "left"),
        Column("", lambda row: SHORT[row["metric"]], "left"),
        Column("Difference", difference, sort_by="difference"),
        *(Column(f"{margin} pt", text(f"verdict_{margin}"), "left") for margin in margins),
        Column("Can show", number("smallest_margin", ".1f"), sort_by="smallest_margin"),
        *(Column(f"P, {margin} pt", probable(margin), sort_by=f"equivalent_{margin}") for margin in margins[:1]),
        Column("By fold", by_fold, sort_by="fold_difference"),
    )


def recipes_of(row: pd.Series) -> str:
    """The recipe of either network, where they differ."""
    first, second = row["title_recipe"], row["rival_recipe"]
    return "" if first == second else f" (recipes {first} and {second})"


def note(row: pd.Series) -> str:
    """The networks that are compared and on what, or why they cannot be."""
    title = f"{row['title']} less the rival{recipes_of(row)}"
    reason = "" if pd.isna(row["reason"]) else f"; {row['reason']}"
    if pd.isna(row["n_subjects"]):
        return f"{title}{reason}"
    on = f"{counted(row['n_subjects'], 'subject')}, {counted(row['seeds'], 'seed')}, {counted(row['n_folds'], 'fold')}"
    return f"{title}, {on}{reason}"


CAPTION = (
    "Networks that published claims are about, each less a rival of the same input and recipe, on the seeds that "
    "both have, under protocol clean; recipe own: each by that of its own paper. Percentage points. Difference: mean "
    "over subjects, each subject's value over both nights and all seeds, with the one-sided 95 % bounds of a t test. "
    "At a margin set beforehand (pt): not inferior, where the lower bound is above minus the margin; inferior, where "
    "the upper bound is below it; else not decidable. Simulated signals get no verdict. Can show: the smallest "
    f"margin that so many subjects with this spread can show with {100 * POWER:.0f} % power, were there no difference "
    "at all. P: Bayesian signed-rank test, the probabilities of worse by more than the margin, practically "
    "equivalent, and better by more. By fold: Nadeau and Bengio's corrected resampled t test with its one-sided 95 % "
    "bounds; no verdict rests on it, as folds share training data and are no independent samples: subjects are the "
    f"unit. The CSV has p of every test, of TOST (equivalence) too, and P at each margin. {SOURCE_IS}"
)
NO_PAIR = (
    "Nothing to compare: under protocol clean, no network that a claim is about was run with a rival of the same "
    "input and recipe."
)

ARTEFACT = Table(
    name="non_inferiority",
    place=102,
    heading="Non-inferiority over subjects",
    caption=lambda table: NO_PAIR if table.empty else CAPTION,
    inputs=("statistics/non_inferiority",),
    build=build,
    columns=columns,
    note=note,
    row_keys=(*PAIR, "metric"),
)

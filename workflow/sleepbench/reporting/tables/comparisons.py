"""Table: models compared pairwise over subjects."""

from collections.abc import Callable

import pandas as pd

from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import PROTOCOL, SOURCE_IS, counted, without_zero
from sleepbench.reporting.reading import read_statistics
from sleepbench.reporting.rendering import Column, number, shown, text

PAIR = ["protocol", "input", "recipe", "first", "second"]
RECIPES = ["first_recipe", "second_recipe"]
METRICS = {"accuracy": "acc.", "macro_f1": "MF1"}
VALUES = ("median_difference", "p", "p_holm", "rank_biserial", "n_subjects", "n_zero", "smallest_p")


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per pair of models, with the columns of each metric; differences in percentage points."""
    comparisons = read_statistics(inputs, "comparisons", (*PAIR, *RECIPES, "metric", *VALUES))
    table = comparisons[PAIR].drop_duplicates().set_index(PAIR)
    for metric in METRICS:
        mine = comparisons[comparisons.metric == metric].set_index(PAIR)[list(VALUES)]
        mine = mine.assign(median_difference=100 * mine.median_difference.astype(float))
        table = table.join(mine.add_prefix(f"{metric}_"))
    return table.join(comparisons.drop_duplicates(PAIR).set_index(PAIR)[[*RECIPES, "run_keys"]]).reset_index()


def p_value(name: str) -> Callable[[pd.Series], str]:
    """Cells with a p value to three decimals."""
    return lambda row: "<.001" if row[name] < 0.001 else without_zero(shown(row[name], ".3f"))


def note(row: pd.Series) -> str:
    """The recipe of either model where that is its own, subjects, and how small the p values can get."""
    first, second = (row[name] for name in RECIPES)
    own = "" if first == second == row["recipe"] else f"recipes {first} and {second}; "
    used = ", ".join(
        f"{short} {row[f'{name}_n_subjects'] - row[f'{name}_n_zero']:.0f} (p cannot fall below "
        f"{row[f'{name}_smallest_p']:.2g})"
        for name, short in METRICS.items()
    )
    return f"{own}{counted(row['accuracy_n_subjects'], 'subject')}; differences other than zero: {used}"


def columns_of(metric: str, short: str) -> tuple[Column, ...]:
    """The columns of a metric."""
    difference, p, r = (f"{metric}_{name}" for name in ("median_difference", "p_holm", "rank_biserial"))
    return (
        Column(f"{short} diff.", number(difference, "+z.1f"), sort_by=difference),
        Column("p", p_value(p), sort_by=p),
        Column("r", number(r, "+z.2f"), sort_by=r),
    )


CAPTION = (
    "Models of one protocol, input and recipe compared over subjects; recipe own: each by the recipe of its own paper, "
    "which the notes name. Diff.: median over subjects of second - first, "
    "in percentage points of each subject's own accuracy (acc.) or macro-F1 (MF1, over the stages that were scored or, "
    "by that model, predicted in the subject), mean over seeds. p: Wilcoxon's signed-rank test, two-sided, without "
    "differences of zero, with Holm's correction for all pairs of the protocol, input and recipe. r: matched-pairs "
    "rank-biserial correlation, from -1 (the first is better in every subject) to 1 (the second is). The notes say how "
    "small p can get, before the correction, with so many differences. The CSV has p without correction too. "
    f"{SOURCE_IS}"
)
NO_PAIR = "No protocol has two models of the same input and recipe: there is nothing to compare."

ARTEFACT = Table(
    name="comparisons",
    place=100,
    heading="Models compared over subjects",
    caption=lambda table: NO_PAIR if table.empty else CAPTION,
    inputs=("statistics/comparisons",),
    build=build,
    columns=(
        PROTOCOL,
        Column("Input, recipe", lambda row: f"{row['input']}, {row['recipe']}", "left"),
        Column("First", text("first"), "left"),
        Column("Second", text("second"), "left"),
        *(column for metric, short in METRICS.items() for column in columns_of(metric, short)),
    ),
    note=note,
    row_keys=tuple(PAIR),
)

"""Table: networks ranked within each subject."""

import pandas as pd

from sleepbench.evaluation.ranks import FEWEST_NETWORKS, FEWEST_SUBJECTS
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import SOURCE_IS, counted, without_zero
from sleepbench.reporting.reading import read_statistics
from sleepbench.reporting.rendering import Column, number, shown, text

FAMILY = ("protocol", "input", "recipe")
ROW = (*FAMILY, "title")
VALUES = ("mean_rank", "letters", "chi_square", "p", "critical_difference")
COUNTS = ("n_networks", "n_subjects", "seeds")
METRICS = {"accuracy": "acc.", "macro_f1": "MF1"}


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per network of an input and recipe, with the columns of each metric, from the best by accuracy."""
    ranks = read_statistics(inputs, "ranks", (*ROW, "title_recipe", "metric", *VALUES, *COUNTS, "reason"))
    key = list(ROW)
    table = ranks.drop_duplicates(key).set_index(key)[["title_recipe", *COUNTS, "reason", "run_keys"]]
    keys = table.pop("run_keys")
    for metric in METRICS:
        mine = ranks[ranks.metric == metric].set_index(key)[list(VALUES)]
        table = table.join(mine.add_prefix(f"{metric}_"))
    return table.join(keys).reset_index()


def note(row: pd.Series) -> str:
    """Friedman's test of either metric, or why there is none."""
    reason = "" if pd.isna(row["reason"]) else row["reason"]
    on = ", ".join(counted(row[n], noun) for n, noun in zip(COUNTS, ("network", "subject", "seed"), strict=True))
    if pd.isna(row["accuracy_p"]):
        return f"no ranks of {on}: {reason}"
    tests = "; ".join(
        f"{short}: chi-square {row[f'{metric}_chi_square']:.1f}, {p_of(row[f'{metric}_p'])}"
        for metric, short in METRICS.items()
    )
    difference = f"critical difference {row['accuracy_critical_difference']:.2f}"
    return f"{on}; {tests}; {difference}" + (f"; {reason}" if reason else "")


def p_of(p: float) -> str:
    """A p value to three decimals."""
    return "p < .001" if p < 0.001 else f"p = {without_zero(shown(p, '.3f'))}"


CAPTION = (
    "Networks of one input and recipe, on the seeds that all of them have, ranked within each subject under protocol "
    "clean, by the subject's accuracy (acc.) and macro-F1 (MF1): mean rank over subjects, 1 is the best. The notes "
    "have Friedman's test of whether all are alike, and Nemenyi's critical difference: mean ranks that far apart "
    "differ at 5 %, corrected for all pairs. Networks that share a letter are not told apart. At least "
    f"{FEWEST_NETWORKS} networks and {FEWEST_SUBJECTS} subjects are needed. {SOURCE_IS}"
)
NO_RANKS = "Nothing to rank: under protocol clean, no input and recipe has more than one network."

ARTEFACT = Table(
    name="ranks",
    place=104,
    heading="Networks ranked within each subject",
    caption=lambda table: NO_RANKS if table.empty else CAPTION,
    inputs=("statistics/ranks",),
    build=build,
    columns=(
        Column("Input, recipe", lambda row: f"{row['input']}, {row['recipe']}", "left"),
        Column("Model", text("title"), "left"),
        *(
            column
            for metric, short in METRICS.items()
            for column in (
                Column(f"{short} rank", number(f"{metric}_mean_rank", ".2f"), sort_by=f"{metric}_mean_rank"),
                Column("Alike", text(f"{metric}_letters"), "left"),
            )
        ),
    ),
    note=note,
    row_keys=ROW,
)

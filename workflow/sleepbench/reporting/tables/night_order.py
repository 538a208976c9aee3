"""Table: first and second nights of the same people."""

import pandas as pd

from sleepbench.evaluation.bootstrap import bootstrap_differences, bootstrap_intervals, subject_confusions
from sleepbench.evaluation.metrics import macro_f1_stages
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import (
    INTERVALS_ARE,
    MACRO_F1_IS,
    MODEL,
    POOLED_IS,
    PROTOCOL,
    SOURCE_IS,
    UNDEFINED_IS,
    fewer_stages,
    in_percent,
    interval,
    trained_as,
    with_interval,
)
from sleepbench.reporting.few import FEW_IS, SUBJECTS
from sleepbench.reporting.reading import COMPARED, KEY, final_protocol, read_predictions, read_runs
from sleepbench.reporting.rendering import Column, text

OF_ONE_NIGHT = INTERVALS_ARE.replace(", both nights together", "")
BOUNDS = ("estimate", "low", "high")
READ = ("recording", "subject", "night", "stage", "predicted")
COLUMNS = (
    *(*KEY, "night"),
    *(f"{metric}{end}" for metric in COMPARED for end in ("", "_low", "_high")),
    *("accuracy_change", "accuracy_change_low", "accuracy_change_high", "n_subjects", "n_both", "macro_f1_stages"),
    "run_keys",
)


def build(inputs: Inputs) -> pd.DataFrame:
    """A row per contender and night under the final protocol; none where everybody has one night."""
    runs = read_runs(inputs)
    runs = runs[runs.protocol == final_protocol(list(inputs.settings["protocols"]))]
    rows = []
    for key, mine in runs.groupby(list(KEY), sort=False):
        by_seed = list(read_predictions(mine, READ).values())
        nights = sorted({int(night) for night in by_seed[0].night.unique()})
        if len(nights) > 1:
            named = dict(zip(KEY, key, strict=True)) | {"run_keys": " ".join(mine.run_key)}
            rows += [named | row for row in _rows(by_seed, nights)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"n_both": "Int64"})


def _rows(by_seed: list[pd.DataFrame], nights: list[int]) -> list[dict]:
    """One row per night; the change from the first is over those who have both."""
    found = {n: subject_confusions([table[table.night == n] for table in by_seed], check=False) for n in nights}
    rows = []
    for night, confusions in found.items():
        subjects, matrices = confusions
        intervals = bootstrap_intervals(matrices, metrics=COMPARED)
        row = {"night": night, "n_subjects": len(subjects)}
        row["macro_f1_stages"] = int(macro_f1_stages(matrices.sum(axis=1)).min())
        for metric in COMPARED:
            values = in_percent(intervals.loc[metric, list(BOUNDS)], metric)
            row |= dict(zip((metric, f"{metric}_low", f"{metric}_high"), values, strict=True))
        first = found[nights[0]]
        both = [subject for subject in subjects if subject in first[0]]
        if night != nights[0] and both:
            pair = [(both, m[:, [s.index(one) for one in both]]) for s, m in (first, confusions)]
            change = 100 * bootstrap_differences(*pair, metrics=("accuracy",)).loc["accuracy", list(BOUNDS)]
            row |= dict(zip(("accuracy_change", "accuracy_change_low", "accuracy_change_high"), change, strict=True))
            row["n_both"] = len(both)
        rows.append(row)
    return rows


def note(row: pd.Series) -> str:
    """Input, recipe and whom the change is over."""
    both = "" if pd.isna(row["n_both"]) else f"; change over the {row['n_both']:.0f} subjects with both nights"
    return trained_as(row) + both + fewer_stages(row)


CAPTION = (
    "Accuracy and macro-F1 in percent and Cohen's kappa of people's first and later nights under the final protocol, "
    "whose networks are trained on nights of both kinds. Change: accuracy in points from the first night, over the "
    "people who have both: a night that follows another in one place is slept in otherwise, whoever scores it. "
    f"{FEW_IS} {POOLED_IS} {MACRO_F1_IS} {OF_ONE_NIGHT} {UNDEFINED_IS} {SOURCE_IS}"
)

ARTEFACT = Table(
    name="night_order",
    place=112,
    heading="First and second nights",
    caption=lambda table: "Everybody has one night in this dataset." if table.empty else CAPTION,
    inputs=("runs", "trainings"),
    settings=("protocols",),
    build=build,
    columns=(
        MODEL,
        PROTOCOL,
        Column("Night", text("night"), "left"),
        SUBJECTS,
        with_interval("Acc.", "accuracy"),
        with_interval("MF1", "macro_f1"),
        with_interval("Kappa", "cohen_kappa"),
        Column("Change", interval("accuracy", "accuracy_change", "+"), sort_by="accuracy_change"),
    ),
    note=note,
    row_keys=(*KEY, "night"),
)

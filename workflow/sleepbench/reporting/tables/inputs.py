"""Table: the same model and recipe on several inputs, and what an input changes."""

import pandas as pd

from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import (
    CHANGES,
    POOLED_IS,
    SHARED,
    SOURCE_IS,
    change_of,
    changed_from,
    measured_on,
    metric_alone,
    trained_as,
    wide_changes,
)
from sleepbench.reporting.reading import KEY, read_statistics
from sleepbench.reporting.rendering import DASH, Column, number, text

OTHERS = ("from_input", "n_channels")


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per contender, in percent and percentage points.

    There is one more for each input a model is not defined for.
    """
    statistics = read_statistics(inputs, "inputs", (*KEY, "metric", *CHANGES, *OTHERS, *SHARED, "reason"))
    table = wide_changes(statistics[statistics.metric.notna()], KEY, OTHERS)
    table.insert(table.columns.get_loc("run_keys"), "reason", None)
    undefined = statistics.loc[statistics.metric.isna(), ["protocol", "title", "input", "n_channels", "reason"]]
    table = pd.concat([table, undefined.reindex(columns=table.columns)], ignore_index=True)
    # Stable: the inputs of a model stay in their order, those that it is not defined for behind the others.
    order = list(dict.fromkeys(statistics.title))
    table = table.sort_values("title", key=lambda titles: titles.map(order.index), kind="stable", ignore_index=True)
    return table.astype(dict.fromkeys(("n_channels", *SHARED), "Int64"))


def note(row: pd.Series) -> str:
    """From which input a change is taken, on how many subjects and seeds; why there is no number."""
    if not pd.isna(row["reason"]):
        return row["reason"]
    return f"{trained_as(row)}; {measured_on(row)}{changed_from(row, 'from_input')}"


ARTEFACT = Table(
    name="inputs",
    place=90,
    heading="What the channels are worth",
    caption=(
        "The same model and recipe by input (n: how many channels it has), under the clean protocol or else the last. "
        "Acc. (accuracy) and MF1 (macro-F1) in percent and Cohen's kappa are pooled; changes, in percentage points but "
        "for kappa, are from one EEG derivation alone (eeg1) or else the model's smallest input, which the notes name. "
        f"{POOLED_IS} Intervals in brackets: 95 %, percentile bootstrap over subjects, 10,000 resamples; subjects are "
        "drawn once and taken with both inputs, on the seeds that both have. They tell how a change would vary over "
        f"other subjects, not over other trainings. The CSV has the intervals of the metrics too. {DASH}: the input "
        "that the others are compared with; or an input that the model is not defined for, as its note says. "
        f"{SOURCE_IS}"
    ),
    inputs=("statistics/inputs",),
    build=build,
    columns=(
        Column("Model", text("title"), "left"),
        Column("Recipe", text("recipe"), "left"),
        Column("Input", text("input"), "left"),
        Column("n", number("n_channels", ".0f"), sort_by="n_channels"),
        *(
            column
            for metric, short in (("accuracy", "Acc."), ("macro_f1", "MF1"), ("cohen_kappa", "Kappa"))
            for column in (Column(short, metric_alone(metric), sort_by=metric), change_of(metric))
        ),
    ),
    note=note,
    row_keys=KEY,
)

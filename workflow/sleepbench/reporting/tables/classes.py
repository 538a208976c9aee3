"""Table: F1, precision and recall of each stage, with intervals."""

import pandas as pd

from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import (
    INTERVALS_ARE,
    MODEL,
    POOLED_IS,
    PROTOCOL,
    SOURCE_IS,
    measured_on,
    trained_as,
    wide,
    with_interval,
)
from sleepbench.reporting.reading import KEY, read_statistics
from sleepbench.reporting.rendering import DASH, Column, text

VALUES = ("estimate", "low", "high")
COUNTS = ("n_subjects", "seeds")


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per contender and stage: F1, precision and recall in percent, with intervals."""
    intervals = read_statistics(inputs, "intervals", (*KEY, "metric", *VALUES, *COUNTS))
    by_class = intervals[intervals.metric.str.match(r"(f1|precision|recall)_")]
    kind_and_stage = by_class.metric.str.split("_", n=1, expand=True).set_axis(["kind", "stage"], axis=1)
    return wide(by_class.join(kind_and_stage), [*KEY, "stage"], VALUES, COUNTS, name="kind")


ARTEFACT = Table(
    name="classes",
    place=80,
    heading="Metrics by stage",
    caption=(
        f"F1, precision and recall of each stage in percent, pooled. {POOLED_IS} {INTERVALS_ARE} {DASH}: undefined, a "
        f"stage that was never predicted (precision), never scored (recall) or neither (F1). {SOURCE_IS}"
    ),
    inputs=("statistics/intervals",),
    build=build,
    columns=(
        MODEL,
        PROTOCOL,
        Column("Stage", text("stage"), "left"),
        with_interval("F1", "f1"),
        with_interval("Precision", "precision"),
        with_interval("Recall", "recall"),
    ),
    note=lambda row: f"{trained_as(row)}; {measured_on(row)}",
    row_keys=(*KEY, "stage"),
)

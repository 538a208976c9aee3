"""Table: bias and limits of agreement of sleep measures, predicted against scored."""

import pandas as pd

from sleepbench.core.stages import STAGES
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import MODEL, PROTOCOL, SOURCE_IS, trained_as
from sleepbench.reporting.reading import KEY, read_statistics
from sleepbench.reporting.rendering import DASH, Column, number

MEASURES = {
    "total_sleep_time": "Total sleep time, min",
    "wake_after_sleep_onset": "Wake after sleep onset, min",
    "sleep_efficiency": "Sleep efficiency, %",
    "sleep_onset_latency": "Sleep onset latency, min",
    "rem_latency_from_sleep_onset": "REM latency, min",
    **{f"minutes_{stage}": f"{stage}, min" for stage in STAGES[1:]},
}
"""Sleep measures that the table shows; the statistics have more."""
VALUES = ("n_nights", "n_undefined", "scored", "predicted", "bias", "sd", "low", "high")


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per contender and measure."""
    statistics = read_statistics(inputs, "sleep_measures", (*KEY, "measure", *VALUES))
    return statistics[statistics.measure.isin(list(MEASURES))]


def limits(row: pd.Series) -> str:
    """Limits of agreement."""
    return DASH if pd.isna(row["low"]) else f"{row['low']:+z.1f} to {row['high']:+z.1f}"


def nights_used(row: pd.Series) -> str:
    """Nights with the measure, of all."""
    total = row["n_nights"] + row["n_undefined"]
    return f"{row['n_nights']}" if row["n_undefined"] == 0 else f"{row['n_nights']} of {total}"


ARTEFACT = Table(
    name="sleep_measures",
    place=120,
    heading="Sleep measures, predicted against scored",
    caption=(
        "Mean of the scored and of the predicted nights, by the first seed. Bias: mean of predicted - scored over "
        "nights; SD: standard deviation of the differences; limits of agreement: bias ± 1.96 SD (Bland and Altman), of "
        "a single night; nights count as independent. A test night is what the protocol's trimming keeps, not the time "
        "between lights out and lights on: sleep efficiency and sleep onset latency depend on it and serve for this "
        "comparison only. REM latency: from sleep onset. A night without sleep or without REM, scored or predicted, "
        f'leaves measures undefined: "n of m" nights have the measure. {SOURCE_IS}'
    ),
    inputs=("statistics/sleep_measures",),
    build=build,
    columns=(
        MODEL,
        PROTOCOL,
        Column("Measure", lambda row: MEASURES[row["measure"]], "left"),
        Column("Nights", nights_used, sort_by="n_nights"),
        Column("Scored", number("scored", ".1f"), sort_by="scored"),
        Column("Predicted", number("predicted", ".1f"), sort_by="predicted"),
        Column("Bias", number("bias", "+z.1f"), sort_by="bias"),
        Column("SD", number("sd", ".1f"), sort_by="sd"),
        Column("Limits of agreement", limits),
    ),
    note=trained_as,
    row_keys=(*KEY, "measure"),
)

"""Table: from the released evaluation to the clean one, rung by rung of the ladder of protocols."""

import pandas as pd

from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import (
    CHANGES,
    MODEL,
    POOLED_IS,
    PROTOCOL,
    SHARED,
    SOURCE_IS,
    UNDEFINED_IS,
    change_of,
    changed_from,
    measured_on,
    trained_as,
    wide_changes,
    with_interval,
)
from sleepbench.reporting.reading import CONTENDER, KEY, MEAN_OF_FOLDS, read_statistics
from sleepbench.reporting.rendering import Column, number

RUNG = (*CONTENDER, "rung", "protocol")


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per contender and rung, in percent and percentage points.

    There are no rows where no protocol of the ladder was run.
    """
    statistics = read_statistics(inputs, "ladder", (*RUNG, "metric", *CHANGES, "from_protocol", *SHARED))
    return statistics if statistics.empty else wide_changes(statistics, RUNG, ("from_protocol",))


def note(row: pd.Series) -> str:
    """Input, recipe and subjects; from which rung a change is taken."""
    change = changed_from(row, "from_protocol") or "; the first that was run"
    changes = [row[f"{metric}_change{bound}"] for metric in ("accuracy", "macro_f1") for bound in ("", "_low", "_high")]
    same = "; every subject was scored alike" if not any(changes) else ""
    return f"rung {row['rung']:.0f}; {trained_as(row)}; {measured_on(row)}{change}{same}"


CAPTION = (
    "From the released evaluation to the clean one, in the order of the configuration's ladder; a change is from the "
    "rung that was run before, which the notes name, and of all that differs between the two. Acc. (accuracy) and MF1 "
    f"(macro-F1), in percent, are pooled; changes are in percentage points. {POOLED_IS} MF1 is over the stages that "
    "were scored or predicted: all five, unless the main table's notes say otherwise. By fold: mean of the fold "
    "accuracies, as the released program takes it, without interval. Intervals in brackets: 95 %, percentile bootstrap "
    "over subjects, both nights together, 10,000 resamples; of a change, the subjects of either rung are drawn once "
    "and taken in both, on the seeds that both have. They tell how a number would vary over other subjects, not over "
    f"other trainings: with few seeds a change may be that of a training. {UNDEFINED_IS} {SOURCE_IS}"
)
NO_RUNG = "No protocol of the ladder was run on this dataset."

ARTEFACT = Table(
    name="ladder",
    place=20,
    heading="The ladder of protocols",
    caption=lambda table: NO_RUNG if table.empty else CAPTION,
    inputs=("statistics/ladder",),
    build=build,
    columns=(
        MODEL,
        PROTOCOL,
        with_interval("Acc.", "accuracy"),
        change_of("accuracy"),
        Column("By fold", number(MEAN_OF_FOLDS, ".1f"), sort_by=MEAN_OF_FOLDS),
        Column("Change", number(f"{MEAN_OF_FOLDS}_change", "+z.1f"), sort_by=f"{MEAN_OF_FOLDS}_change"),
        with_interval("MF1", "macro_f1"),
        change_of("macro_f1"),
    ),
    note=note,
    row_keys=KEY,
    in_summary=True,
)

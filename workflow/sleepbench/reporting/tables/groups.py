"""Table: results by age group and sex, and by the groups of a database that has some."""

import pandas as pd

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
    trained_as,
    wide,
    with_interval,
)
from sleepbench.reporting.few import FEW_IS, SUBJECTS
from sleepbench.reporting.reading import KEY, read_statistics
from sleepbench.reporting.rendering import Column, number, text

VALUES = ("estimate", "low", "high")
SIZES = ("n_subjects", "n_epochs", "macro_f1_stages")
SHOWN = {"F": "women", "M": "men"}


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per contender and group; none where nothing is known of the people."""
    key = (*KEY, "grouping", "group")
    groups = read_statistics(inputs, "groups", (*key, "metric", *VALUES, *SIZES))
    if groups.empty:
        return groups
    table = wide(groups, key, VALUES, SIZES)
    table.insert(table.columns.get_loc("run_keys"), "shown", table.group.replace(SHOWN))
    return table


def caption(table: pd.DataFrame) -> str:
    """What the columns mean, and which groupings are left out."""
    missing = [name for name in ("age", "sex") if name not in set(table.grouping)]
    left_out = f" Left out, as it is not known of every subject: {' and '.join(missing)}." if missing else ""
    return (NOT_KNOWN if table.empty else f"{CAPTION} {FEW_IS}") + left_out


CAPTION = (
    "Accuracy and macro-F1 in percent and Cohen's kappa, pooled over the subjects of a group, by age in years at the "
    "first night, by sex, and by what the people were given before a night, where that differs. "
    f"{POOLED_IS} {MACRO_F1_IS} {INTERVALS_ARE} Groups of few subjects have wide intervals or "
    f"none. Groups without a subject are left out. {UNDEFINED_IS} {SOURCE_IS}"
)
NOT_KNOWN = "Nothing divides the subjects of this dataset into groups."

ARTEFACT = Table(
    name="groups",
    place=110,
    heading="Results by age group and sex",
    caption=caption,
    inputs=("statistics/groups",),
    build=build,
    columns=(
        MODEL,
        PROTOCOL,
        Column("Group", text("shown"), "left"),
        SUBJECTS,
        Column("Epochs", number("n_epochs", ",.0f"), sort_by="n_epochs"),
        with_interval("Acc.", "accuracy"),
        with_interval("MF1", "macro_f1"),
        with_interval("Kappa", "cohen_kappa"),
    ),
    note=lambda row: trained_as(row) + fewer_stages(row),
    row_keys=(*KEY, "group"),
)

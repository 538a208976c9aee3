"""Table: metrics of each contender, pooled with intervals, and over its subjects."""

from collections.abc import Callable

import pandas as pd

from sleepbench.core.stages import STAGES
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import (
    INTERVALS_ARE,
    MACRO_F1_IS,
    MODEL,
    POOLED_IS,
    PROTOCOL,
    SOURCE_IS,
    UNDEFINED_IS,
    bare,
    counted,
    fewer_stages,
    form_of,
    in_percent,
    interval,
    measured_on,
    trained_as,
    wide,
)
from sleepbench.reporting.reading import CALIBRATION, KEY, OVERALL, read_statistics
from sleepbench.reporting.rendering import Column, number, shown, text

VALUES = ("estimate", "low", "high", "seed_sd")
COUNTS = ("n_subjects", "seeds", "macro_f1_stages")


def build(inputs: Inputs) -> pd.DataFrame:
    """Two rows per contender: pooled metrics with intervals, and metrics over subjects.

    The second row has the mean and spread of the metrics of its subjects.
    """
    intervals = read_statistics(inputs, "intervals", (*KEY, "metric", *VALUES, *COUNTS))
    subjects = read_statistics(inputs, "subjects", (*KEY, "subject", *OVERALL, "macro_f1_stages"))
    chosen = intervals[intervals.metric.isin((*OVERALL, CALIBRATION))]
    pooled = wide(chosen, KEY, VALUES, COUNTS).assign(over="pooled")
    pooled = pooled.drop(columns=[f"{CALIBRATION}_{bound}" for bound in ("low", "high")])
    groups = subjects.groupby(list(KEY), sort=False)
    each = pd.DataFrame({"n_subjects": groups.subject.nunique()})
    for name in OVERALL:
        each[name], each[f"{name}_sd"] = in_percent(groups[name].mean(), name), in_percent(groups[name].std(), name)
        each[f"{name}_undefined"] = groups[name].apply(lambda values: values.isna().sum())
    each["macro_f1_stages"] = groups.macro_f1_stages.min()
    each["macro_f1_fewer"] = groups.macro_f1_stages.apply(lambda stages: (stages < len(STAGES)).sum())
    # In the order of the pooled rows.
    each = pooled[[*KEY, "seeds", "run_keys"]].join(each, on=list(KEY)).assign(over="subjects")
    # Stable: the pooled row of a contender stays above that of its subjects.
    table = pd.concat([pooled, each]).sort_index(kind="stable").reset_index(drop=True)
    return table[[*(column for column in table if column != "run_keys"), "run_keys"]]


def pooled_or_spread(name: str) -> Callable[[pd.Series], str]:
    """Cells with the interval of a pooled metric, or mean ± standard deviation of a metric over subjects."""

    def cell(row: pd.Series) -> str:
        if row["over"] == "pooled":
            return interval(name)(row)
        sd, form = row[f"{name}_sd"], form_of(name)
        return bare(name, shown(row[name], form) if pd.isna(sd) else f"{row[name]:{form}} ± {sd:{form}}")

    return cell


def note(row: pd.Series) -> str:
    """Input, recipe, subjects and seeds of a row, and what is undefined.

    It also says where macro-F1 is not of all stages.
    """
    start = f"{trained_as(row)}; {measured_on(row)}"
    if row["over"] == "pooled":
        if row["seeds"] > 1:
            accuracy, f1, kappa = (row[f"{name}_seed_sd"] for name in ("accuracy", "macro_f1", "cohen_kappa"))
            start += f" (standard deviation over seeds: accuracy {accuracy:.2f}, macro-F1 {f1:.2f}, kappa {kappa:.3f})"
        return start + fewer_stages(row)
    if undefined := [name for name in OVERALL if row[f"{name}_undefined"] > 0]:
        start += "; undefined and left out: " + ", ".join(
            f"{name.replace('_', ' ')} of {counted(row[f'{name}_undefined'], 'subject')}" for name in undefined
        )
    if row["macro_f1_fewer"]:
        start += f"; macro-F1 of fewer than five stages in {counted(row['macro_f1_fewer'], 'subject')}"
    return start


ARTEFACT = Table(
    name="intervals",
    place=70,
    heading="Metrics, pooled and over subjects",
    caption=(
        f"Accuracy, balanced accuracy and macro-F1 in percent, and Cohen's kappa. {POOLED_IS} Subjects: mean ± "
        "standard deviation over subjects of each subject's own metric, so that every subject counts once. "
        f"{MACRO_F1_IS} That of a subject is of the stages that were scored or predicted in the subject. "
        f"{INTERVALS_ARE} ECE: expected calibration error in percent (15 bins of confidence), without interval. "
        f"{UNDEFINED_IS} {SOURCE_IS}"
    ),
    inputs=("statistics/intervals", "statistics/subjects"),
    build=build,
    columns=(
        MODEL,
        PROTOCOL,
        Column("Over", text("over"), "left"),
        Column("Acc.", pooled_or_spread("accuracy"), sort_by="accuracy"),
        Column("Bal. acc.", pooled_or_spread("balanced_accuracy"), sort_by="balanced_accuracy"),
        Column("MF1", pooled_or_spread("macro_f1"), sort_by="macro_f1"),
        Column("Kappa", pooled_or_spread("cohen_kappa"), sort_by="cohen_kappa"),
        Column("ECE", number(CALIBRATION, ".1f"), sort_by=CALIBRATION),
    ),
    note=note,
    row_keys=(*KEY, "over"),
)

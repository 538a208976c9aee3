"""Tables of the statistics: read from the CSV files of `statistics`, written and rendered as every other table.

As in the main table, what is a share is in percent; kappa and effect sizes are not. A table's own CSV holds what it
shows in full precision, one row per printed row.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import STAGES
from sleepbench.reporting.statistics.names import CALIBRATION, MEAN_OF_FOLDS, NETWORK, OVERALL
from sleepbench.reporting.tables.main import (
    DASH,
    MACRO_F1_IS,
    Column,
    Layout,
    fewer_stages,
    number,
    shown,
    text,
    title,
    write_table,
)

KEY = ["protocol", *NETWORK]
NOT_IN_PERCENT = ("cohen_kappa",)

MEASURES = {
    "total_sleep_time": "Total sleep time, min",
    "wake_after_sleep_onset": "Wake after sleep onset, min",
    "sleep_efficiency": "Sleep efficiency, %",
    "sleep_onset_latency": "Sleep onset latency, min",
    "rem_latency_from_sleep_onset": "REM latency, min",
    **{f"minutes_{stage}": f"{stage}, min" for stage in STAGES[1:]},
}
"""Sleep measures that the table shows; the statistics have more."""

HEADINGS = {
    "intervals": "Metrics, pooled and over subjects",
    "classes": "Metrics by stage",
    "groups": "Results by age group and sex",
    "comparisons": "Models compared over subjects",
    "ladder": "The ladder of protocols",
    "channels": "What the channels are worth",
    "sleep_measures": "Sleep measures, predicted against scored",
}
"""Titles of the tables by name, without the data they are of."""

INTERVALS_ARE = (
    "Intervals in brackets: 95 %, percentile bootstrap over subjects, both nights together, 10,000 resamples. They "
    "tell how a number would vary over other subjects, not over other trainings."
)
POOLED_IS = (
    "Pooled: computed from the sum of all confusion matrices, so that every epoch counts once; with several seeds, the "
    "mean over seeds."
)
UNDEFINED_IS = f"{DASH}: undefined, as is the interval of a single subject."
SOURCE_IS = "Measured here, from the runs that the table's CSV names in each row (run_keys)."


def read_statistics(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read a file of statistics, subjects and run keys as text; BenchmarkError when a column is missing."""
    table = pd.read_csv(path, dtype={"subject": str, "run_keys": str}, keep_default_na=False, na_values=[""])
    missing = [column for column in (*columns, "run_keys") if column not in table]
    if missing:
        raise BenchmarkError(f"{path}: the statistics lack the column {', '.join(missing)}; make them again")
    return table


def _with_run_keys(table: pd.DataFrame, statistics: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    """A table with the run keys of the statistics that its rows are made of, in the last column."""
    return table.join(statistics.drop_duplicates(key).set_index(list(key))["run_keys"], on=list(key))


def _percent(values: pd.DataFrame | pd.Series, name: str) -> pd.DataFrame | pd.Series:
    return values if name in NOT_IN_PERCENT else 100 * values


def _wide(table: pd.DataFrame, key: Sequence[str], name: str, values: Sequence[str]) -> pd.DataFrame:
    """One row per key in the order of the table; column "accuracy_low" has `low` where `name` is accuracy, in percent.

    The first of `values` gives the column "accuracy" itself.
    """
    parts = []
    for kind, rows in table.groupby(name, sort=False):
        of_kind = _percent(rows.set_index(list(key))[list(values)], kind)
        of_kind.columns = [kind, *(f"{kind}_{value}" for value in values[1:])]
        parts.append(of_kind)
    order = pd.MultiIndex.from_frame(table[list(key)].drop_duplicates())
    return pd.concat([part.reindex(order) for part in parts], axis=1).reset_index()


# -------------------------------------------------------------------------------------------------------------- cells


def form_of(name: str, sign: str = "") -> str:
    """The number format of a metric: percent with one decimal, kappa with three."""
    # z: a rounded zero has no minus sign.
    return f"{sign}z.3f" if name in NOT_IN_PERCENT else f"{sign}z.1f"


def without_zero(printed: str) -> str:
    """Numbers below 1 without the zero before the point, as kappa and p are usually printed."""
    return re.sub(r"(?<!\d)0\.", ".", printed)


def bare(name: str, printed: str) -> str:
    """A metric as it is printed: kappa without the zero before the point."""
    return without_zero(printed) if name in NOT_IN_PERCENT else printed


def interval(name: str, value: str | None = None, sign: str = "") -> Callable[[pd.Series], str]:
    """Cells "78.0 [75.1, 80.9]" of a metric, or of its column `value`; no brackets where there is no interval."""
    column, form = value or name, form_of(name, sign)

    def cell(row: pd.Series) -> str:
        low, high = row[f"{column}_low"], row[f"{column}_high"]
        printed = shown(row[column], form)
        return bare(name, printed if pd.isna(low) else f"{printed} [{low:{form}}, {high:{form}}]")

    return cell


def pooled_or_spread(name: str) -> Callable[[pd.Series], str]:
    """Cells with the interval of a pooled metric, or mean ± standard deviation of a metric over subjects."""

    def cell(row: pd.Series) -> str:
        if row["over"] == "pooled":
            return interval(name)(row)
        sd, form = row[f"{name}_sd"], form_of(name)
        return bare(name, shown(row[name], form) if pd.isna(sd) else f"{row[name]:{form}} ± {sd:{form}}")

    return cell


def p_value(name: str) -> Callable[[pd.Series], str]:
    """Cells with a p value to three decimals."""

    def cell(row: pd.Series) -> str:
        return "<.001" if row[name] < 0.001 else without_zero(shown(row[name], ".3f"))

    return cell


def inputs(row: pd.Series) -> str:
    """The set of channels and the recipe of a network."""
    return f"input {row['channels']}, recipe {row['recipe']}"


def counted(n: float, noun: str) -> str:
    """A number of things."""
    return f"{n:.0f} {noun}" + ("" if n == 1 else "s")


MODEL = Column("Model", text("network"), "left")
PROTOCOL = Column("Protocol", text("protocol"), "left")


# ---------------------------------------------------------------------------------------------------------- intervals


def intervals_table(intervals: pd.DataFrame, subjects: pd.DataFrame) -> pd.DataFrame:
    """Two rows per network: its pooled metrics with intervals, and mean and spread of the metrics of its subjects."""
    chosen = intervals[intervals.metric.isin((*OVERALL, CALIBRATION))]
    pooled = _wide(chosen, KEY, "metric", ("estimate", "low", "high", "seed_sd"))
    pooled = pooled.drop(columns=[f"{CALIBRATION}_{bound}" for bound in ("low", "high")])
    first = intervals.drop_duplicates(KEY).set_index(KEY)
    pooled = pooled.join(first[["n_subjects", "seeds", "macro_f1_stages"]], on=KEY).assign(over="pooled")
    groups = subjects.groupby(KEY, sort=False)
    each = pd.DataFrame({"n_subjects": groups.subject.nunique()}).join(first["seeds"])
    for name in OVERALL:
        each[name], each[f"{name}_sd"] = _percent(groups[name].mean(), name), _percent(groups[name].std(ddof=1), name)
        each[f"{name}_undefined"] = groups[name].apply(lambda values: values.isna().sum())
    each["macro_f1_stages"] = groups.macro_f1_stages.min()
    each["macro_f1_fewer"] = groups.macro_f1_stages.apply(lambda stages: (stages < len(STAGES)).sum())
    table = pd.concat([pooled, each.reset_index().assign(over="subjects")], ignore_index=True)
    order = {key: n for n, key in enumerate(pooled[KEY].itertuples(index=False, name=None))}
    # Stable: the pooled row of a network stays above that of its subjects.
    place = table[KEY].apply(tuple, axis=1).map(order)
    table = table.iloc[place.argsort(kind="stable")].reset_index(drop=True)
    return _with_run_keys(table, intervals, KEY)


def intervals_note(row: pd.Series) -> str:
    """Input, recipe, subjects and seeds of a row; what is undefined, and macro-F1 that are not of all stages."""
    note = f"{inputs(row)}; {counted(row['n_subjects'], 'subject')}, {counted(row['seeds'], 'seed')}"
    if row["over"] == "pooled" and row["seeds"] > 1:
        accuracy, f1, kappa = (row[f"{name}_seed_sd"] for name in ("accuracy", "macro_f1", "cohen_kappa"))
        note += f" (standard deviation over seeds: accuracy {accuracy:.2f}, macro-F1 {f1:.2f}, kappa {kappa:.3f})"
    undefined = [name for name in OVERALL if row["over"] == "subjects" and row[f"{name}_undefined"] > 0]
    if undefined:
        note += "; undefined and left out: " + ", ".join(
            f"{name.replace('_', ' ')} of {counted(row[f'{name}_undefined'], 'subject')}" for name in undefined
        )
    if row["over"] == "pooled":
        return note + fewer_stages(row)
    if row["macro_f1_fewer"]:
        note += f"; macro-F1 of fewer than five stages in {counted(row['macro_f1_fewer'], 'subject')}"
    return note


INTERVALS = Layout(
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
    note=intervals_note,
)
INTERVALS_CAPTION = (
    f"Accuracy, balanced accuracy and macro-F1 in percent, and Cohen's kappa. {POOLED_IS} Subjects: mean ± standard "
    f"deviation over subjects of each subject's own metric, so that every subject counts once. {MACRO_F1_IS} That of a "
    f"subject is of the stages that were scored or predicted in the subject. {INTERVALS_ARE} ECE: "
    f"expected calibration error in percent (15 bins of confidence), without interval. {UNDEFINED_IS} {SOURCE_IS}"
)


def write_intervals(
    intervals: str, subjects: str, dataset: str, simulated: bool, csv: str, markdown: str, latex: str
) -> None:
    """The table of pooled metrics with intervals and of metrics over subjects, from intervals.csv and subjects.csv."""
    table = intervals_table(
        read_statistics(
            intervals,
            (*KEY, "metric", "estimate", "low", "high", "n_subjects", "macro_f1_stages", "seeds", "seed_sd"),
        ),
        read_statistics(subjects, (*KEY, "subject", *OVERALL, "macro_f1_stages")),
    )
    heading = title(dataset, simulated, HEADINGS["intervals"])
    write_table(table, csv, INTERVALS, dataset, heading, INTERVALS_CAPTION, markdown, latex)


# ------------------------------------------------------------------------------------------------------------ classes


def classes_table(intervals: pd.DataFrame) -> pd.DataFrame:
    """One row per network and stage: F1, precision and recall in percent, with intervals."""
    by_class = intervals[intervals.metric.str.match(r"(f1|precision|recall)_")]
    kind, stage = by_class.metric.str.split("_", n=1).str[0], by_class.metric.str.split("_", n=1).str[1]
    long = by_class.assign(kind=kind, stage=stage)
    table = _wide(long, [*KEY, "stage"], "kind", ("estimate", "low", "high"))
    first = intervals.drop_duplicates(KEY).set_index(KEY)
    return _with_run_keys(table.join(first[["n_subjects", "seeds"]], on=KEY), intervals, KEY)


CLASSES = Layout(
    columns=(
        MODEL,
        PROTOCOL,
        Column("Stage", text("stage"), "left"),
        Column("F1", interval("f1"), sort_by="f1"),
        Column("Precision", interval("precision"), sort_by="precision"),
        Column("Recall", interval("recall"), sort_by="recall"),
    ),
    note=lambda row: f"{inputs(row)}; {counted(row['n_subjects'], 'subject')}, {counted(row['seeds'], 'seed')}",
)
CLASSES_CAPTION = (
    f"F1, precision and recall of each stage in percent, pooled. {POOLED_IS} {INTERVALS_ARE} {DASH}: undefined, a "
    f"stage that was never predicted (precision), never scored (recall) or neither (F1). {SOURCE_IS}"
)


def write_classes(intervals: str, dataset: str, simulated: bool, csv: str, markdown: str, latex: str) -> None:
    """The table of the metrics of each stage, from intervals.csv."""
    needed = (*KEY, "metric", "estimate", "low", "high", "n_subjects", "seeds")
    table = classes_table(read_statistics(intervals, needed))
    write_table(
        table, csv, CLASSES, dataset, title(dataset, simulated, HEADINGS["classes"]), CLASSES_CAPTION, markdown, latex
    )


# ------------------------------------------------------------------------------------------------------------- groups

GROUPS = Layout(
    columns=(
        MODEL,
        PROTOCOL,
        Column("Group", text("shown"), "left"),
        Column("Subjects", number("n_subjects", ".0f"), sort_by="n_subjects"),
        Column("Epochs", number("n_epochs", ",.0f"), sort_by="n_epochs"),
        Column("Acc.", interval("accuracy"), sort_by="accuracy"),
        Column("MF1", interval("macro_f1"), sort_by="macro_f1"),
        Column("Kappa", interval("cohen_kappa"), sort_by="cohen_kappa"),
    ),
    note=lambda row: inputs(row) + fewer_stages(row),
)
GROUPS_CAPTION = (
    "Accuracy and macro-F1 in percent and Cohen's kappa, pooled over the subjects of a group, by age in years at the "
    f"first night and by sex. {POOLED_IS} {MACRO_F1_IS} {INTERVALS_ARE} Groups of few subjects have wide intervals or "
    f"none. Groups without a subject are left out. {UNDEFINED_IS} {SOURCE_IS}"
)


def groups_table(groups: pd.DataFrame) -> pd.DataFrame:
    """One row per network and group."""
    key = [*KEY, "grouping", "group"]
    table = _wide(groups, key, "metric", ("estimate", "low", "high"))
    sizes = groups.drop_duplicates(key).set_index(key)[["n_subjects", "n_epochs", "macro_f1_stages"]]
    name = {"F": "women", "M": "men"}
    table = table.join(sizes, on=key).assign(shown=[name.get(group, group) for group in table.group])
    return _with_run_keys(table, groups, key)


def write_groups(groups: str, dataset: str, simulated: bool, csv: str, markdown: str, latex: str) -> None:
    """The table of results by age group and sex, from groups.csv."""
    sizes = ("n_subjects", "n_epochs", "macro_f1_stages")
    needed = (*KEY, "grouping", "group", "metric", "estimate", "low", "high", *sizes)
    table = groups_table(read_statistics(groups, needed))
    heading = title(dataset, simulated, HEADINGS["groups"])
    write_table(table, csv, GROUPS, dataset, heading, GROUPS_CAPTION, markdown, latex)


# -------------------------------------------------------------------------------------------------------- comparisons

PAIR = ["protocol", "channels", "recipe", "first", "second"]
RECIPES = ["first_recipe", "second_recipe"]
COMPARED = {"accuracy": "acc.", "macro_f1": "MF1"}
VALUES = ("median_difference", "p", "p_holm", "rank_biserial", "n_subjects", "n_zero", "smallest_p")


def comparisons_table(comparisons: pd.DataFrame) -> pd.DataFrame:
    """One row per pair of models, with the columns of each metric; differences in percentage points."""
    table = comparisons[PAIR].drop_duplicates().set_index(PAIR)
    for metric in COMPARED:
        of_metric = comparisons[comparisons.metric == metric].set_index(PAIR)[list(VALUES)]
        of_metric = of_metric.assign(median_difference=100 * of_metric.median_difference.astype(float))
        table = table.join(of_metric.add_prefix(f"{metric}_"))
    table = table.join(comparisons.drop_duplicates(PAIR).set_index(PAIR)[RECIPES])
    return _with_run_keys(table.reset_index(), comparisons, PAIR)


def comparisons_note(row: pd.Series) -> str:
    """The recipe of either model where that is its own, subjects, and how small the p values can get."""
    first, second = (row[name] for name in RECIPES)
    own = "" if first == second == row["recipe"] else f"recipes {first} and {second}; "
    used = ", ".join(
        f"{short} {row[f'{name}_n_subjects'] - row[f'{name}_n_zero']:.0f} (p cannot fall below "
        f"{row[f'{name}_smallest_p']:.2g})"
        for name, short in COMPARED.items()
    )
    return f"{own}{counted(row['accuracy_n_subjects'], 'subject')}; differences other than zero: {used}"


COMPARISONS = Layout(
    columns=(
        PROTOCOL,
        Column("Input, recipe", lambda row: f"{row['channels']}, {row['recipe']}", "left"),
        Column("First", text("first"), "left"),
        Column("Second", text("second"), "left"),
        *(
            column
            for metric, short in COMPARED.items()
            for column in (
                Column(
                    f"{short} diff.",
                    number(f"{metric}_median_difference", "+z.1f"),
                    sort_by=f"{metric}_median_difference",
                ),
                Column("p", p_value(f"{metric}_p_holm"), sort_by=f"{metric}_p_holm"),
                Column("r", number(f"{metric}_rank_biserial", "+z.2f"), sort_by=f"{metric}_rank_biserial"),
            )
        ),
    ),
    note=comparisons_note,
)
COMPARISONS_CAPTION = (
    "Models of one protocol, input and recipe compared over subjects; as published: each by the recipe of its own "
    "paper, which the notes name. Diff.: median over subjects of second - first, "
    "in percentage points of each subject's own accuracy (acc.) or macro-F1 (MF1, over the stages that were scored or, "
    "by that model, predicted in the subject), mean over seeds. p: Wilcoxon's signed-rank test, two-sided, without "
    "differences of zero, with Holm's correction for all pairs of the protocol, input and recipe. r: matched-pairs "
    "rank-biserial correlation, from -1 (the first is better in every subject) to 1 (the second is). The notes say how "
    "small p can get, before the correction, with so many differences. The CSV has p without correction too. "
    f"{SOURCE_IS}"
)
NO_PAIR = "No protocol has two models of the same input and recipe: there is nothing to compare."


def write_comparisons(comparisons: str, dataset: str, simulated: bool, csv: str, markdown: str, latex: str) -> None:
    """The table of paired comparisons, from comparisons.csv; without rows where there is nothing to compare."""
    table = comparisons_table(read_statistics(comparisons, (*PAIR, *RECIPES, "metric", *VALUES)))
    caption = NO_PAIR if table.empty else COMPARISONS_CAPTION
    heading = title(dataset, simulated, HEADINGS["comparisons"])
    write_table(table, csv, COMPARISONS, dataset, heading, caption, markdown, latex)


# ------------------------------------------------------------------------------------------------------------- ladder

RUNG = [*NETWORK, "rung", "protocol"]
RUNG_COUNTS = ("n_subjects", "n_shared", "seeds", "seeds_shared")
RUNG_VALUES = ("value", "value_low", "value_high", "change", "change_low", "change_high")


def ladder_rows(ladder: pd.DataFrame) -> pd.DataFrame:
    """One row per network and rung, in percent and percentage points."""
    numbers = ladder.astype(dict.fromkeys(RUNG_VALUES, float))
    table = _wide(numbers, RUNG, "metric", RUNG_VALUES)
    table.columns = [column.replace("_value_", "_") for column in table]
    others = ladder.drop_duplicates(RUNG).set_index(RUNG)[["from_protocol", *RUNG_COUNTS]]
    table = table.join(others, on=RUNG).astype({"n_shared": "Int64", "seeds_shared": "Int64"})
    return _with_run_keys(table, ladder, RUNG)


def ladder_note(row: pd.Series) -> str:
    """Input, recipe and subjects; against which rung a change is taken."""
    counts = f"{counted(row['n_subjects'], 'subject')}, {counted(row['seeds'], 'seed')}"
    start = f"rung {row['rung']:.0f}; {inputs(row)}; {counts}"
    if pd.isna(row["from_protocol"]):
        return f"{start}; the first that was run"
    if not row["seeds_shared"]:
        return f"{start}; no change, as no seed was run on {row['from_protocol']} too"
    shared = f"{counted(row['n_shared'], 'subject')} and {counted(row['seeds_shared'], 'seed')} in both"
    changes = [row[f"{metric}_change{bound}"] for metric in ("accuracy", "macro_f1") for bound in ("", "_low", "_high")]
    same = "; every subject was scored alike" if not any(changes) else ""
    return f"{start}; change from {row['from_protocol']}, {shared}{same}"


LADDER = Layout(
    columns=(
        MODEL,
        PROTOCOL,
        Column("Acc.", interval("accuracy"), sort_by="accuracy"),
        Column("Change", interval("accuracy", "accuracy_change", "+"), sort_by="accuracy_change"),
        Column("By fold", number(MEAN_OF_FOLDS, ".1f"), sort_by=MEAN_OF_FOLDS),
        Column("Change", number(f"{MEAN_OF_FOLDS}_change", "+z.1f"), sort_by=f"{MEAN_OF_FOLDS}_change"),
        Column("MF1", interval("macro_f1"), sort_by="macro_f1"),
        Column("Change", interval("macro_f1", "macro_f1_change", "+"), sort_by="macro_f1_change"),
    ),
    note=ladder_note,
)
LADDER_CAPTION = (
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


def write_ladder(ladder: str, dataset: str, simulated: bool, csv: str, markdown: str, latex: str) -> None:
    """The table of the ladder of protocols, from ladder.csv; without rows where none of them was run."""
    content = read_statistics(ladder, (*RUNG, "metric", *RUNG_VALUES, "from_protocol", *RUNG_COUNTS))
    table = content if content.empty else ladder_rows(content)
    heading = title(dataset, simulated, HEADINGS["ladder"])
    write_table(table, csv, LADDER, dataset, heading, NO_RUNG if table.empty else LADDER_CAPTION, markdown, latex)


# ----------------------------------------------------------------------------------------------------------- channels

OF_CHANNELS = ["from_channels", "n_channels", *RUNG_COUNTS]


def channels_rows(channels: pd.DataFrame) -> pd.DataFrame:
    """One row per network, in percent and percentage points; and one for each set that a model is not defined for."""
    measured = channels[channels.metric.notna()].astype(dict.fromkeys(RUNG_VALUES, float))
    table = _wide(measured, KEY, "metric", RUNG_VALUES)
    table.columns = [column.replace("_value_", "_") for column in table]
    table = table.join(measured.drop_duplicates(KEY).set_index(KEY)[OF_CHANNELS], on=KEY)
    table = _with_run_keys(table.assign(reason=None), measured, KEY)
    skipped = channels.loc[channels.metric.isna(), ["protocol", "title", "channels", "n_channels", "reason"]]
    table = pd.concat([table, skipped.reindex(columns=table.columns)], ignore_index=True)
    # Stable: the sets of a model stay in their order, those that it is not defined for behind the others.
    order = list(dict.fromkeys(channels.title))
    table = table.sort_values("title", key=lambda titles: titles.map(order.index), kind="stable", ignore_index=True)
    return table.astype(dict.fromkeys(("n_channels", *RUNG_COUNTS), "Int64"))


def channels_note(row: pd.Series) -> str:
    """Against which set a change is taken, on how many subjects and seeds; why there is no number."""
    if not pd.isna(row["reason"]):
        return row["reason"]
    counts = f"{inputs(row)}; {counted(row['n_subjects'], 'subject')}, {counted(row['seeds'], 'seed')}"
    if pd.isna(row["from_channels"]):
        return counts
    if not row["seeds_shared"]:
        return f"{counts}; no change, as no seed was run on {row['from_channels']} too"
    shared = f"{counted(row['n_shared'], 'subject')} and {counted(row['seeds_shared'], 'seed')} in both"
    return f"{counts}; change from {row['from_channels']}, {shared}"


def metric_alone(name: str) -> Callable[[pd.Series], str]:
    """Cells with a metric without its interval."""
    return lambda row: bare(name, shown(row[name], form_of(name)))


CHANNELS = Layout(
    columns=(
        Column("Model", text("title"), "left"),
        Column("Recipe", text("recipe"), "left"),
        Column("Input", text("channels"), "left"),
        Column("n", number("n_channels", ".0f"), sort_by="n_channels"),
        *(
            column
            for name, short in (("accuracy", "Acc."), ("macro_f1", "MF1"), ("cohen_kappa", "Kappa"))
            for column in (
                Column(short, metric_alone(name), sort_by=name),
                Column("Change", interval(name, f"{name}_change", "+"), sort_by=f"{name}_change"),
            )
        ),
    ),
    note=channels_note,
)
CHANNELS_CAPTION = (
    "The same model and recipe by set of channels (input; n: how many they are), under the clean protocol or else the "
    "last. Acc. (accuracy) and MF1 (macro-F1) in percent and Cohen's kappa are pooled; changes, in percentage points "
    f"but for kappa, are from EEG Fpz-Cz alone or else the model's smallest set, which the notes name. {POOLED_IS} "
    "Intervals in brackets: 95 %, percentile bootstrap over subjects, 10,000 resamples; subjects are drawn once and "
    "taken with both sets, on the seeds that both have. They tell how a change would vary over other subjects, not "
    f"over other trainings. The CSV has the intervals of the metrics too. {DASH}: the set that the others are compared "
    f"with; or a set that the model is not defined for, as its note says. {SOURCE_IS}"
)


def write_channels(channels: str, dataset: str, simulated: bool, csv: str, markdown: str, latex: str) -> None:
    """The table of models by set of channels, from channels.csv."""
    counts = (*OF_CHANNELS, "reason")
    table = channels_rows(read_statistics(channels, (*KEY, "metric", *RUNG_VALUES, *counts)))
    heading = title(dataset, simulated, HEADINGS["channels"])
    write_table(table, csv, CHANNELS, dataset, heading, CHANNELS_CAPTION, markdown, latex)


# ----------------------------------------------------------------------------------------------------- sleep measures


def limits(row: pd.Series) -> str:
    """Limits of agreement."""
    return DASH if pd.isna(row["low"]) else f"{row['low']:+z.1f} to {row['high']:+z.1f}"


def nights_used(row: pd.Series) -> str:
    """Nights with the measure, of all."""
    total = row["n_nights"] + row["n_undefined"]
    return f"{row['n_nights']}" if row["n_undefined"] == 0 else f"{row['n_nights']} of {total}"


SLEEP_MEASURES = Layout(
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
    note=inputs,
)
SLEEP_MEASURES_CAPTION = (
    "Mean of the scored and of the predicted nights, by the first seed. Bias: mean of predicted - scored over nights; "
    "SD: standard deviation of the differences; limits of agreement: bias ± 1.96 SD (Bland and Altman), of a single "
    "night; nights count as independent. A test night is the protocol's window, not the time between lights out and "
    "lights on: sleep efficiency and sleep onset latency depend on the window and serve for this comparison only. REM "
    "latency: from sleep onset. A night without sleep or without REM, scored or predicted, leaves measures undefined: "
    f'"n of m" nights have the measure. {SOURCE_IS}'
)


def write_sleep_measures(
    sleep_measures: str, dataset: str, simulated: bool, csv: str, markdown: str, latex: str
) -> None:
    """The table of bias and limits of agreement of sleep measures, from sleep_measures.csv."""
    needed = (*KEY, "measure", "n_nights", "n_undefined", "scored", "predicted", "bias", "sd", "low", "high")
    content = read_statistics(sleep_measures, needed)
    table = content[content.measure.isin(list(MEASURES))]
    heading = title(dataset, simulated, HEADINGS["sleep_measures"])
    write_table(table, csv, SLEEP_MEASURES, dataset, heading, SLEEP_MEASURES_CAPTION, markdown, latex)


# ------------------------------------------------------------------------------------------------------ one per script

TABLES = {
    "intervals": (write_intervals, ("intervals", "subjects")),
    "classes": (write_classes, ("intervals",)),
    "groups": (write_groups, ("groups",)),
    "comparisons": (write_comparisons, ("comparisons",)),
    "ladder": (write_ladder, ("ladder",)),
    "channels": (write_channels, ("channels",)),
    "sleep_measures": (write_sleep_measures, ("sleep_measures",)),
}
"""By name of a table, what writes it, and the files of statistics it is made of."""


def write_statistics_table(
    name: str, directory: str, dataset: str, simulated: bool, csv: str, markdown: str, latex: str
) -> None:
    """The table `name` of TABLES, from the statistics in a directory."""
    write, files = TABLES[name]
    write(*(str(Path(directory) / f"{file}.csv") for file in files), dataset, simulated, csv, markdown, latex)

"""Table: predictions that others made, scored here by the functions that score our runs.

They are of other people's trainings, by protocols as these state them: the rows stand in no other table.
"""

from typing import Any

import pandas as pd

from sleepbench.core.stages import STAGES
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import (
    INTERVALS_ARE,
    MACRO_F1_IS,
    NOT_IN_PERCENT,
    UNDEFINED_IS,
    counted,
    fewer_stages,
    metric_alone,
    with_interval,
)
from sleepbench.reporting.reading import CALIBRATION, COMPARED, OVERALL
from sleepbench.reporting.rendering import DASH, Column, number, text
from sleepbench.runs.others.labels import Labels
from sleepbench.runs.others.store import MARK, read_record, read_scores

MEASURES = ("total_sleep_time", "wake_after_sleep_onset", "sleep_efficiency", "rem_latency_from_sleep_onset")
PRINTED = (*COMPARED, *(f"f1_{stage}" for stage in STAGES))
COLUMNS = (
    *("title", "name", "mark", "input", "protocol_stated", "source", "licence", "remark"),
    *(f"{metric}{part}" for metric in PRINTED for part in ("", "_low", "_high")),
    *(f"{metric}_{part}" for metric in OVERALL for part in ("mean_of_subjects", "sd_of_subjects")),
    *(CALIBRATION, "not_the_likeliest"),
    *(f"{measure}_{part}" for measure in MEASURES for part in ("bias", "sd", "low", "high")),
    *("macro_f1_stages", "n_epochs", "n_recordings", "n_subjects", "labels_differing", "recordings_differing"),
    *("epochs_cut", "epochs_standard", "labels_said", "table_sha256"),
)


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per imported table, in the order of their names; shares in percent."""
    rows = [_row(read_record(path), read_scores(path)) for path in inputs.paths("imported")]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"not_the_likeliest": "Int64"})


def _row(record: dict[str, Any], scores: dict[str, Any]) -> dict[str, Any]:
    row = {name: record[name] for name in ("title", "name", "mark", "input", "source", "licence", "remark")}
    row |= {"protocol_stated": record["protocol"], "table_sha256": record["table"]["sha256"]}
    subjects = pd.DataFrame(scores["subjects"])
    for metric in PRINTED:
        for part, value in scores["pooled"][metric].items():
            row[metric if part == "estimate" else f"{metric}_{part}"] = _scaled(metric, value)
    for metric in OVERALL:
        values = subjects[metric].astype(float)
        row[f"{metric}_mean_of_subjects"] = _scaled(metric, values.mean())
        row[f"{metric}_sd_of_subjects"] = _scaled(metric, values.std())
    for measure in MEASURES:
        row |= {f"{measure}_{part}": scores["sleep_measures"][measure][part] for part in ("bias", "sd", "low", "high")}
    if calibration := scores["calibration"]:
        row[CALIBRATION] = 100 * calibration[CALIBRATION]
        row["not_the_likeliest"] = calibration["not_the_likeliest"]
    labels = [Labels(**one) for one in scores["labels"]]
    differing = [one for one in labels if one.differing]
    return row | {
        **{name: scores[name] for name in ("macro_f1_stages", "n_epochs", "n_recordings", "n_subjects")},
        "labels_differing": sum(one.differing for one in labels),
        "recordings_differing": len(differing),
        "epochs_cut": sum(one.cut for one in labels),
        "epochs_standard": sum(one.n_standard for one in labels),
        "labels_said": "; ".join(f"{one.recording}: {next(one.sentences())}" for one in differing) or None,
    }


def _scaled(metric: str, value: float | None) -> float | None:
    return value if value is None or metric in NOT_IN_PERCENT else 100 * value


def labels_agree(row: pd.Series) -> str:
    """Cells that say how many labels differ from the hypnograms."""
    return f"{row['labels_differing']:,} differ" if row["labels_differing"] else "agree"


def bias(row: pd.Series) -> str:
    """Cells with the bias of the total sleep time and its limits of agreement."""
    if pd.isna(row["total_sleep_time_bias"]):
        return DASH
    limits = (
        ""
        if pd.isna(row["total_sleep_time_low"])
        else (f" [{row['total_sleep_time_low']:+z.0f}, {row['total_sleep_time_high']:+z.0f}]")
    )
    return f"{row['total_sleep_time_bias']:+z.1f}{limits}"


def note(row: pd.Series) -> str:
    """Source, licence, input, what was scored, and where labels are not those of the hypnograms."""
    said = [
        f"{MARK}: {row['source']} ({row['licence']})",
        f"protocol as stated: {row['protocol_stated']}",
        f"input {'not stated' if pd.isna(row['input']) else row['input']}",
        f"{counted(row['n_recordings'], 'recording')} of {counted(row['n_subjects'], 'subject')}",
        f"mean of subjects {row['accuracy_mean_of_subjects']:.1f} ± {row['accuracy_sd_of_subjects']:.1f} %",
    ]
    if row["epochs_cut"]:
        said.append(f"{row['epochs_cut']:,} of {row['epochs_standard']:,} epochs of the standard trimming are cut")
    if not pd.isna(row["labels_said"]):
        said.append(f"labels that differ from the hypnograms are scored as in the table: {row['labels_said']}")
    if not pd.isna(row["not_the_likeliest"]) and row["not_the_likeliest"]:
        said.append(f"{row['not_the_likeliest']:.0f} predicted stages are not that of the largest probability")
    if not pd.isna(row["remark"]):
        said.append(row["remark"])
    return "; ".join(said) + fewer_stages(row)


CAPTION = (
    "Predictions that others published, checked against the hypnograms and scored here by the functions that score our "
    "runs. No network was trained for them here: training epochs in the title are those of our runs. Each row was "
    "made by the protocol that its authors state, see the notes: rows are comparable neither with each other nor with "
    "our runs where the protocols differ, so nothing is ranked. Accuracy, macro-F1 (MF1), F1 by stage and calibration "
    "error (ECE) in percent, pooled over epochs. "
    f"{MACRO_F1_IS} {INTERVALS_ARE} TST: bias of the total sleep time in minutes, predicted - scored, with limits of "
    f"agreement of a night. Labels: whether the table's stages are those of the hypnograms. {UNDEFINED_IS}"
)
NOTHING = "No predictions of others were imported for this dataset (sleepbench results import)."

ARTEFACT = Table(
    name="others_predictions",
    place=132,
    heading="Others' predictions, scored here",
    caption=lambda table: NOTHING if table.empty else CAPTION,
    inputs=("imported",),
    build=build,
    columns=(
        Column("Network", text("title"), "left"),
        with_interval("Acc.", "accuracy"),
        with_interval("MF1", "macro_f1"),
        with_interval("Kappa", "cohen_kappa"),
        *(Column(stage, metric_alone(f"f1_{stage}"), sort_by=f"f1_{stage}") for stage in STAGES),
        Column("ECE", number(CALIBRATION, ".1f"), sort_by=CALIBRATION),
        Column("TST, min", bias, sort_by="total_sleep_time_bias"),
        Column("Epochs", number("n_epochs", ",.0f"), sort_by="n_epochs"),
        Column("Labels", labels_agree, "left"),
    ),
    note=note,
)

"""Import of somebody else's predictions: check, score, keep, and say all of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import sleepbench
from sleepbench.config import paths, plan
from sleepbench.config.models import Config
from sleepbench.core.files import replacing_directory, sha256_of_file, write_json
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import DataLabel, Dataset
from sleepbench.runs.others.description import Description, read_description
from sleepbench.runs.others.labels import Labels, place, read_nights
from sleepbench.runs.others.scoring import score
from sleepbench.runs.others.store import DESCRIPTION, FORMAT, MARK, PREDICTIONS, SCORES
from sleepbench.runs.others.table import read_table
from sleepbench.runs.text import DASH, SHORT, aligned

HEADING = "Others' predictions, scored here"
MEASURES = {
    "total_sleep_time": "total sleep time, min",
    "wake_after_sleep_onset": "wake after sleep onset, min",
    "sleep_efficiency": "sleep efficiency, %",
    "rem_latency_from_sleep_onset": "REM latency, min",
}
"""Sleep measures that the terminal shows; scores.json has all."""


def import_predictions(config: Config, table: Path, description: Path | None, hypnograms: Path | None = None) -> str:
    """Check a table of predictions, score it, keep both in results/imported/NAME, and say what was found.

    Parameters
    ----------
    description : the YAML file that says what the table is of; None: the file beside it, named as it is but .yaml
    hypnograms : a directory of the dataset's original files; None: as prepared, or where the configuration says

    An earlier import of the name is replaced. BenchmarkError when anything is wrong with the files; then nothing is
    written.
    """
    said = read_description(description or table.with_suffix(".yaml"))
    dataset = plan.dataset(config, said.dataset)
    read = read_table(table, said.stages, dataset)
    not_read = read.attrs["not_read"]
    nights = read_nights(dataset, sorted(set(read.recording)), hypnograms)
    placed, labels = place(read, said.epochs, nights)
    predictions = _with_people(placed, dataset)
    scores = score(predictions, labels)
    record = {
        "format": FORMAT,
        "mark": MARK,
        **said.model_dump(),
        "simulated": dataset.label.simulated,
        "table": {"file": table.name, "sha256": sha256_of_file(table)},
        "labels_checked_against": " and ".join(sorted({night.read_from for night in nights.values()})),
        "sleepbench": sleepbench.__version__,
    }
    home = Path(paths.imported(said.name))
    replaced = home.exists()
    with replacing_directory(home) as temporary:
        predictions.to_parquet(temporary / PREDICTIONS, index=False)
        write_json(temporary / SCORES, scores)
        files = {name: sha256_of_file(temporary / name) for name in (PREDICTIONS, SCORES)}
        write_json(temporary / DESCRIPTION, {**record, "files": files})
    return "\n".join(
        [
            *_heading(dataset.label, said, record, scores, not_read),
            "",
            *_agreement(dataset, labels, scores, record["labels_checked_against"]),
            "",
            *_scores(scores),
            "",
            f"{'Replaced' if replaced else 'Written'}: {home}/; it enters no row of our runs or of published numbers.",
            f"A table of its own is made by the next run on {dataset.name}, or by: sleepbench results imported "
            f"{dataset.name}",
        ]
    )


def _with_people(placed: pd.DataFrame, dataset: Dataset) -> pd.DataFrame:
    """The table as predictions.parquet has it, with whose night each recording is."""
    people = {recording.id: recording for recording in dataset.recordings()}
    table = placed.copy()
    table.insert(1, "subject", [people[id].subject for id in table.recording])
    table.insert(2, "night", [people[id].night for id in table.recording])
    return table


# ---------------------------------------------------------------------------------------------------------------- text


def _heading(
    label: DataLabel, said: Description, record: Mapping[str, Any], scores: Mapping[str, Any], not_read: Sequence[str]
) -> list[str]:
    size = f"{scores['n_epochs']:,} epochs of {scores['n_recordings']} recordings of {scores['n_subjects']} subjects"
    table = record["table"]
    rows = [
        ("network", said.title),
        ("source", said.source),
        ("licence", said.licence),
        ("protocol", f"as stated: {said.protocol}"),
        ("input", said.input or "not stated"),
        *([("remark", said.remark)] if said.remark else []),
        ("table", f"{table['file']}, SHA-256 {table['sha256'][:SHORT]}…: {size}"),
        *([("not read", f"column {', '.join(not_read)}")] if not_read else []),
    ]
    return [label.title(HEADING), *(f"  {name:<10}{value}" for name, value in rows)]


def _agreement(dataset: Dataset, labels: Sequence[Labels], scores: Mapping[str, Any], read_from: str) -> list[str]:
    """What there is to say of labels, of recordings that are missing, and of predictions beside probabilities."""
    differing, cut = sum(one.differing for one in labels), sum(one.cut for one in labels)
    n_epochs, n_standard = scores["n_epochs"], sum(one.n_standard for one in labels)
    agree = "all labels agree" if not differing else f"{differing:,} of {n_epochs:,} labels DIFFER"
    covered = f", {cut:,} of {n_standard:,} epochs of the standard trimming are CUT" if cut else ", no epoch is cut"
    lines = [f"Labels against {read_from}: {agree}{covered}"]
    lines += [f"  {one.recording}: {'; '.join(said)}" for one in labels if (said := list(one.sentences()))]
    there = {one.recording for one in labels}
    if missing := [recording.id for recording in dataset.recordings() if recording.id not in there]:
        lines.append(f"  {len(missing)} recordings of {dataset.name} are not in the table: {', '.join(missing)}")
    if by_hypnogram := scores["against_hypnograms"]:
        lines.append(
            f"  Scored by the table's labels; by the hypnograms' {by_hypnogram['n_epochs']:,} stages the accuracy is "
            f"{100 * by_hypnogram['accuracy']:.2f} %, kappa {by_hypnogram['cohen_kappa']:.4f}"
        )
    calibration = scores["calibration"]
    if calibration and (other := calibration["not_the_likeliest"]):
        lines.append(f"  {other:,} of {n_epochs:,} predicted stages are NOT that of the largest probability")
    return lines


def _scores(scores: Mapping[str, Any]) -> list[str]:
    names = {"accuracy": "accuracy, %", "macro_f1": "macro-F1, %", "cohen_kappa": "kappa"}
    names |= {f"f1_{stage}": f"F1 of {stage}, %" for stage in STAGES}
    rows = []
    for name, heading in names.items():
        scale, form = (1, ".4f") if name == "cohen_kappa" else (100, ".2f")
        one = scores["pooled"][name]
        printed = [DASH if one[part] is None else f"{scale * one[part]:{form}}" for part in ("estimate", "low", "high")]
        each = pd.Series([subject[name] for subject in scores["subjects"]], dtype=float) * scale
        rows.append(
            (heading, printed[0], f"{printed[1]} to {printed[2]}", f"{each.mean():{form}}", f"{each.std():{form}}")
        )
    lines = aligned(("", "pooled", "95 % over subjects", "mean of subjects", "SD"), rows, left=1)
    measures = [
        (
            heading,
            *(DASH if one[part] is None else f"{one[part]:+.1f}" for part in ("bias", "low", "high")),
            str(one["n_nights"]),
        )
        for name, heading in MEASURES.items()
        for one in [scores["sleep_measures"][name]]
    ]
    lines += ["", *aligned(("predicted - scored", "bias", "from", "to (limits)", "nights"), measures, left=1)]
    if calibration := scores["calibration"]:
        lines += ["", f"expected calibration error {100 * calibration['expected_calibration_error']:.2f} %"]
    return lines

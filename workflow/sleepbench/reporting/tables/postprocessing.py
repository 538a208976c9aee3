"""The table of post-processing: the predictions of runs as they are, and smoothed, over the same subjects.

It reads what `sleepbench.postprocessing.job` wrote beside the trainings. No other table or figure does.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_file
from sleepbench.core.stages import STAGES
from sleepbench.evaluation.bootstrap import bootstrap_differences, subject_confusions
from sleepbench.evaluation.metrics import macro_f1_stages
from sleepbench.reporting.statistics.compute import COMPARED, NETWORK, read_predictions
from sleepbench.reporting.tables.main import (
    MACRO_F1_IS,
    Column,
    Layout,
    complete_runs,
    fewer_stages,
    read_runs,
    shown,
    title,
    write_table,
)
from sleepbench.reporting.tables.of_statistics import (
    INTERVALS_ARE,
    MODEL,
    NOT_IN_PERCENT,
    POOLED_IS,
    PROTOCOL,
    SOURCE_IS,
    UNDEFINED_IS,
    bare,
    counted,
    form_of,
    inputs,
    interval,
)
from sleepbench.runs.run_files import read_document, read_listed

HEADING = "Post-processing: plain and smoothed predictions"
PREDICTIONS = "predictions.parquet"
EPOCH = ["recording", "epoch", "stage"]
"""What the smoothed predictions have in common with the plain ones, row by row."""

METRIC_COLUMNS = tuple(
    f"{metric}{value}" for metric in COMPARED for value in ("", "_smoothed", "_change", "_change_low", "_change_high")
)
TABLE_COLUMNS = (
    *("protocol", *NETWORK, *METRIC_COLUMNS, "macro_f1_stages", "macro_f1_stages_smoothed", "epochs_changed"),
    *("n_epochs", "n_subjects", "folds", "seeds", "run_keys"),
)


def postprocessing_table(
    runs: pd.DataFrame, parameters: Sequence[str | Path], models: Sequence[str], protocols: Sequence[str]
) -> pd.DataFrame:
    """One row per protocol and network: pooled metrics of its runs as they are and smoothed, and the change.

    Parameters
    ----------
    runs : the runs table of one dataset, complete
    parameters : the JSON file of each smoothed run, its predictions beside it
    models, protocols : whose runs must have been smoothed

    Returns
    -------
    The columns TABLE_COLUMNS: accuracy, macro-F1 and `epochs_changed` (the share of epochs whose stage smoothing
    changes, all seeds together) in percent, kappa as it is. Changes have bootstrap intervals paired by subject.

    BenchmarkError lists every run that is not smoothed, whose smoothed predictions are of another training or of other
    epochs, or whose files were changed since they were written.
    """
    smoothed = {document["run_key"]: (path, document) for path, document in map(_read_parameters, parameters)}
    asked = runs[runs.model.isin(list(models)) & runs.protocol.isin(list(protocols))]
    rows, problems = [], []
    for key, of_network in asked.groupby(["protocol", *NETWORK], sort=False):
        ordered = of_network.sort_values(["seed", "fold"])
        plain, wrong = read_predictions(ordered)
        after, missing = _read_smoothed(ordered, smoothed)
        if not (wrong or missing):
            pairs = zip(plain, after, strict=True)
            wrong = [
                f"{', '.join(key)}: the smoothed predictions are of other epochs than the plain ones"
                for one, other in pairs
                if not _same_epochs(one, other)
            ]
        problems += [*wrong, *missing]
        if not problems:
            rows.append(dict(zip(("protocol", *NETWORK), key, strict=True)) | _compared(plain, after, ordered))
    if problems:
        raise BenchmarkError("the table of post-processing cannot be made:\n  " + "\n  ".join(problems))
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS))


def _read_parameters(path: str | Path) -> tuple[Path, dict]:
    document = read_document(Path(path), "smooth this run again")
    if missing := [key for key in ("run_key", "training_json_sha256", "files") if key not in document]:
        raise BenchmarkError(f"{path}: lacks {', '.join(missing)}; delete it and smooth this run again")
    return Path(path), document


def _read_smoothed(
    runs: pd.DataFrame, smoothed: Mapping[str, tuple[Path, dict]]
) -> tuple[list[pd.DataFrame], list[str]]:
    """The smoothed predictions of each seed, all folds together in the order of `runs`, and what is wrong with them."""
    by_seed: dict[int, list[pd.DataFrame]] = {}
    problems = []
    for run in runs.itertuples():
        if run.run_key not in smoothed:
            problems.append(f"{run.directory}, {run.selection} (run {run.run_key}): is not smoothed")
            continue
        path, document = smoothed[run.run_key]
        try:
            table = read_listed(path.parent, document, PREDICTIONS, [*EPOCH, "subject", "predicted"])
            if document["training_json_sha256"] != sha256_of_file(Path(run.directory) / "training.json"):
                raise BenchmarkError(f"{path}: is of another training than {run.directory}")
        except BenchmarkError as error:
            problems.append(f"{error}; delete {path} and run again")
            continue
        by_seed.setdefault(run.seed, []).append(table)
    return [pd.concat(tables, ignore_index=True) for tables in by_seed.values()], problems


def _same_epochs(plain: pd.DataFrame, smoothed: pd.DataFrame) -> bool:
    return len(plain) == len(smoothed) and all(
        np.array_equal(plain[name].to_numpy(), smoothed[name].to_numpy()) for name in EPOCH
    )


def _compared(plain: Sequence[pd.DataFrame], smoothed: Sequence[pd.DataFrame], runs: pd.DataFrame) -> dict:
    """The numbers of one row, from the predictions of each seed."""
    before, after = (subject_confusions(tables, check=False) for tables in (plain, smoothed))
    changes = bootstrap_differences(before, after, metrics=COMPARED)
    row = {}
    for metric, of_metric in changes.iterrows():
        scale = 1 if metric in NOT_IN_PERCENT else 100
        row |= {metric: scale * of_metric["first"], f"{metric}_smoothed": scale * of_metric.second}
        row |= {f"{metric}_change": scale * of_metric.estimate}
        row |= {f"{metric}_change_{bound}": scale * of_metric[bound] for bound in ("low", "high")}
    stages = [int(macro_f1_stages(matrices.sum(axis=1)).min()) for _, matrices in (before, after)]
    pairs = zip(plain, smoothed, strict=True)
    changed = np.mean([(one.predicted.to_numpy() != other.predicted.to_numpy()).mean() for one, other in pairs])
    return row | {
        **dict(zip(("macro_f1_stages", "macro_f1_stages_smoothed"), stages, strict=True)),
        "epochs_changed": 100 * changed,
        "n_epochs": len(plain[0]),
        "n_subjects": len(before[0]),
        "folds": f"{runs.fold.nunique()} of {runs.folds.iloc[0]}",
        "seeds": runs.seed.nunique(),
        "run_keys": " ".join(runs.run_key),
    }


def _value(name: str, column: str) -> Column:
    """A column of a metric without interval."""
    heading = "Smoothed" if column != name else {"accuracy": "Acc.", "macro_f1": "MF1", "cohen_kappa": "Kappa"}[name]
    return Column(heading, lambda row: bare(name, shown(row[column], form_of(name))), sort_by=column)


def postprocessing_note(row: pd.Series) -> str:
    """Input, recipe, what the row was measured on, and how much was smoothed."""
    counts = f"{counted(row['n_subjects'], 'subject')}, {counted(row['seeds'], 'seed')}, folds {row['folds']}"
    note = f"{inputs(row)}; {counts}; smoothing changes {row['epochs_changed']:.1f} % of {row['n_epochs']:,.0f} epochs"
    after = row["macro_f1_stages_smoothed"]
    smoothed = "" if after == row["macro_f1_stages"] else f"; smoothed, of {after:.0f} of {len(STAGES)}"
    return f"{note}{fewer_stages(row)}{smoothed}"


LAYOUT = Layout(
    columns=(
        MODEL,
        PROTOCOL,
        *(
            column
            for metric in COMPARED
            for column in (
                _value(metric, metric),
                _value(metric, f"{metric}_smoothed"),
                Column("Change", interval(metric, f"{metric}_change", "+"), sort_by=f"{metric}_change"),
            )
        ),
    ),
    note=postprocessing_note,
)
CAPTION = (
    "The predictions of each network as they are, which every other table and figure shows, and smoothed by the "
    "post-processing of MobileSleepNet, which nothing else shows. MobileSleepNet has it behind ULW-SleepNet "
    "on one EEG derivation (here input fpz, trained by the row's recipe); other rows are smoothed alike. Smoothed: "
    "the stage probabilities by a Savitzky-Golay filter (window of 5 epochs, order 2), then the stages by a hidden "
    "Markov model of 5 states, "
    "decoded by Viterbi's algorithm for each unbroken run of epochs of a recording by itself. Its initial and "
    "transition probabilities are from the scored stages of the fold's training recordings, its emissions from the "
    "network's own predictions of these, filtered alike. Here 1 is added to every count, so that no probability is 0; "
    "test recordings decide nothing. "
    "Accuracy (acc.) and macro-F1 (MF1) in percent, and Cohen's kappa; changes in percentage points and in kappa. "
    f"{POOLED_IS} {MACRO_F1_IS} {INTERVALS_ARE} A resample takes the same subjects plain and smoothed. {UNDEFINED_IS} "
    f"{SOURCE_IS}"
)
NOT_ASKED = (
    "Nothing is smoothed: the configuration (postprocessing) names no model and protocol that were run on this dataset."
)


def write_postprocessing(
    runs: str,
    parameters: Sequence[str],
    models: Sequence[str],
    protocols: Sequence[str],
    dataset: str,
    simulated: bool,
    csv: str,
    markdown: str,
    latex: str,
) -> None:
    """The table of post-processing, without rows where nothing is smoothed."""
    table = postprocessing_table(complete_runs(read_runs(runs), dataset, simulated), parameters, models, protocols)
    heading, caption = title(dataset, simulated, HEADING), NOT_ASKED if table.empty else CAPTION
    write_table(table, csv, LAYOUT, dataset, heading, caption, markdown, latex)

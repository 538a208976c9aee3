"""What lies under results/<dataset>, read and checked by the commands that stand beside the workflow."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sleepbench.config.load import dataset_of, load
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_file
from sleepbench.core.stages import STAGES
from sleepbench.evaluation.metrics import confusion_items, confusion_matrix
from sleepbench.protocols.folds import Fold, folds_of
from sleepbench.reporting.tables.main import complete_runs, main_results, read_runs
from sleepbench.runs.run_files import (
    RUN_AGAIN,
    Epochs,
    predictions_name,
    read_document,
    read_listed,
    read_record,
    uncovered,
    wrong_epochs,
)
from sleepbench.signals.quality import epochs_in_windows

CONFIG = Path("config.yaml")
SAME, CHANGED, MISSING = "as written", "CHANGED", "MISSING"
SHORT = 8
"""Digits of a hash or key that are printed where the whole would not fit."""


class RowKey(NamedTuple):
    """What tells the measured rows of the main table apart."""

    protocol: str
    model: str
    channels: str
    recipe: str

    def __str__(self) -> str:
        return f"{self.protocol}, {self.model}, {self.channels}, {self.recipe}"


@dataclass(frozen=True)
class Results:
    """The complete results on one dataset below `root`: the runs table, and each run's training.json by run key."""

    root: Path
    dataset: str
    simulated: bool
    runs: pd.DataFrame
    records: dict[str, dict]

    def rows(self) -> dict[RowKey, pd.DataFrame]:
        """The runs of each measured row of the main table."""
        return {RowKey(*key): runs for key, runs in self.runs.groupby(list(RowKey._fields), sort=False)}

    def numbers(self) -> dict[RowKey, pd.Series]:
        """The measured rows of the main table."""
        return measured_rows(self.runs, self.dataset, self.simulated)

    def predictions(self, run: pd.Series) -> pd.DataFrame:
        """The predictions of one row of the runs table; BenchmarkError when they were changed after the check."""
        return read_listed(self.root / run.directory, self.records[run.run_key], predictions_name(run.selection))


# ------------------------------------------------------------------------------------------------------------- command


def run_command(command: Callable[[], None]) -> int:
    """Call a command and return its exit status: what a user can mend is one message, not a traceback."""
    try:
        command()
    except (BenchmarkError, OSError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def read_config(dataset: str) -> dict:
    """The validated config.yaml of the current directory; BenchmarkError when it does not know the dataset."""
    config = load(CONFIG)
    dataset_of(config, dataset)  # refuses one that it does not know
    return config


def command_that_trains(dataset: str) -> str:
    """What goes on with the trainings of a dataset."""
    own = {"simulated": "make demo", "try-real": "make try-real"}
    return own.get(dataset, f"make paper DATASET={dataset}")


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Lines of a table for a terminal; the first `left` columns are aligned to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    ]


# --------------------------------------------------------------------------------------------------------------- files


def read_folds(root: Path, dataset: str, name: str) -> dict:
    """The fold file of a dataset; BenchmarkError when it is missing, half-written or was edited."""
    path = root / "results" / dataset / "folds" / f"{name}.json"
    document = read_document(path, "make the folds again")
    try:
        folds_of(document)
    except KeyError as error:
        raise BenchmarkError(f"{path}: lacks {error}; delete it and make the folds again") from error
    return document


def file_states(directory: Path, record: dict) -> dict[str, str]:
    """Whether each file of a training is as written, CHANGED or MISSING."""

    def state(name: str, sha256: str) -> str:
        path = directory / name
        return MISSING if not path.is_file() else SAME if sha256_of_file(path) == sha256 else CHANGED

    return {name: state(name, sha256) for name, sha256 in record["files"].items()}


def is_weights(name: str) -> bool:
    """Whether a file of a training holds its weights, which no number of a table is computed from."""
    return Path(name).suffix == ".pt"


# --------------------------------------------------------------------------------------------------------------- checks


def prepared_epochs(root: Path, dataset: str, simulated: bool) -> Epochs:
    """The epochs of a dataset's recordings, as far as they are prepared below `root`: an archive has none."""
    home = root / "results" / "data"
    source = home / dataset if (home / dataset).is_dir() else home / "sleep-edf"
    return epochs_in_windows(sorted((source / "prepared").glob("*.quality.json")), simulated)


def check_predictions(directory: Path, record: dict, selection: str, fold: Fold, epochs: Epochs) -> list[str]:
    """What is wrong with a run's predictions: they must cover the fold's test epochs once, and give its metrics."""
    path = directory / predictions_name(selection)
    try:
        table = pd.read_parquet(path, columns=["recording", "epoch", "stage", "predicted"])
    except (OSError, ValueError) as error:
        return [f"{path}: cannot be read ({error})"]
    problems = []
    if problem := uncovered(table.recording.unique(), fold.test):
        problems.append(f"{path}: {problem}")
    elif len(table) != record["n_epochs"]["test"]:
        problems.append(f"{path}: do not cover the fold: {len(table)} epochs of {record['n_epochs']['test']}")
    if doubled := int(table.duplicated(["recording", "epoch"]).sum()):
        problems.append(f"{path}: hold {doubled} epochs more than once")
    if not problems:
        problems += [f"{path}: {problem}" for problem in wrong_epochs(table, record["settings"]["window"], epochs)]
    if not problems and _confusion(table) != _cells(read_json(directory / selection / "metrics.json")):
        problems.append(f"{path}: do not give the metrics.json beside them")
    return problems


def _confusion(table: pd.DataFrame) -> dict[str, int] | None:
    codes = range(len(STAGES))
    if not (table.stage.isin(codes).all() and table.predicted.isin(codes).all()):
        return None
    return confusion_items(confusion_matrix(table.stage.to_numpy(), table.predicted.to_numpy()))


def _cells(numbers: dict) -> dict[str, int]:
    """The cells of a confusion matrix among the numbers of metrics.json or of a row of the runs table."""
    return {name: int(numbers[name]) for name in confusion_items(np.zeros((len(STAGES), len(STAGES))))}


def row_settings(record: dict) -> dict:
    """What all runs of one row of a table must have in common: their settings but for fold and seed, and their code."""
    return {
        **{name: value for name, value in record["settings"].items() if name not in ("fold", "seed")},
        "code_sha256": record["code_sha256"],
    }


def differing(settings: Sequence[dict]) -> list[str]:
    """Names of the settings in which some mappings differ."""
    names = dict.fromkeys(name for one in settings for name in one)
    return [name for name in names if any(one.get(name) != settings[0].get(name) for one in settings[1:])]


def read_table(root: Path, dataset: str, simulated: bool) -> pd.DataFrame:
    """The runs of a dataset's runs table; BenchmarkError when it is not there, or runs are missing or there twice."""
    table = root / "results" / dataset / "runs.csv"
    if not table.exists():
        raise BenchmarkError(
            f"{table}: not there: the experiment is not finished, or was never started "
            f"(`make tables DATASET={dataset}` shows what there is)"
        )
    try:
        runs = read_runs(table)
    except ValueError as error:
        raise BenchmarkError(f"{table}: is no table of runs ({error}); delete it and run again") from error
    home = Path("results") / dataset
    foreign = [d for d in runs.directory if not Path(d).is_relative_to(home) or ".." in Path(d).parts]
    if foreign:
        raise BenchmarkError(f"{table}: names directories outside {home}: {', '.join(foreign)}; make it again")
    return complete_runs(runs, dataset, simulated)


def measured_rows(runs: pd.DataFrame, dataset: str, simulated: bool) -> dict[RowKey, pd.Series]:
    """The measured rows of the main table over these runs."""
    published = pd.DataFrame({"model": [], "dataset": []}, dtype=str)
    table = main_results(runs, published, dataset, simulated)
    model = dict(zip(runs.run_key, runs.model, strict=True))
    return {
        RowKey(row.protocol, model[row.run_keys.split()[0]], row.channels, row.recipe): row
        for _, row in table[table.mark == "measured"].iterrows()
    }


def read_results(root: Path, dataset: str, simulated: bool, archived: bool = False) -> Results:
    """The results on a dataset with every file of its runs checked; BenchmarkError lists all that is wrong.

    A run must be there once, as the runs table lists it, of the same settings and code as the others of its row, with
    its files as they were written and predictions that cover its fold. `archived` results have no weights.
    """
    runs = read_table(root, dataset, simulated)
    epochs = prepared_epochs(root, dataset, simulated)
    records, problems, documents = {}, [], {}
    for run in runs.itertuples():
        where = f"{run.protocol}, {run.model}, seed {run.seed}, fold {run.fold} (run {run.run_key})"
        try:
            record = read_record(root / run.directory)
            name = record["settings"]["folds"]
            if name not in documents:
                documents[name] = read_folds(root, dataset, name)
            wrong = run_problems(root, run, record, documents[name], epochs, not archived)
        except BenchmarkError as error:
            problems.append(f"{where}: {error}")
            continue
        problems += [f"{where}: {problem}" for problem in wrong]
        records[run.run_key] = record
    problems += _mixed(runs, records)
    if problems:
        again = f"What to do: {RUN_AGAIN}. To run again: `{command_that_trains(dataset)}`."
        raise BenchmarkError(
            f"the results on {dataset} are not whole:\n  "
            + "\n  ".join(problems)
            + f"\n{'Have it exported again.' if archived else again}"
        )
    return Results(root, dataset, simulated, runs, records)


def run_problems(
    root: Path, run: NamedTuple, record: dict, document: dict, epochs: Epochs, with_weights: bool
) -> list[str]:
    """What is wrong with a row of the runs table; `record` is training.json's content, `document` the fold file's."""
    directory = root / run.directory
    key = record["runs"].get(run.selection, {}).get("run_key")
    if key != run.run_key:
        return [f"{directory} holds run {key or 'none'} for {run.selection}: runs.csv is of another training"]
    if run.fold >= document["k"]:
        return [f"the fold file {document['name']}.json has {document['k']} folds"]
    for name, of in (("folds_sha256", "folds"), ("data_sha256", "EDF files")):
        if record["settings"][name] != document[name]:
            return [f"{directory} was trained on other {of} than the fold file {document['name']}.json is of"]
    states = {n: s for n, s in file_states(directory, record).items() if with_weights or not is_weights(n)}
    if wrong := [f"{directory / name} is {state}" for name, state in states.items() if state != SAME]:
        return wrong
    wrong = check_predictions(directory, record, run.selection, folds_of(document)[run.fold], epochs)
    if not wrong and _cells(run._asdict()) != _cells(read_json(directory / run.selection / "metrics.json")):
        wrong.append(f"its metrics in runs.csv are not those of {directory / run.selection / 'metrics.json'}")
    return wrong


def _mixed(runs: pd.DataFrame, records: dict[str, dict]) -> list[str]:
    """Rows whose runs were not all made by the same settings and code."""
    problems = []
    for key, group in runs.groupby(list(RowKey._fields), sort=False):
        known = [run for run in group.itertuples() if run.run_key in records]
        for name in differing([row_settings(records[run.run_key]) for run in known]):
            by_value: dict[str, list[str]] = {}
            for run in known:
                value = str(row_settings(records[run.run_key]).get(name))
                by_value.setdefault(value, []).append(f"seed {run.seed} fold {run.fold}")
            listed = "; ".join(f"{value[:60]} in {', '.join(who)}" for value, who in by_value.items())
            problems.append(f"{RowKey(*key)}: {name} differs between its runs: {listed}")
    return problems

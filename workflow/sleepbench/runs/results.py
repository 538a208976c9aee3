"""What lies under results/<dataset>, read by the commands that stand beside the workflow."""

from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from sleepbench.config import paths
from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.base import DataLabel
from sleepbench.evaluation.scores import confusions, scores
from sleepbench.runs.run import RowKey, Run, run_in
from sleepbench.runs.runs_table import ROW, complete_runs, read_runs
from sleepbench.runs.text import command_that_trains
from sleepbench.runs.verify import Expected, not_whole, verify


@dataclass(frozen=True)
class Results:
    """The verified results on one dataset.

    table : the table of runs, with the `Run` of each row in the column `run`
    """

    label: DataLabel
    table: pd.DataFrame

    def rows(self) -> dict[RowKey, pd.DataFrame]:
        """The runs of each measured row of the main table."""
        return {RowKey(*key): runs for key, runs in self.table.groupby(list(ROW), sort=False)}


def read_results(expected: Expected) -> Results:
    """The results on a dataset, every file of its runs verified.

    BenchmarkError lists all that is wrong.
    """
    table = read_table(expected)
    runs, problems = [], []
    for row in table.itertuples():
        try:
            runs.append(run_of_row(row, expected.root, expected.archived))
        except BenchmarkError as error:
            where = f"{RowKey(row.protocol, row.model, row.input, row.recipe)}, seed {row.seed}, fold {row.fold}"
            problems.append(f"{where} (run {row.run_key}): {error}")
    if problems:
        raise BenchmarkError(not_whole(problems, expected))
    verify(runs, expected, table.to_dict("records"))
    return Results(expected.label, table.assign(run=runs))


def read_table(expected: Expected) -> pd.DataFrame:
    """The table of runs of a dataset.

    BenchmarkError when it is not there, or runs are missing or there twice.
    """
    path = expected.root / paths.runs(expected.dataset)
    try:
        runs = read_runs(path)
    except BenchmarkError as error:
        command = command_that_trains(expected.config, expected.dataset)
        shows = f"`sleepbench tables --datasets {expected.dataset}` shows what there is, `{command}` resumes"
        raise BenchmarkError(f"{error} ({shows})") from error
    home = Path(paths.home(expected.dataset))
    if foreign := [d for d in runs.directory if not Path(d).is_relative_to(home) or ".." in Path(d).parts]:
        raise BenchmarkError(f"{path}: names directories outside {home}: {', '.join(foreign)}; make it again")
    return complete_runs(runs, expected.label)


def run_of_row(row: tuple, root: Path = Path(), archived: bool = False) -> Run:
    """The run of a row of the table; BenchmarkError when its training.json is missing or damaged."""
    run = run_in(root / row.directory, row.protocol, row.selection, archived=archived)
    names = ("dataset", "trimming", "model", "input", "recipe", "seed", "fold")
    training = replace(run.training, **{name: getattr(row, name) for name in names})
    return replace(run, key=row.run_key, training=training)


def row_scores(runs: pd.DataFrame) -> dict[str, float]:
    """The numbers of a row of the main table, from its runs: see `scores`."""
    return scores(runs.fold.to_numpy(), runs.seed.to_numpy(), confusions(runs))

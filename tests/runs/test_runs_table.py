import pandas as pd
import pytest
from planned_results import LABEL, PlannedResults

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.base import DataLabel
from sleepbench.runs.runs_table import RUN_COLUMNS, complete_runs, read_runs

TABLE = "results/simulated/runs.csv"


@pytest.fixture
def runs(whole: PlannedResults) -> pd.DataFrame:
    return read_runs(TABLE)


def test_whole_tables_come_back_as_they_were_written(runs):
    assert {*RUN_COLUMNS} <= {*runs}
    pd.testing.assert_frame_equal(complete_runs(runs, LABEL), runs)


def test_keys_and_numbers_of_folds_stay_text(runs):
    runs.assign(run_key="0123456789012345", only_folds="").to_csv(TABLE, index=False)
    read = read_runs(TABLE)
    assert set(read.run_key) == {"0123456789012345"} and set(read.only_folds) == {""}
    runs.assign(only_folds="0").to_csv(TABLE, index=False)
    assert set(read_runs(TABLE).only_folds) == {"0"}


def test_what_is_no_table_of_runs_is_said(whole, runs):
    (whole.root / TABLE).write_text("")
    with pytest.raises(BenchmarkError, match=r"runs\.csv: is no table of runs .*delete it and run again"):
        read_runs(TABLE)
    runs.drop(columns=["input", "n_test"]).to_csv(TABLE, index=False)
    with pytest.raises(BenchmarkError, match="the runs table lacks input, n_test"):
        read_runs(TABLE)
    (whole.root / TABLE).unlink()
    with pytest.raises(BenchmarkError, match=r"runs\.csv: not there: the experiment is not finished"):
        read_runs(TABLE)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda runs: runs[runs.fold != 2], "protocol released, .*seed 32: fold 2 of 4 missing"),
        (lambda runs: pd.concat([runs, runs.iloc[[0]]]), r"fold 0: there 2 times \(runs "),
        (lambda runs: runs.assign(trimming=["authors", *["standard"] * 7]), "trimming differs between runs"),
        (lambda runs: runs.assign(recipe_settings=["{}", *runs.recipe_settings[1:]]), "recipe_settings differs"),
        (lambda runs: runs.assign(only_folds="0 1 2 3 5"), "fold 5 of 4 missing"),
    ],
)
def test_runs_that_cannot_be_summarised_are_named(runs, change, said):
    with pytest.raises(BenchmarkError, match=said):
        complete_runs(change(runs), LABEL)


def test_only_the_folds_that_are_asked_for_need_be_there(runs):
    some = runs[runs.fold.isin([0, 2])].assign(only_folds="0 2")
    assert len(complete_runs(some, LABEL)) == 4


def test_runs_on_another_dataset_or_kind_of_data_are_refused(runs):
    with pytest.raises(BenchmarkError, match=r"no run on sleep-edf-20 \(datasets there: simulated\)"):
        complete_runs(runs, DataLabel("sleep-edf-20", "Sleep-EDF-20"))
    with pytest.raises(BenchmarkError, match="says simulated: True of simulated, but simulated: False was asked for"):
        complete_runs(runs, DataLabel("simulated", "simulated"))

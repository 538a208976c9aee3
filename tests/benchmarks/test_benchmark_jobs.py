"""Times and memory gathered from Snakemake's benchmark files."""

from pathlib import Path

import pandas as pd
import pytest

from sleepbench.benchmarks import jobs
from sleepbench.config.load import load
from sleepbench.config.plan import dataset
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import write_json

CONFIG = Path(__file__).parents[2] / "config.yaml"
BENCHMARKS, LOGS = Path("results/benchmarks"), Path("results/logs")
TRAINING = "simulated/trainings/subject-2/standard/eegnet/one/common/seed-1"

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def write(path, seconds, megabytes, cpu):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}{seconds}\t0:00:01\t{megabytes}\t1\t1\t1\t0\t0\t90\t{cpu}\n")


def write_log(path, megabytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"said something\npeak memory {megabytes} MB\n")


@pytest.fixture
def simulated(tmp_path, monkeypatch):
    """The dataset `simulated`, in a directory without results."""
    monkeypatch.chdir(tmp_path)
    return dataset(load(CONFIG), "simulated")


def test_jobs_are_gathered_by_kind(simulated):
    write(BENCHMARKS / "data/simulated/verified/SC4001.tsv", 8, 90, 8)
    for i, seconds in enumerate((1.0, 4.0, 2.0)):
        write(BENCHMARKS / f"data/simulated/prepared/SC40{i}1.tsv", seconds, 100 + i, 0.5)
    write_log(LOGS / "data/simulated/prepared/SC4001.log", 250)
    write(BENCHMARKS / TRAINING / "fold-0.tsv", 60, "-", 50)
    write(BENCHMARKS / TRAINING.replace("trainings", "postprocessed") / "fold-0/last.tsv", 6, 100, 5)
    write(BENCHMARKS / "simulated/statistics.tsv", 3, 10, 2)
    write(BENCHMARKS / "simulated/tables/ladder.tsv", 2, 11, 1)
    write(BENCHMARKS / "other/tables/ladder.tsv", 99, 11, 1)
    table = jobs.job_table(simulated).set_index("job")
    assert list(table.index) == ["simulate", "prepare", "train", "smooth", "report"]
    assert table.loc["prepare"].to_dict() == {
        "jobs": 3,
        "wall s, all": 7,
        "median": 2,
        "most": 4,
        "cpu s, all": 1.5,
        "peak MB": 250,
    }
    assert table.loc["train", "wall s, all"] == 60  # without a record of what was evaluated
    assert table.loc["report"][["jobs", "wall s, all", "most", "cpu s, all"]].tolist() == [2, 5, 3, 3]


def test_downloads_are_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(BENCHMARKS / "data/sleep-edf/verified/SC4001.tsv", 800, 90, 8)
    write(BENCHMARKS / "data/sleep-edf/prepared/SC4001.tsv", 8, 90, 8)
    assert jobs.job_table(dataset(load(CONFIG), "sleep-edf-20")).job.tolist() == ["prepare"]


def test_a_training_job_is_divided_by_the_recorded_time_of_evaluation(simulated):
    write(BENCHMARKS / TRAINING / "stack-0-1.tsv", 60, 300, 50)  # resumed: 200 s were trained in all
    write(BENCHMARKS / TRAINING / "fold-2.tsv", 40, 200, 40)
    for fold, evaluated in enumerate((20, 30, 0)):
        record = {"duration_s": 100, "timing": {"evaluation_s": evaluated}}
        write_json(Path("results", TRAINING, f"fold-{fold}/training.json"), record)
    table = jobs.job_table(simulated).set_index("job")
    assert table.loc["evaluate"][["jobs", "wall s, all", "cpu s, all", "peak MB"]].tolist() == [
        1, 15, 12.5, pytest.approx(300 * 2**20 / 1e6)
    ]  # fmt: skip
    assert table.loc["train"][["jobs", "wall s, all", "cpu s, all"]].tolist() == [2, 85, 77.5]


def test_the_table_is_printed_and_written(simulated, capsys):
    Path("config.yaml").write_text(CONFIG.read_text(encoding="utf-8"), encoding="utf-8")
    write(BENCHMARKS / "simulated/tables/claims.tsv", 1.25, 100, 0.5)
    jobs.print_jobs("simulated")
    written = Path("results/benchmarks/simulated/benchmark.csv")
    assert pd.read_csv(written)["job"].tolist() == ["report"]
    output = capsys.readouterr().out
    assert "report" in output and str(written) in output and "same jobs" not in output and "profile" not in output


def test_nothing_run_is_said(simulated):
    for _ in range(2):
        with pytest.raises(BenchmarkError, match="no job of simulated has been run"):
            jobs.job_table(simulated)
        write(BENCHMARKS / "profile/ulw_sleepnet-4.tsv", 3, 10, 2)  # of another dataset's run, it may be

"""Times and memory gathered from Snakemake's benchmark files."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from sleepbench.benchmarks import jobs as benchmark
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import write_json

CONFIG = Path(__file__).parents[2] / "config.yaml"

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def write(path, seconds, megabytes, cpu):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}{seconds}\t0:00:01\t{megabytes}\t1\t1\t1\t0\t0\t90\t{cpu}\n")


def write_log(path, megabytes):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"said something\npeak memory {megabytes} MB\n")


def test_jobs_are_gathered_by_kind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i, seconds in enumerate((1.0, 4.0, 2.0)):
        write(benchmark.BENCHMARKS / f"data/sleep-edf/prepare-SC40{i}1.tsv", seconds, 100 + i, 0.5)
    write_log(benchmark.LOGS / "data/sleep-edf/prepare-SC4001.log", 250)
    write(benchmark.BENCHMARKS / "mine/trainings/a/b/group-0.tsv", 60, "-", 50)
    write(benchmark.BENCHMARKS / "mine/statistics.tsv", 3, 10, 2)
    write(benchmark.BENCHMARKS / "mine/ladder_table.tsv", 2, 11, 1)
    write(benchmark.BENCHMARKS / "other/ladder_table.tsv", 99, 11, 1)
    table = benchmark.benchmark_table("sleep-edf", "mine").set_index("job")
    assert list(table.index) == ["prepare", "train", "report"]
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


def test_a_training_job_is_divided_by_the_recorded_time_of_evaluation(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(benchmark.BENCHMARKS / "mine/trainings/a/group-0-1.tsv", 60, 300, 50)  # resumed: 200 s were trained in all
    write(benchmark.BENCHMARKS / "mine/trainings/a/group-2.tsv", 40, 200, 40)
    home = Path("results/mine/trainings/a")
    for fold, evaluated in enumerate((20, 30, 0)):
        write_json(home / f"fold-{fold}/training.json", {"duration_s": 100, "timing": {"evaluation_s": evaluated}})
    for group, folds in {"0-1": (0, 1), "2": (2,)}.items():
        trainings = [{"directory": str(home / f"fold-{fold}")} for fold in folds]
        write_json(home / f"group-{group}.json", {"trainings": trainings})
    table = benchmark.benchmark_table("sleep-edf", "mine").set_index("job")
    assert table.loc["evaluate"][["jobs", "wall s, all", "cpu s, all", "peak MB"]].tolist() == [
        1, 15, 12.5, pytest.approx(300 * 2**20 / 1e6)
    ]  # fmt: skip
    assert table.loc["train"][["jobs", "wall s, all", "cpu s, all"]].tolist() == [2, 85, 77.5]


def test_the_table_is_printed_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmark, "load", lambda: yaml.safe_load(CONFIG.read_text(encoding="utf-8")))
    write(benchmark.BENCHMARKS / "simulated/claims.tsv", 1.25, 100, 0.5)
    benchmark.main("simulated")
    written = Path("results/benchmarks/simulated/benchmark.csv")
    assert pd.read_csv(written)["job"].tolist() == ["report"]
    output = capsys.readouterr().out
    assert "report" in output and str(written) in output and "same jobs" not in output and "profile" not in output


def test_nothing_run_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        with pytest.raises(BenchmarkError, match="no job of mine has been run"):
            benchmark.benchmark_table("sleep-edf", "mine")
        write(benchmark.BENCHMARKS / "profile/ulw_sleepnet-4.tsv", 3, 10, 2)  # of another dataset's run, it may be

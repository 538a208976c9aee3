"""Times and memory gathered from Snakemake's benchmark files."""

import pytest

from sleepbench import benchmark
from sleepbench.errors import BenchmarkError

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
    table = benchmark.benchmark_table("sleep-edf", "mine").set_index("job")
    assert list(table.index) == ["prepare", "train and evaluate"]
    assert table.loc["prepare"].to_dict() == {
        "jobs": 3,
        "wall s, all": 7,
        "median": 2,
        "most": 4,
        "cpu s, all": 1.5,
        "peak MB": 250,
    }
    assert table.loc["train and evaluate", "wall s, all"] == 60


def test_nothing_run_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BenchmarkError, match="no job of mine has been run"):
        benchmark.benchmark_table("sleep-edf", "mine")

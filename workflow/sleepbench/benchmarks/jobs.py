"""Where the time went: Snakemake's benchmark files of a dataset, gathered by kind of job. Downloads are left out.

python -m sleepbench.benchmarks.jobs DATASET
"""

import re
import sys
from pathlib import Path

import pandas as pd

from sleepbench.config.load import data_directory, dataset_of, load
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, replacing
from sleepbench.runs.clean import size_gb

BENCHMARKS = Path("results/benchmarks")
LOGS = Path("results/logs")
TRAIN, EVALUATE = "train", "evaluate"
SPLIT = (
    f"{TRAIN} and {EVALUATE} are the same jobs: their time is divided by what each training recorded of its own time; "
    f"start-up and writing are in {TRAIN}."
)
OF_ALL_DATASETS = "profile"
SHARED = f"{OF_ALL_DATASETS} is of all datasets: a network is profiled once for all of them."
PEAK = re.compile(r"^peak memory (\d+) MB$", re.MULTILINE)


def read_benchmarks(directory: Path, pattern: str) -> pd.DataFrame:
    """One row per benchmark file below `directory` that matches: path, s, cpu_time, and peak_mb, in 10^6 bytes.

    A job's own log knows its peak memory; Snakemake samples it, which misses that of a job of seconds, but sees also
    the processes that a job starts.
    """
    rows = []
    for path in sorted(directory.glob(pattern)):
        row = pd.read_csv(path, sep="\t", na_values=["-", "NA"]).iloc[-1]
        log = (LOGS / path.relative_to(BENCHMARKS)).with_suffix(".log")
        logged = PEAK.findall(log.read_text(encoding="utf-8")) if log.exists() else []
        peaks = [row.max_rss * 2**20 / 1e6, *map(float, logged)]
        rows.append({"path": path, "s": row.s, "cpu_time": row.cpu_time, "peak_mb": pd.Series(peaks).max()})
    return pd.DataFrame(rows, columns=["path", "s", "cpu_time", "peak_mb"])


def train_and_evaluate(jobs: pd.DataFrame, results: Path = Path("results")) -> dict[str, pd.DataFrame]:
    """Training jobs as what they trained and what they evaluated, by the share that evaluation had in their trainings.

    A job without a record of it (of an older version, or whose trainings are no longer there) counts as training.
    """
    receipts = [results / path.relative_to(BENCHMARKS).with_suffix(".json") for path in jobs.path]
    shares = pd.Series([_share_of_evaluation(receipt) for receipt in receipts], index=jobs.index, dtype=float)

    def of_each(share: pd.Series) -> pd.DataFrame:
        return jobs.assign(s=jobs.s * share, cpu_time=jobs.cpu_time * share)

    return {TRAIN: of_each(1 - shares), EVALUATE: of_each(shares)[shares > 0]}


def _share_of_evaluation(receipt: Path) -> float:
    """Of the seconds that the trainings of a receipt took, those that evaluated."""
    trainings = read_json(receipt)["trainings"] if receipt.exists() else []
    paths = [Path(training["directory"]) / "training.json" for training in trainings]
    records = [read_json(path) for path in paths if path.exists()]
    evaluating = sum(record.get("timing", {}).get("evaluation_s", 0) for record in records)
    return evaluating / sum(record["duration_s"] for record in records) if evaluating else 0.0


def summarise(kinds: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per kind of job: number of jobs, seconds in all, median and most of a job, CPU seconds, peak memory."""
    rows = [
        {
            "job": kind,
            "jobs": len(jobs),
            "wall s, all": jobs.s.sum(),
            "median": jobs.s.median(),
            "most": jobs.s.max(),
            "cpu s, all": jobs.cpu_time.sum(),
            "peak MB": jobs.peak_mb.max(),
        }
        for kind, jobs in kinds.items()
        if len(jobs)
    ]
    return pd.DataFrame(rows)


def benchmark_table(source: str, dataset: str) -> pd.DataFrame:
    """What the jobs of a dataset took, by kind; BenchmarkError when none has been run."""
    data = BENCHMARKS / "data" / source
    kinds = {
        "simulate": read_benchmarks(data, "simulate.tsv"),
        "prepare": read_benchmarks(data, "prepare-*.tsv"),
        **train_and_evaluate(read_benchmarks(BENCHMARKS / dataset, "trainings/**/group-*.tsv")),
        "smooth": read_benchmarks(BENCHMARKS / dataset, "postprocessed/**/fold-*.tsv"),
        OF_ALL_DATASETS: read_benchmarks(BENCHMARKS, "profile/*.tsv"),
        "report": read_benchmarks(BENCHMARKS / dataset, "*.tsv"),
    }
    table = summarise(kinds)
    if table.empty or set(table.job) == {OF_ALL_DATASETS}:
        raise BenchmarkError(f"{BENCHMARKS}: no job of {dataset} has been run here; run `make demo` or `make prepare`")
    return table


def main(name: str) -> None:
    """Print the table and the gigabytes on disk; write the table beside the benchmark files it is made from."""
    config = load()
    dataset = dataset_of(config, name)
    table = benchmark_table(dataset.source, name)
    print(table.to_string(index=False, float_format="{:.1f}".format))
    if EVALUATE in set(table.job):
        print(SPLIT)
    if OF_ALL_DATASETS in set(table.job):
        print(SHARED)
    raw = Path("results/data", dataset.source, "raw") if dataset.simulation else data_directory(config)
    for what, path in (("EDF files", raw), ("prepared", Path("results/data", dataset.source, "prepared"))):
        if path.exists():
            print(f"{what} ({path}): {size_gb(path):.2f} GB")
    written = BENCHMARKS / name / "benchmark.csv"
    with replacing(written) as temporary:
        table.round(1).to_csv(temporary, index=False)
    print(written)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except BenchmarkError as error:
        sys.exit(f"Error: {error}")

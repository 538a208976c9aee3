"""Where the time went: Snakemake's benchmark files of a dataset, gathered by kind of job.

Downloads are left out.
"""

import re
from pathlib import Path

import pandas as pd

from sleepbench.config import paths
from sleepbench.config.load import load
from sleepbench.config.plan import dataset
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, replacing
from sleepbench.datasets.base import Dataset
from sleepbench.runs.clean import size_gb

TRAIN, EVALUATE = "train", "evaluate"
SPLIT = (
    f"{TRAIN} and {EVALUATE} are the same jobs: their time is divided by what each training recorded of its own time; "
    f"start-up and writing are in {TRAIN}."
)
PROFILE = "profile"
SHARED = f"{PROFILE} is of all datasets: a network is profiled once for all of them."
PEAK = re.compile(r"^peak memory (\d+) MB$", re.MULTILINE)
COLUMNS = ("path", "s", "cpu_time", "peak_mb")


def read_benchmarks(*patterns: str) -> pd.DataFrame:
    """One row per benchmark file that matches: path, s, cpu_time, and peak_mb, in 10^6 bytes.

    A job's own log knows its peak memory; Snakemake samples it, which misses that of a job of seconds, but sees also
    the processes that a job starts.
    """
    rows = []
    for path in sorted(path for pattern in patterns for path in Path().glob(pattern)):
        row = pd.read_csv(path, sep="\t", na_values=["-", "NA"]).iloc[-1]
        log = Path(paths.LOGS, path.relative_to(paths.BENCHMARKS)).with_suffix(".log")
        logged = PEAK.findall(log.read_text(encoding="utf-8")) if log.exists() else []
        peaks = [row.max_rss * 2**20 / 1e6, *map(float, logged)]
        rows.append((path, row.s, row.cpu_time, pd.Series(peaks).max()))
    return pd.DataFrame(rows, columns=COLUMNS)


def train_and_evaluate(jobs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Training jobs with their time divided into training and evaluation.

    It is divided by the share that evaluation had in the trainings of a job.

    A job without a record of it (of an older version, or whose trainings are no longer there) counts as training.
    """
    shares = pd.Series([_share_of_evaluation(path) for path in jobs.path], index=jobs.index, dtype=float)

    def parts(share: pd.Series) -> pd.DataFrame:
        return jobs.assign(s=jobs.s * share, cpu_time=jobs.cpu_time * share)

    return {TRAIN: parts(1 - shares), EVALUATE: parts(shares)[shares > 0]}


def _share_of_evaluation(benchmark: Path) -> float:
    """Share of evaluation in the seconds that a job's trainings took, 0 to 1.

    `benchmark` is the file of the job, such as fold-3.tsv or stack-0-4.tsv.
    """
    home = Path(paths.RESULTS, benchmark.parent.relative_to(paths.BENCHMARKS))
    first, *last = map(int, benchmark.stem.split("-")[1:])
    records = [home / f"fold-{fold}" / "training.json" for fold in range(first, (last or [first])[0] + 1)]
    found = [read_json(record) for record in records if record.exists()]
    evaluating = sum(record.get("timing", {}).get("evaluation_s", 0) for record in found)
    return evaluating / sum(record["duration_s"] for record in found) if evaluating else 0.0


def summarise(kinds: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per kind of job: number of jobs, wall and CPU seconds, and peak memory.

    The wall seconds are the sum over all jobs, and the median and maximum of a job; memory is in 10^6 bytes.
    """
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


def job_table(one: Dataset) -> pd.DataFrame:
    """What the jobs of a dataset took, by kind; BenchmarkError when none has been run."""
    home = f"{paths.BENCHMARKS}/{one.name}"
    is_written_here = one.label.simulated and not one.source_settings.base_url
    kinds = {
        "simulate": read_benchmarks(*([paths.benchmark(paths.receipt(one.source, "*"))] if is_written_here else [])),
        "prepare": read_benchmarks(paths.benchmark(paths.prepared(one.source, "*"))),
        **train_and_evaluate(read_benchmarks(f"{home}/trainings/**/fold-*.tsv", f"{home}/trainings/**/stack-*.tsv")),
        "smooth": read_benchmarks(f"{home}/postprocessed/**/*.tsv"),
        PROFILE: read_benchmarks(paths.benchmark(paths.profile("*", "*"))),
        "report": read_benchmarks(f"{home}/*.tsv", f"{home}/tables/*.tsv", f"{home}/figures/*.tsv"),
    }
    table = summarise(kinds)
    if table.empty or set(table.job) == {PROFILE}:
        raise BenchmarkError(
            f"{paths.BENCHMARKS}: no job of {one.name} has been run here; run one first: sleepbench run"
        )
    return table


def print_jobs(name: str) -> None:
    """Print and write the table of jobs; print the gigabytes on disk.

    The table is written beside the benchmark files it is made from.
    """
    one = dataset(load(), name)
    table = job_table(one)
    print(table.to_string(index=False, float_format="{:.1f}".format))
    for kind, sentence in ((EVALUATE, SPLIT), (PROFILE, SHARED)):
        if kind in set(table.job):
            print(sentence)
    prepared = Path(paths.prepared(one.source, "any")).parent
    for what, path in (("recordings", one.directory(paths.raw(one.files_source))), ("prepared", prepared)):
        if path.exists():
            print(f"{what} ({path}): {size_gb(path):.2f} GB")
    written = Path(paths.BENCHMARKS, name, "benchmark.csv")
    with replacing(written) as temporary:
        table.round(1).to_csv(temporary, index=False)
    print(written)

"""Time and memory of the reporting on many finished runs: `sleepbench benchmark reporting`.

In a temporary directory it makes up the files of finished runs on two datasets of the sizes of Sleep-EDF-20 and -78, of
four protocols, ten models and twenty folds each, then makes all statistics, tables, figures, the report and the summary
from them. Two datasets go side by side and every step is a process of its own, as with Snakemake on two cores;
Snakemake and MLflow themselves are not timed, nor is the making up. It fails when all of it takes more than LIMIT_S
seconds, or when the largest processes of both datasets together have more than LIMIT_GB of memory.
"""

import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from sleepbench.config import paths
from sleepbench.core.files import read_json, write_json
from sleepbench.reporting import artefacts
from sleepbench.reporting.declared import declared

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import fake_results
from fake_results import FakeResults

LIMIT_S, LIMIT_GB = 180, 4
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""The environment that Snakemake gives a job of one thread."""
NIGHTS_PER_FOLD = {"40 nights": 2, "160 nights": 8}
"""By dataset; with two nights a subject that is about as many as Sleep-EDF-20 and -78 have."""
FOLDS, TRAINING_EPOCHS, BOUTS = 20, 50, 3
TITLES = ("ULW-SleepNet", *(f"Network {letter}" for letter in "BCDEFGHIJ"))
MADE_UP = "made_up.pickle"

# Every protocol tests nearly every night here, and the nights are as long as real ones, which is the most to be read.
fake_results.NIGHT = fake_results.NIGHT * BOUTS
fake_results.PROTOCOLS["all_recordings"] = fake_results.PROTOCOLS["released"] | {"remainder": "kept"}
PROTOCOLS = tuple(fake_results.PROTOCOLS)


def make_up(root: Path, nights_per_fold: int) -> tuple[int, int]:
    """Make up all files of a dataset; the numbers of runs and of predicted epochs."""
    results = FakeResults(
        root,
        protocols=PROTOCOLS,
        models=TITLES,
        n_folds=FOLDS,
        nights_per_fold=nights_per_fold,
        training_epochs=TRAINING_EPOCHS,
    )
    for title, path in zip(TITLES, profiles(results), strict=True):
        write_json(path, {**fake_results.PROFILE, "model": path.stem.removesuffix("-4"), "title": title})
    (root / MADE_UP).write_bytes(pickle.dumps(results))
    runs = results.read_runs()
    return len(runs), int(runs.n_test.sum())


def profiles(results: FakeResults) -> list[Path]:
    """The profile of every network."""
    return [
        results.path(paths.profile(title.lower().replace("-", "_").replace(" ", "_"), 4)) for title in results.models
    ]


def steps() -> list[str]:
    """What is made, in order, as `run_step` understands it."""
    made = [f"{room} {name}" for room in ("statistics", "tables", "figures") for name in declared(room)]
    return ["audit", *made, "report", "summary"]


def run_step(results: FakeResults, step: str) -> None:
    """Make one thing; modules are imported here, as the script of its rule would."""
    room, _, name = step.partition(" ")
    changed = {"profiles": profiles(results)}

    def made(path: str) -> Path:
        return results.path(path)

    if room == "audit":
        from sleepbench.reporting.audit import write_audit

        totals = dict.fromkeys(map(results.totals_path, PROTOCOLS))
        protocols = {protocol: results.settings(protocol) for protocol in PROTOCOLS}
        write_audit(protocols, results.folds, totals, results.label, results.files["audit"])
    elif room == "statistics":
        one = artefacts.statistics()[name]
        files = {file: results.statistics(file) for file in one.names}
        artefacts.make_statistics(one, results.inputs(one, changed), files)
    elif room == "tables":
        from sleepbench.reporting.rendering import make_table

        one = artefacts.tables()[name]
        forms = [made(paths.table(results.dataset, name, form)) for form in ("csv", "md", "tex")]
        make_table(one, results.inputs(one, changed), *forms)
    elif room == "figures":
        from sleepbench.reporting.figures.style import make_figure

        one = artefacts.figures()[name]
        forms = [made(paths.figure(results.dataset, name, form)) for form in ("png", "pdf", "csv")]
        make_figure(one, results.inputs(one, changed), *forms)
    elif room == "report":
        from sleepbench.reporting.page.report import dataset_report

        dataset_report(
            results.label,
            {table: made(paths.table(results.dataset, table)) for table in declared("tables")},
            {figure: made(paths.figure(results.dataset, figure)) for figure in declared("figures")},
            results.runs,
            results.folds,
            results.files["audit"],
            profiles(results),
            made(paths.report(results.dataset)),
        )
    else:
        from sleepbench.reporting.page.summary import write_summary

        shown = [table for table, one in declared("tables").items() if one.in_summary]
        write_summary(
            results.label,
            read_json(results.files["audit"])["protocols"],
            [made(paths.table(results.dataset, table, "md")) for table in shown],
            [made(paths.figure(results.dataset, figure)) for figure in declared("figures")],
            made(paths.summary(results.dataset)),
        )


def timed_steps(root: Path) -> list[tuple[str, float, float, float]]:
    """Each step in a process of its own: its name, seconds, seconds on the CPU and largest memory in GB."""
    done = []
    for step in steps():
        began = time.perf_counter()
        command = [sys.executable, __file__, str(root), step]
        # The last line has CPU seconds and memory; a step may print before it.
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=ONE_THREAD).stdout
        done.append((step, time.perf_counter() - began, *map(float, output.splitlines()[-1].split())))
    return done


def benchmark(root: Path) -> bool:
    """Make up the runs, time the steps and print them; whether they kept within the limits."""
    began, roots = time.perf_counter(), [root / name.replace(" ", "_") for name in NIGHTS_PER_FOLD]
    # In processes of their own: a child's largest memory is never less than its parent's was when it began.
    with ProcessPoolExecutor(len(roots)) as pool:
        made = list(pool.map(make_up, roots, NIGHTS_PER_FOLD.values()))
    for name, (n_runs, n_epochs) in zip(NIGHTS_PER_FOLD, made, strict=True):
        print(f"{name}: {n_runs} runs, {n_epochs:,} predicted epochs")
    print(f"made up in {time.perf_counter() - began:.0f} s, which do not count\n", flush=True)
    began = time.perf_counter()
    with ThreadPoolExecutor(len(roots)) as pool:
        done = list(pool.map(timed_steps, roots))
    seconds = time.perf_counter() - began
    print(f"{'step':<26}" + "".join(f"{name:>34}" for name in NIGHTS_PER_FOLD))
    for same in zip(*done, strict=True):
        print(f"{same[0][0]:<26}" + "".join(_shown(*numbers) for _, *numbers in same))
    most = [max(memory for *_, memory in one) for one in done]
    sums = [np.sum([numbers for _, *numbers in one], axis=0) for one in done]
    totals = zip(sums, most, strict=True)
    print(f"{'in all':<26}" + "".join(_shown(taken, on_cpu, memory) for (taken, on_cpu, _), memory in totals))
    print(f"\n{seconds:.0f} s (limit {LIMIT_S} s), at most {sum(most):.2f} GB side by side (limit {LIMIT_GB} GB)")
    return seconds < LIMIT_S and sum(most) < LIMIT_GB


def _shown(seconds: float, on_cpu: float, memory: float) -> str:
    return f"{seconds:>11.1f} s, CPU {on_cpu:>5.1f} s {memory:>5.2f} GB"


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark, or one step of it in this process.

    Without arguments it runs the benchmark; with a directory of made-up results and a step, that step alone.
    """
    if arguments:
        root, step = arguments
        run_step(pickle.loads(Path(root, MADE_UP).read_bytes()), step)
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9)
        return 0
    with tempfile.TemporaryDirectory(prefix="sleepbench-") as folder:
        return 0 if benchmark(Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

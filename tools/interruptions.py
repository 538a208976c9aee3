"""Kinds of interruption: runs and jobs that are killed at random moments, and a disk that is full at a job."""

import contextlib
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import forked
import psutil
from damage import LOGGED, RUNS, STATISTICS, STORE, TABLES, TOTALS_FILE, ask_again, files_of
from trials import DATA, FOLDS, HOME, PREDICTED, SKIPPED, SMOOTHED, TRAINING, Kind, Project, Result, Workshop

PRODUCTS = [PREDICTED, RUNS, STATISTICS, TABLES, f"{DATA}/prepared/*.npy", f"{DATA}/prepared/*.epochs.csv"]
LIVES = 10
"""Times that one run is killed before it may end."""

JOBS = {
    "fetch": (f"{DATA}/raw/SC4001*", f"{DATA}/verified/SC4001.json"),
    "prepare": (f"{DATA}/prepared/SC4001*",),
    "index": (f"{HOME}/recordings.*",),
    "folds": (f"{HOME}/folds/{FOLDS['clean']}.json",),
    "totals": (TOTALS_FILE,),
    "train": (TRAINING,),
    "smooth": (SMOOTHED,),
    "profile": ("results/profile/*.json",),
    "parity": ("results/parity/*.json",),
    "log_runs": (LOGGED, STORE),
    "collect_runs": (RUNS,),
    "audit": (f"{HOME}/tables/audit.json",),
    "statistics": (STATISTICS,),
    "tables": (f"{HOME}/tables/main_results.*",),
    "figures": (f"{HOME}/figures/ladder.*",),
    "report": (f"{HOME}/report.html",),
    "summary": (f"{HOME}/summary.md",),
}
"""Each job of the workflow, by its rule: what it makes, or one of the things it makes."""


def kinds() -> list[Kind]:
    """Kills and full disks."""
    return [
        Kind("kills", "whole runs killed at random moments", 100, _kill_run),
        Kind("kills", "single jobs killed at random moments", 100, _kill_job, 1),
        Kind("full disk", "the disk is full at a job", len(JOBS), _fill_disk),
    ]


def _kill_run(workshop: Workshop, source: random.Random, number: int) -> Result:
    """Kill one run again and again, up to LIVES times; then it may end, and is compared."""
    project = workshop.new()
    wall_s = float((project.reference / "wall_s").read_text())
    kills = min(LIVES, workshop.wanted)
    killed_at = []
    for _ in range(kills):
        pid = forked.start(project.directory, ["run"], project.directory / "printed.txt")
        if _ends_within(pid, source.uniform(0.3, 2 * wall_s / kills)):
            break
        killed_at.append(len(project.files("results/**/*")))
    result = project.judge([], PRODUCTS)
    where = f"killed when there were {', '.join(map(str, killed_at))} files: {result.said}"
    return Result(result.outcome, where, max(1, len(killed_at)))


def _ends_within(pid: int, seconds: float) -> bool:
    """Whether a command ends by itself within a time; it is killed behind it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return True
        time.sleep(0.01)
    forked.kill(pid)
    return False


def _kill_job(workshop: Workshop, source: random.Random, number: int) -> Result:
    project = workshop.copy()
    done = [rule for rule, made in JOBS.items() if any(any(project.directory.glob(one)) for one in made)]
    rule = source.choice(done)
    targets = [one for one in ask_again(project, list(JOBS[rule])) if "/raw/" not in one]
    log = project.directory / "printed.txt"
    pid = forked.start(project.directory, ["run", *targets], log)
    share = source.random()
    job, status = None, None
    while job is None and status is None:
        found, code = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(code) if found else None
        job = next(iter(forked.jobs_of(pid)), None)
        time.sleep(0.005)
    if job is not None:
        seconds = _seconds(project, rule) * share
        time.sleep(seconds)
        with contextlib.suppress(psutil.Error):
            job.kill()
        forked.wait(pid)
    result = project.judge(targets, files_of(targets))
    return Result(result.outcome, f"{rule}, after {100 * share:.0f} % of its time: {result.said}")


def _seconds(project: Project, rule: str) -> float:
    """Of a job of the rule in the finished run, on the clock."""
    marks = {"train": "trainings", "smooth": "postprocessed", "prepare": "prepared", "fetch": "verified"}
    marks |= {"log_runs": "logged_runs", "collect_runs": "runs.tsv"}
    found = [p for p in project.reference.glob("results/benchmarks/**/*.tsv") if marks.get(rule, rule) in str(p)]
    return float(found[0].read_text().split("\n")[1].split("\t")[0]) if found else 0.3


def _fill_disk(workshop: Workshop, source: random.Random, number: int) -> Result:
    """The file system of results/ has less room than a job needs; then room is made."""
    rule = list(JOBS)[number % len(JOBS)]
    project = workshop.copy()
    results = project.directory / "results"
    moved = results.rename(project.directory / "results.whole")
    results.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "results", str(results)], capture_output=True)
    if mounted.returncode:
        return Result(SKIPPED, f"no file system of a size can be mounted: {mounted.stderr.decode().strip()}")
    try:
        shutil.copytree(moved, results, symlinks=True, dirs_exist_ok=True)
        size = sum(
            (project.directory / one).stat().st_size
            for one in project.files(
                *JOBS[rule],
                *([f"{TRAINING}/**/*"] if rule == "train" else [f"{SMOOTHED}/*"] if rule == "smooth" else []),
            )
        )
        targets = [one for one in ask_again(project, list(JOBS[rule])) if "/raw/" not in one]
        room = int(source.random() * size)
        filler = results / "filler"
        with filler.open("wb") as file:
            free = shutil.disk_usage(results).free
            os.posix_fallocate(file.fileno(), 0, max(free - room, 1))
        result = project.judge(targets, files_of(targets), heal=lambda: filler.unlink(missing_ok=True))
        return Result(result.outcome, f"{rule}, with room for {room} of {size} bytes: {result.said}")
    finally:
        subprocess.run(["umount", "-l", str(results)], check=True)


def unmount_below(folder: Path) -> None:
    """Unmount what an interrupted campaign left mounted."""
    for line in Path("/proc/mounts").read_text().splitlines():
        place = line.split()[1]
        if place.startswith(f"{folder}/"):
            subprocess.run(["umount", "-l", place], check=False)

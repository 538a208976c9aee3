"""What a run has done, is doing and has left: told from when its jobs begin and end."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAGES: dict[str, tuple[str, ...]] = {
    "{} fetched and verified": ("fetch",),
    "{} prepared": ("prepare",),
    "folds made, epochs held against the known totals": ("index", "folds", "totals"),
    "{} profiled": ("profile",),
    "{} held against programs of others": ("parity",),
    "{} trained": ("train", "train_stack"),
    "predictions smoothed": ("smooth",),
    "the network tried as C": ("deployment",),
    "runs logged to MLflow and verified": ("log_runs", "collect_runs"),
    "statistics over subjects": ("statistics",),
    "tables": ("audit", "tables"),
    "figures": ("figures",),
    "networks tested on other datasets": ("cross",),
    "report and summary": ("report", "summary", "cross_report"),
}
"""What is said of the rules that belong together once all of their jobs are finished."""
COUNTED = {"fetch": "recording", "prepare": "recording", "profile": "network", "parity": "network", "train": "fold"}
"""What there are several of in a stage, by its first rule."""
TARGETS = {"all", "data", "prepared", "profiles"}
"""Rules that only name files."""
TRAINING = ("train", "train_stack")
LATEST_EPOCH = re.compile(r"training epoch (\d+)/(\d+)")
TAIL = 2000
"""Bytes at the end of a job's log, in which its last training epoch stands."""


@dataclass(frozen=True)
class Job:
    """A job that runs.

    began : on the clock of the run, in seconds
    units : recordings, networks or folds that it is about
    """

    rule: str
    message: str
    wildcards: Mapping[str, str]
    log: Path | None
    began: float

    @property
    def units(self) -> int:
        first, _, last = self.wildcards.get("stack", "").partition("-")
        return int(last) - int(first) + 1 if last else 1

    @property
    def what(self) -> str:
        """What it does, in a few words."""
        if self.rule not in TRAINING:
            return self.message.partition("; progress in")[0].partition(", progress in")[0] or self.rule
        folds = f"folds {self.wildcards['stack']}" if "stack" in self.wildcards else f"fold {self.wildcards['fold']}"
        return f"training {self.wildcards['model']}, {folds}, seed {self.wildcards['seed']}"


class Progress:
    """The jobs of a run.

    clock : gives seconds
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock, self.started = clock, clock()
        self.planned: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.units: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()
        self.running: dict[int, Job] = {}

    def plan(self, counts: Mapping[str, int]) -> str:
        """Take in how many jobs each rule has; what is planned, in a line."""
        self.planned = Counter({rule: n for rule, n in counts.items() if rule not in TARGETS | {"total"}})
        trainings = sum(self.planned[rule] for rule in TRAINING)
        nothing = "nothing to train" if not trainings else f"{_several(trainings, 'job')} of training"
        return f"{_several(self.planned.total(), 'job')} to do, {nothing}"

    def begin(self, number: int, rule: str, message: str, wildcards: Mapping[str, Any], log: Path | None) -> None:
        """A job begins."""
        if rule not in TARGETS:
            named = {name: str(value) for name, value in wildcards.items()}
            self.running[number] = Job(rule, message, named, log, self.clock())

    def end(self, number: int) -> str | None:
        """A job has ended well; what is said where a stage ends with it."""
        if (job := self.running.pop(number, None)) is None:
            return None
        self.done[job.rule] += 1
        self.units[job.rule] += job.units
        self.seconds[job.rule] += self.clock() - job.began
        said, rules = next(((said, rules) for said, rules in STAGES.items() if job.rule in rules), (job.rule, ()))
        rules = rules or (job.rule,)
        if any(self.done[rule] < self.planned[rule] for rule in rules):
            return None
        units = sum(self.units[rule] for rule in rules)
        text = said.format(_several(units, COUNTED.get(rules[0], "job")))
        return f"{self.elapsed:>10}  {text}"

    def fail(self, number: int) -> Job | None:
        """A job has failed; which one."""
        return self.running.pop(number, None)

    @property
    def elapsed(self) -> str:
        """Time since the beginning."""
        return duration(self.clock() - self.started)

    def line(self) -> str:
        """Done of total, time left, and what is done now; trainings before all else."""
        if not self.planned:
            return "planning"
        running = sorted(self.running.values(), key=lambda job: (job.rule not in TRAINING, job.began))
        parts = [f"{self.done.total()} of {self.planned.total()} jobs"]
        if (left := self.seconds_left()) is not None:
            parts.append(f"about {duration(left)} left")
        text = ", ".join(parts)
        if not running:
            return text
        epoch = _training_epoch(running[0].log) if running[0].rule in TRAINING else ""
        more = f" (and {len(running) - 1} more)" if len(running) > 1 else ""
        what = running[0].what
        return f"{text}: {what[0].lower()}{what[1:]}{epoch}{more}"

    def seconds_left(self) -> float | None:
        """From the mean time of the jobs that have ended, by rule, as many side by side as there are now.

        None before a training has ended, where there are trainings: they are what takes the time.
        """
        left = self.planned - self.done
        if not self.running or any(left[rule] and not self.done[rule] for rule in TRAINING):
            return None
        means = {rule: self.seconds[rule] / n for rule, n in self.done.items()}
        total = sum(n * means.get(rule, 0.0) for rule, n in left.items())
        now = self.clock()
        total -= sum(min(now - job.began, means.get(job.rule, 0.0)) for job in self.running.values())
        return total / len(self.running) if total > 0 else None


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _several(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _training_epoch(log: Path | None) -> str:
    """The last training epoch that a job's log tells of."""
    try:
        with open(log, "rb") as file:  # noqa: PTH123  (None is no file)
            file.seek(0, 2)
            file.seek(max(0, file.tell() - TAIL))
            found = LATEST_EPOCH.findall(file.read().decode(errors="replace"))
    except (OSError, TypeError):
        return ""
    return f", training epoch {found[-1][0]}/{found[-1][1]}" if found else ""

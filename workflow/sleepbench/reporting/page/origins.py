"""Where the rows of tables come from: the runs behind them, and their records in training.json."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sleepbench.config.made import require_as_made
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json

CONTENDER = ("protocol", "model", "input", "recipe")
"""Runs that differ in one of these have different origins."""

CHOICES = {"title": "model", "protocol": "protocol", "input": "input", "recipe": "recipe"}
"""What rows are chosen by: columns of the runs table, and what they are called."""


@dataclass(frozen=True)
class Origin:
    """The runs behind one or several table rows and all distinct values of what they record.

    `id` names it within a report ("P1"). `runs` has one dict per run: run_key, protocol, fold, seed, directory,
    selected_epoch, duration_s. `facts` are by name, each the distinct values in order of the runs. `duration_s` (of
    all) counts a training that several runs share once.
    """

    id: str
    runs: list[dict]
    facts: dict[str, list[str]]
    duration_s: float


class Origins:
    """The origins of a report's rows, numbered in order of their first use.

    Rows of the same runs share one origin.
    """

    def __init__(self, runs: pd.DataFrame):
        """Read every training.json once.

        `runs` is the runs table, which was checked against these files when it was made.
        """
        self._records = _training_records(runs)
        self._runs = {run["run_key"]: run for run in runs.to_dict("records")}
        self._by_keys: dict[frozenset[str], Origin] = {}
        self.choices = {shown: list(dict.fromkeys(runs[name])) for name, shown in CHOICES.items()}
        """By model, protocol, input and recipe, which of them were run, in the order of the runs table."""

    def behind(self, run_keys: str) -> list[Origin]:
        """The origins of a row, from its run keys joined by spaces.

        There is one per protocol and contender, so that rows share them. BenchmarkError if the runs table lacks one.
        """
        if unknown := [key for key in run_keys.split() if key not in self._runs]:
            raise BenchmarkError(
                f"a table names runs that the runs table does not hold ({', '.join(unknown)}); make the tables again"
            )
        by_contender: dict[tuple, dict[str, None]] = {}
        for key in run_keys.split():
            contender = tuple(self._runs[key][name] for name in CONTENDER)
            by_contender.setdefault(contender, {})[key] = None
        return [self._origin(list(keys)) for keys in by_contender.values()]

    def __iter__(self) -> Iterator[Origin]:
        return iter(self._by_keys.values())

    def _origin(self, keys: list[str]) -> Origin:
        same = frozenset(keys)
        if same not in self._by_keys:
            runs = [self._runs[key] for key in keys]
            records = {run["directory"]: self._records[run["directory"]] for run in runs}
            facts = [_facts(run, records[run["directory"]]) for run in runs]
            self._by_keys[same] = Origin(
                f"P{len(self._by_keys) + 1}",
                [_listed(run, records[run["directory"]]) for run in runs],
                {name: list(dict.fromkeys(fact[name] for fact in facts)) for name in facts[0]},
                sum(record["duration_s"] for record in records.values()),
            )
        return self._by_keys[same]


def _training_records(runs: pd.DataFrame) -> dict[str, dict]:
    paths = {directory: Path(directory) / "training.json" for directory in dict.fromkeys(runs.directory)}
    missing = [str(path) for path in paths.values() if not path.exists()]
    if missing:
        raise BenchmarkError("the runs table names trainings that are not there; run again:\n  " + "\n  ".join(missing))
    require_as_made(paths.values())
    return {directory: read_json(path) for directory, path in paths.items()}


def _facts(run: dict, record: dict) -> dict[str, str]:
    """What is recorded of a run, by the name it is printed under."""
    settings, environment, provenance = record["settings"], record["environment"], record["provenance"]
    facts = {
        "Model": run["title"],
        "Protocol": run["protocol"],
        "Selection": run["selection"],
        "Trimming": settings["trimming"],
        "Input": f"{run['input']} ({', '.join(settings['channels'])})",
        "Recipe": json.dumps(settings["recipe"]),
        "Tuning": _tuning(record.get("tuning", [])),
        "Seeds": settings["seed"],
        "Folds": settings["folds"],
        "Folds SHA-256": settings["folds_sha256"],
        "Data SHA-256": settings["data_sha256"],
        "Config SHA-256": provenance["config_sha256"],
        "Code SHA-256": record["code_sha256"],
        "Git commit": provenance["git_commit"],
        "Device": environment["device"],
        "Engine": _engine(environment),
        "Threads": environment["threads"],
        "Remarks": "; ".join(record.get("remarks", [])) or "none",
        "sleepbench": environment["sleepbench"],
        "Python": environment["python"],
        "PyTorch": environment["torch"],
        "NumPy": environment["numpy"],
        "SciPy": environment.get("scipy", "not recorded"),
        "scikit-learn": environment.get("scikit_learn", "not recorded"),
        "Platform": environment["platform"],
    }
    return {name: str(value) for name, value in facts.items()}


def _tuning(tried: list[dict]) -> str:
    """The learning rates that were tried, each with the validation accuracy it came to."""

    def came_to(accuracy: float | None) -> str:
        return "diverged" if accuracy is None else f"{accuracy:.3f}"

    return "; ".join(f"{one['learning_rate']:g}: {came_to(one['validation_accuracy'])}" for one in tried) or "none"


def _engine(environment: dict) -> str:
    """What computed a training: the engine, its arrangement, and the folds that were trained at once."""
    parts = [environment["engine"]]
    if "arrangement" in environment:
        parts.append(f"by {environment['arrangement']}")
    if "stacked_folds" in environment:
        parts.append(f"folds {', '.join(map(str, environment['stacked_folds']))} as one stack")
    return ", ".join(parts)


def _listed(run: dict, record: dict) -> dict:
    named = {name: run[name] for name in ("run_key", "protocol", "fold", "seed", "directory")}
    return {**named, "selected_epoch": f"{run['selected_epoch']:.0f}", "duration_s": record["duration_s"]}

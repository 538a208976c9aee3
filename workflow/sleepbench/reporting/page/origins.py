"""Where the rows of tables come from: the runs behind them, and what each run's training.json records of itself."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.protocols.folds import folds_of
from sleepbench.reporting.tables.main import IDENTITY


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
    """The origins of a report's rows; rows of the same runs share one, numbered in order of their first use."""

    def __init__(self, runs: pd.DataFrame, folds: Sequence[str | Path], simulated: bool):
        """Read every training.json once.

        `runs` is the runs table of one dataset, `folds` are the fold files of its protocols. Raises BenchmarkError
        listing the runs whose record is missing or contradicts the runs table or the fold files.
        """
        self._documents = _fold_documents(folds)
        self._records = _training_records(runs)
        self._runs = {run["run_key"]: run for run in runs.to_dict("records")}
        self._by_keys: dict[frozenset[str], Origin] = {}
        problems = [p for run in self._runs.values() for p in self._contradictions(run, simulated)]
        if problems:
            raise BenchmarkError(
                "the records of these runs contradict the runs table or the folds; delete the runs table and the "
                "receipts of these trainings and run again:\n  " + "\n  ".join(problems)
            )

    def of_row(self, run_keys: str) -> list[Origin]:
        """The origins of a row from its run keys: one per protocol and network, so that rows share them."""
        by_network: dict[tuple, list[str]] = {}
        for key in run_keys.split():
            run = self._runs.get(key, {})
            by_network.setdefault(tuple(run.get(name) for name in IDENTITY[:4]), []).append(key)
        return [self.of_runs(" ".join(keys)) for keys in by_network.values()]

    def of_runs(self, run_keys: str) -> Origin:
        """The origin of some runs, their keys joined by spaces; BenchmarkError if the runs table lacks one."""
        keys = list(dict.fromkeys(run_keys.split()))
        if frozenset(keys) not in self._by_keys:
            self._by_keys[frozenset(keys)] = self._origin(f"P{len(self._by_keys) + 1}", keys)
        return self._by_keys[frozenset(keys)]

    def __iter__(self) -> Iterator[Origin]:
        return iter(self._by_keys.values())

    def _contradictions(self, run: dict, simulated: bool) -> list[str]:
        """What a run's training.json says otherwise than the runs table and the fold files."""
        record = self._records[run["directory"]]
        settings, where = record["settings"], f"{run['directory']}/training.json (run {run['run_key']})"
        document = self._documents.get(settings["folds"])
        expected = {
            "run_key": (record["runs"].get(run["selection"], {}).get("run_key"), run["run_key"]),
            "simulated": (record["provenance"]["simulated"], simulated),
            "dataset": (settings["dataset"], run["dataset"]),
            "seed": (settings["seed"], run["seed"]),
            "fold": (settings["fold"], run["fold"]),
            f"hash of the folds {settings['folds']}": (settings["folds_sha256"], document and document["folds_sha256"]),
        }
        return [
            f"{where}: {name} is {found}, expected {wanted or 'a fold file among those given'}"
            for name, (found, wanted) in expected.items()
            if found != wanted
        ]

    def _origin(self, id: str, keys: list[str]) -> Origin:
        unknown = [key for key in keys if key not in self._runs]
        if unknown:
            raise BenchmarkError(
                f"a table names runs that the runs table does not hold ({', '.join(unknown)}); make the tables again"
            )
        runs = [self._runs[key] for key in keys]
        records = {run["directory"]: self._records[run["directory"]] for run in runs}
        facts = [_facts(run, self._records[run["directory"]]) for run in runs]
        return Origin(
            id,
            [_listed(run, self._records[run["directory"]]) for run in runs],
            {name: list(dict.fromkeys(fact[name] for fact in facts)) for name in facts[0]},
            sum(record["duration_s"] for record in records.values()),
        )


def _fold_documents(paths: Sequence[str | Path]) -> dict[str, dict]:
    documents = [read_json(path) for path in paths]
    for document in documents:
        folds_of(document)  # checks the hash
    return {document["name"]: document for document in documents}


def _training_records(runs: pd.DataFrame) -> dict[str, dict]:
    paths = {directory: Path(directory) / "training.json" for directory in dict.fromkeys(runs.directory)}
    missing = [str(path) for path in paths.values() if not path.exists()]
    if missing:
        raise BenchmarkError(
            "the runs table names trainings that are not there; train them again or make the runs table again:\n  "
            + "\n  ".join(missing)
        )
    return {directory: read_json(path) for directory, path in paths.items()}


def _facts(run: dict, record: dict) -> dict[str, str]:
    """What is recorded of a run, by the name it is printed under."""
    settings, environment, provenance = record["settings"], record["environment"], record["provenance"]
    facts = {
        "Model": run["title"],
        "Protocol": run["protocol"],
        "Selection": run["selection"],
        "Window": settings["window"],
        "Channels": f"{run['channels']} ({', '.join(settings['channels'])})",
        "Recipe": json.dumps(settings["recipe"]),
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


def _engine(environment: dict) -> str:
    """What computed a training: the engine, what it is computed by, and the folds that were trained at once."""
    parts = [environment["engine"]]
    if "arrangement" in environment:
        parts.append(f"by {environment['arrangement']}")
    if "stacked_folds" in environment:
        parts.append(f"folds {', '.join(map(str, environment['stacked_folds']))} as one stack")
    return ", ".join(parts)


def _listed(run: dict, record: dict) -> dict:
    named = {name: run[name] for name in ("run_key", "protocol", "fold", "seed", "directory")}
    return {**named, "selected_epoch": f"{run['selected_epoch']:.0f}", "duration_s": record["duration_s"]}

"""Finished trainings as a config.yaml plans them, made up: every file of a run is there and agrees with the others."""

import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from fake_results import PROBABILITIES, FakeRecording, file_hashes, history, numbers, predictions, quality, scored_night

from sleepbench.config import paths, plan
from sleepbench.config.code import code_sha256
from sleepbench.config.keys import PlannedRun, TrainingKey
from sleepbench.config.load import load
from sleepbench.core.files import read_json, sha256_of_file, write_document, write_json
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import SIMULATED, DataLabel
from sleepbench.models import describe
from sleepbench.preparation.index import read_index
from sleepbench.protocols.audit import write_fold_file
from sleepbench.reporting.tables.main_results import main_results
from sleepbench.runs.run import RowKey, read_run
from sleepbench.runs.runs_table import read_runs, row_of, write_runs
from sleepbench.training.keys import run_key, training_key, training_settings

REPOSITORY = Path(__file__).resolve().parents[1]

DATASET = "simulated"
LABEL = DataLabel(DATASET, "simulated", SIMULATED, True)
FOLDS, SUBJECTS = 4, 8
RELEASED, CLEAN = (RowKey(protocol, "ulw_sleepnet", "four", "ulw") for protocol in ("released", "clean"))
NOTHING_PUBLISHED = pd.DataFrame({"model": [], "dataset": []}, dtype=str)
SELECTIONS = {"no_validation": ("best_test", "last"), "validation0": ("best_test", "best_validation", "last")}
TRAINING_EPOCHS = 3
ENVIRONMENT = {"device": "cpu, x86_64", "threads": 1, "engine": "fast", "sleepbench": "0.1.0", "torch": "2.0"}


class PlannedResults:
    """Results on one night each of eight subjects below `root`, which is the current directory."""

    def __init__(self, root: Path, seeds: Iterable[int] = (32,), **run: Any):
        self.root = root
        self.content = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
        lists = {"datasets": [DATASET], "protocols": ["released", "clean"], "models": ["ulw_sleepnet"]}
        lists |= {"inputs": ["four"], "recipes": ["ulw"], "seeds": list(seeds)}
        self.content["run"] |= lists | run
        cohort = {"subjects": SUBJECTS, "single_night_subjects": list(range(SUBJECTS)), "n_folds": FOLDS}
        self.content["datasets"] = {DATASET: {**cohort, "training_epochs": TRAINING_EPOCHS}}
        self.write_config()
        self.recordings = [
            FakeRecording(r.id, r.subject, r.night, r.age, r.sex, scored_night(np.random.default_rng(number)))
            for number, r in enumerate(plan.recordings(self.config, DATASET))
        ]
        self.write_index()
        for recording in self.recordings:
            write_document(paths.prepared(DATASET, recording.id, "quality.json"), quality(recording))
        listed = read_index(paths.recordings(DATASET)).recordings
        for protocol in self.plan.datasets[DATASET].protocols.values():
            write_fold_file(DATASET, listed, protocol.folds, paths.folds(DATASET, protocol.folds.name))

    # ------------------------------------------------------------------------------------------------------- the plan

    @property
    def planned(self) -> Sequence[PlannedRun]:
        """The runs that are asked for."""
        return self.plan.datasets[DATASET].runs

    def run(self, key: RowKey, fold: int, seed: int = 32) -> PlannedRun:
        """A run of a row."""
        named = (*key, fold, seed)
        (one,) = [r for r in self.planned if (*self.row(r), r.training.fold, r.training.seed) == named]
        return one

    @staticmethod
    def row(run: PlannedRun) -> RowKey:
        """The row of the main table that a run belongs to."""
        return RowKey(run.protocol, *run.training.contender)

    def directory(self, key: RowKey, fold: int, seed: int = 32) -> Path:
        """Where the training of a run lies, relative to the root."""
        return Path(paths.training(self.run(key, fold, seed).training))

    def folds_file(self, key: RowKey) -> Path:
        """The fold file of a row."""
        return self.root / paths.folds(DATASET, self.run(key, 0, self.planned[0].training.seed).training.folds)

    # ---------------------------------------------------------------------------------------------------------- files

    def write_config(self) -> None:
        """Write config.yaml as `content` is; `config` and `plan` are what it asks for."""
        (self.root / "config.yaml").write_text(yaml.safe_dump(self.content, sort_keys=False), encoding="utf-8")
        self.config = load(self.root / "config.yaml")
        self.plan = plan.plan(self.config)

    def write_index(self, **checksums: str) -> None:
        """The index of recordings; `checksums` are of the PSG of a recording, for its made-up one."""
        rows = []
        for number, one in enumerate(self.recordings):
            files = {"psg": checksums.get(one.id, f"{number:x}" * 64), "scoring": f"{number + 8:x}" * 64}
            rows.append(
                {
                    **{"recording": one.id, "subject": one.subject, "night": one.night, "age": one.age, "sex": one.sex},
                    "group": None,
                    "files": {
                        role: {"name": f"{one.id}-{role}.edf", "path": f"raw/{one.id}.edf", "bytes": 1, "sha256": sha}
                        for role, sha in files.items()
                    },
                    "signals": paths.prepared(DATASET, one.id),
                    **{"epochs": quality(one)["trimmings"], "sha256": {}},
                }
            )
        write_document(paths.recordings(DATASET), {"dataset": DATASET, "simulated": True, "recordings": rows})

    def train_all(self, keys: Sequence[RowKey] = (RELEASED, CLEAN), **options: Any) -> None:
        """Every training of some rows."""
        for key in dict.fromkeys(run.training for run in self.planned if self.row(run) in keys):
            self.train(key, **options)

    def write_training(self, key: RowKey, fold: int, seed: int = 32, **options: Any) -> Path:
        """The training of one run."""
        return self.train(self.run(key, fold, seed).training, **options)

    def train(self, key: TrainingKey, errors: float = 0.2, draw: int = 0, **changes: Any) -> Path:
        """The files of a finished fold: `errors` is the share of wrong predictions, `draw` which ones are.

        `changes` replace code_sha256, settings of the training, or parts of its environment.
        """
        document = read_json(self.root / paths.folds(DATASET, key.folds))
        recipe = plan.recipe_on(self.config, key.recipe, DATASET)
        settings = training_settings(document, key, self.config.inputs[key.input], recipe)
        settings |= {name: value for name, value in changes.items() if name in settings}
        directory = self.root / paths.training(key)
        table = self.predictions(document["folds"][key.fold]["test"], errors, [key.seed, key.fold, draw])
        selections = SELECTIONS[key.folds.rpartition("-")[2]]
        for selection in selections:
            write_selection(directory / selection, table)
        validated = "best_validation" in selections
        history(TRAINING_EPOCHS, validated, np.random.default_rng(key.fold)).to_csv(
            directory / "history.csv", index=False
        )
        (directory / "weights.pt").write_bytes(b"w" * 100_000)
        record = {
            "training_key": training_key(settings),
            "settings": settings,
            "code_sha256": changes.get("code_sha256", code_sha256("train", "simulated", key.model)),
            "provenance": {
                **{"title": describe(key.model).title, "n_folds": FOLDS, "simulated": True},
                **{"git_commit": "0123456789abcdef", "config_sha256": "c" * 64},
            },
            "n_epochs": {"train": 100, "validation": 0, "test": len(table)},
            "environment": ENVIRONMENT | {name: v for name, v in changes.items() if name in ENVIRONMENT},
            "duration_s": 1.5,
            "runs": {s: {"run_key": run_key(settings, s), "training_epoch": 2} for s in selections},
            "files": file_hashes(directory),
        }
        write_document(directory / "training.json", record)
        return directory

    def predictions(self, tested: Sequence[str], errors: float, seed: Sequence[int]) -> pd.DataFrame:
        """Predictions over some nights, whose scored stages depend on nothing else."""
        generator = np.random.default_rng(seed)
        nights = {recording.id: recording for recording in self.recordings}
        table = pd.concat([predictions(nights[id], 20, np.random.default_rng(1)) for id in tested], ignore_index=True)
        wrong = generator.random(len(table)) < errors
        table.loc[wrong, PROBABILITIES] = np.roll(table.loc[wrong, PROBABILITIES].to_numpy(), 1, axis=1)
        table["predicted"] = table[PROBABILITIES].to_numpy().argmax(axis=1).astype(np.int8)
        return table

    def write_tables(self, keys: Sequence[RowKey] = (RELEASED, CLEAN)) -> pd.DataFrame:
        """The table of runs and, if all runs are there, the main table; returns the table of runs."""
        asked = [run for run in self.planned if self.row(run) in keys]
        there = [run for run in asked if Path(paths.training(run.training)).exists()]
        only = self.config.datasets[DATASET].only_folds or ()
        rows = [row_of(run, {**run.metrics(), "selected_epoch": 2}, only) for run in map(read_run, there)]
        write_runs(pd.DataFrame(rows), paths.runs(DATASET))
        runs = read_runs(paths.runs(DATASET))
        if len(there) == len(asked):
            table = Path(paths.table(DATASET, "main_results"))
            table.parent.mkdir(parents=True, exist_ok=True)
            main_results(runs, NOTHING_PUBLISHED, LABEL).to_csv(table, index=False)
        return runs


def write_selection(directory: Path, table: pd.DataFrame) -> None:
    """The predictions of one selection and their metrics."""
    directory.mkdir(parents=True, exist_ok=True)
    table.to_parquet(directory / "predictions.parquet", index=False)
    known = table.stage.isin(range(len(STAGES))) & table.predicted.isin(range(len(STAGES)))
    found = numbers(table[known].astype({"stage": int, "predicted": int}))
    write_json(directory / "metrics.json", {name: None if value != value else value for name, value in found.items()})


def rewrite(archive: Path, change: Callable[[dict[str, bytes]], None], sign: bool = False) -> None:
    """Change an archive's members, a mapping of names to bytes; with `sign` the manifest follows."""
    with zipfile.ZipFile(archive) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    if sign:
        manifest = json.loads(members["manifest.json"])
        scratch = archive.with_name("scratch")
        for name in list(manifest["files"]):
            scratch.write_bytes(members.get(name, b""))
            manifest["files"][name] = sha256_of_file(scratch)
        members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)

"""Synthetic results in the layout of the workflow: folds, trainings, runs table, main table, without any training."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from sleepbench.config.load import dataset_of, recipe_settings
from sleepbench.core.files import read_json, sha256_of_file, write_json
from sleepbench.core.provenance import PREPARATION, TRAINING, code_sha256
from sleepbench.core.stages import STAGES
from sleepbench.datasets.recordings import Recording, write_recordings
from sleepbench.evaluation.metrics import confusion_items, confusion_matrix, summary
from sleepbench.models import describe
from sleepbench.protocols.audit import write_fold_file
from sleepbench.protocols.folds import FoldSettings
from sleepbench.reporting.tables.main import main_results, read_runs
from sleepbench.runs.progress import training_directory
from sleepbench.runs.results import RowKey
from sleepbench.training.keys import run_key, training_key, training_settings

REPOSITORY = Path(__file__).resolve().parents[2]

DATASET = "simulated"
MODEL = "ulw_sleepnet"
FOLDS = 4
SUBJECTS = 8
EPOCHS_PER_NIGHT = 60
SELECTIONS = {"released": ("best_test", "last"), "clean": ("best_test", "best_validation", "last")}
RELEASED, CLEAN = (RowKey(protocol, MODEL, "four", "released") for protocol in SELECTIONS)


def recordings() -> list[Recording]:
    """One night each of eight subjects, with made-up checksums of their EDF files."""
    ids = [f"SC4{subject:02d}1" for subject in range(SUBJECTS)]
    return [
        Recording(id, id[3:5], 1, f"{id}E0-PSG.edf", f"{n:x}" * 64, f"{id}EC-Hypnogram.edf", f"{n + 8:x}" * 64, 30, "F")
        for n, id in enumerate(ids)
    ]


def scored(id: str) -> np.ndarray:
    """Scored stages of a night, (EPOCHS_PER_NIGHT,)."""
    return np.random.default_rng(int(id[3:])).integers(0, 5, EPOCHS_PER_NIGHT)


class ResultTree:
    """Results below `root`, which must be the current directory."""

    def __init__(self, root: Path, seeds: tuple[int, ...] = (32,)):
        self.root = root
        self.seeds = seeds
        self.config = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
        del self.config["datasets"][DATASET]["models"]
        self.config["run"] |= {"seeds": list(seeds), "protocols": ["released", "clean"]}
        self.config["datasets"][DATASET]["simulation"] |= {"subjects": SUBJECTS, "single_night_subjects": []}
        for protocol in self.config["protocols"].values():
            protocol["folds"] |= {DATASET: FOLDS} if DATASET in protocol["folds"] else {}
        self.write_config()
        write_recordings(root / "results/data/simulated/recordings.csv", recordings())
        for recording in recordings():
            self.write_prepared(recording)
        for key in (RELEASED, CLEAN):
            settings = self.fold_settings(key)
            write_fold_file(DATASET, recordings(), settings, False, self.folds_file(key))

    def write_qualities(self) -> None:
        """The quality file of every prepared recording, scored as in `predictions`: both windows keep all of it."""
        for recording in recordings():
            stage = scored(recording.id)
            counts = {"epochs": stage.size, **dict(zip(STAGES, np.bincount(stage, minlength=5).tolist(), strict=True))}
            quality = {
                **{"recording": recording.id, "simulated": True, "start": "2000-01-01T22:00:00"},
                **{"psg_seconds": 30.0 * stage.size, "epochs_in_night": stage.size},
                "windows": {"standard": counts, "released": counts},
                "stages": {**{name: counts[name] for name in STAGES}, "movement": 0, "unknown": 0},
                "hypnogram": [[code, 1] for code in stage.tolist()],
                **{"channels": {}, "handled": []},
            }
            write_json(self.root / f"results/data/simulated/prepared/{recording.id}.quality.json", quality)

    def write_config(self) -> None:
        (self.root / "config.yaml").write_text(yaml.safe_dump(self.config, sort_keys=False), encoding="utf-8")

    def write_prepared(self, recording: Recording) -> None:
        files = {
            "psg": {"file": recording.psg, "sha256": recording.psg_sha256},
            "hypnogram": {"file": recording.hypnogram, "sha256": recording.hypnogram_sha256},
        }
        write_json(self.root / f"results/data/simulated/prepared/{recording.id}.json", files)

    def fold_settings(self, key: RowKey) -> FoldSettings:
        return FoldSettings.of_protocol(self.config["protocols"][key.protocol], DATASET)

    def folds_file(self, key: RowKey) -> Path:
        return self.root / "results" / DATASET / "folds" / f"{self.fold_settings(key).name}.json"

    def directory(self, key: RowKey, fold: int, seed: int = 32) -> Path:
        """Where a fold lies, relative to the root."""
        return training_directory(self.config, DATASET, key, seed) / f"fold-{fold}"

    def write_training(
        self, key: RowKey, fold: int, seed: int = 32, errors: float = 0.2, draw: int = 0, **changes: object
    ) -> Path:
        """The files of a finished fold: `errors` is the share of wrong predictions, `draw` which ones are.

        `changes` replace code_sha256, settings of the training, or parts of its environment.
        """
        document = read_json(self.folds_file(key))
        recipe = {"name": key.recipe, **recipe_settings(self.config, key.recipe, DATASET)}
        window = self.config["protocols"][key.protocol]["window"]
        channels = self.config["channels"][key.channels]
        settings = training_settings(document, fold, window, key.model, channels, recipe, seed)
        settings |= {name: value for name, value in changes.items() if name in settings}
        environment = {"device": "cpu, x86_64", "threads": 1, "engine": "fast", "sleepbench": "0.1.0", "torch": "2.0"}
        directory = self.root / self.directory(key, fold, seed)
        predictions = self.predictions(document["folds"][fold]["test"], errors, (seed, fold, draw))
        for selection in SELECTIONS[key.protocol]:
            write_selection(directory / selection, predictions)
        (directory / "history.csv").write_text("training_epoch\n1\n")
        (directory / "weights.pt").write_bytes(b"w" * 100_000)
        names = sorted(p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file())
        record = {
            "training_key": training_key(settings),
            "settings": settings,
            "code_sha256": changes.get("code_sha256", code_sha256(PREPARATION + TRAINING, key.model)),
            "provenance": {
                "title": describe(key.model).title, "channels": key.channels, "folds": FOLDS, "simulated": True,
                "git_commit": "0123456789abcdef", "config_sha256": "of another",
            },
            "n_epochs": {"train": 100, "validation": 0, "test": len(predictions)},
            "environment": environment | {name: v for name, v in changes.items() if name in environment},
            "duration_s": 1.5,
            "runs": {
                s: {"run_key": run_key(settings, s), "training_epoch": 1} for s in SELECTIONS[key.protocol]
            },
            "files": {name: sha256_of_file(directory / name) for name in names if name != "training.json"},
        }  # fmt: skip
        write_json(directory / "training.json", record)
        return directory

    def predictions(self, ids: list[str], errors: float, seed: tuple[int, ...]) -> pd.DataFrame:
        """Predictions over some nights, whose scored stages depend on nothing else."""
        generator = np.random.default_rng(seed)
        frames = []
        for id in ids:
            stage = scored(id)
            wrong = generator.random(stage.size) < errors
            predicted = np.where(wrong, (stage + 1) % 5, stage)
            frames.append(
                pd.DataFrame({"recording": id, "epoch": range(stage.size), "stage": stage, "predicted": predicted})
            )
        return pd.concat(frames, ignore_index=True)

    def train_all(self, keys: tuple[RowKey, ...] = (RELEASED, CLEAN), **options: object) -> None:
        for key in keys:
            for seed in self.seeds:
                for fold in range(FOLDS):
                    self.write_training(key, fold, seed, **options)

    def write_tables(self, keys: tuple[RowKey, ...] = (RELEASED, CLEAN)) -> pd.DataFrame:
        """The runs table and the main table over all trainings that are there; returns the runs table."""
        rows = [
            self._row(key, fold, seed)
            for key in keys
            for seed in self.seeds
            for fold in range(FOLDS)
            if (self.root / self.directory(key, fold, seed)).exists()
        ]
        home = self.root / "results" / DATASET
        pd.DataFrame(rows).to_csv(home / "runs.csv", index=False)
        (home / "tables").mkdir(exist_ok=True)
        runs = read_runs(home / "runs.csv")
        if len(runs) == len(keys) * len(self.seeds) * FOLDS:
            published = pd.DataFrame({"model": [], "dataset": []}, dtype=str)
            main_results(runs, published, DATASET, True).to_csv(home / "tables" / "main_results.csv", index=False)
        return runs

    def _row(self, key: RowKey, fold: int, seed: int) -> dict:
        directory = self.directory(key, fold, seed)
        record = read_json(self.root / directory / "training.json")
        protocol = self.config["protocols"][key.protocol]
        selection = protocol["selection"]
        return {
            "run_key": record["runs"][selection]["run_key"],
            "dataset": DATASET,
            "simulated": dataset_of(self.config, DATASET).simulated,
            **key._asdict(),
            "title": describe(key.model).title,
            "n_channels": 4,
            "seed": seed,
            "fold": fold,
            "folds": FOLDS,
            "only_folds": "",
            "selection": selection,
            "window": protocol["window"],
            "training_epochs": record["settings"]["recipe"]["training_epochs"],
            "trained_epochs": record["settings"]["recipe"]["training_epochs"],
            "recipe_settings": json.dumps(record["settings"]["recipe"], sort_keys=True),
            "selected_epoch": 1,
            "directory": directory.as_posix(),
            "git_commit": "0123456789abcdef",
            **read_json(self.root / directory / selection / "metrics.json"),
        }


def write_selection(directory: Path, predictions: pd.DataFrame) -> None:
    """The predictions of one selection and their metrics."""
    directory.mkdir(parents=True, exist_ok=True)
    predictions.to_parquet(directory / "predictions.parquet", index=False)
    confusion = confusion_matrix(predictions.stage.to_numpy(), predictions.predicted.to_numpy())
    values = {name: None if np.isnan(value) else value for name, value in summary(confusion).items()}
    write_json(directory / "metrics.json", values | confusion_items(confusion))


def sign_again(directory: Path) -> None:
    """Make training.json record the files as they are now, as the code that wrote them wrong would have."""
    record = read_json(directory / "training.json")
    record["files"] = {name: sha256_of_file(directory / name) for name in record["files"]}
    write_json(directory / "training.json", record)

"""Made-up results in the layout of the workflow, without any training: runs, folds, recordings, quality and profiles.

One builder for every test that reads results. Scored nights are the same for every contender and seed; predictions are
right more often for later models. Ids of recordings say nothing of subjects: those are in the files.

    results = FakeResults(tmp_path, seeds=(1, 2))
    results.inputs(ARTEFACT, ladder=["released", "clean"])
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sleepbench.config import paths
from sleepbench.config.keys import TrainingKey
from sleepbench.core.files import read_json, sha256_of_file, sha256_of_json, write_document, write_json
from sleepbench.core.stages import STAGES, UNKNOWN
from sleepbench.datasets.base import SIMULATED, DataLabel
from sleepbench.evaluation import metrics

RESOURCES = Path(__file__).parents[1] / "workflow" / "resources"
LABELS = {
    "simulated": DataLabel("simulated", "simulated", SIMULATED, True),
    "sleep-edf-20": DataLabel("sleep-edf-20", "Sleep-EDF-20"),
}
ROLES = {"eeg1": "EEG Fpz-Cz", "eeg2": "EEG Pz-Oz", "eog": "EOG horizontal", "emg": "EMG submental"}
PROBABILITIES = [f"p_{name}" for name in STAGES]
PROTOCOLS = {
    "released": {
        **{"unit": "recording_block", "remainder": "dropped", "validation_subjects": False},
        **{"trimming": "authors", "selection": "best_test"},
    },
    "subject_blocks": {
        **{"unit": "subject", "remainder": "kept", "validation_subjects": False},
        **{"trimming": "standard", "selection": "last"},
    },
    "clean": {
        **{"unit": "subject", "remainder": "kept", "validation_subjects": True},
        **{"trimming": "standard", "selection": "best_validation"},
    },
}
NIGHT = (
    *((0, 50), (1, 6), (2, 30), (3, 40), (2, 30), (4, 20), (0, 4), (1, 8), (2, 60), (4, 30), (2, 50), (4, 25)),
    (0, 40),
)
"""A night as (stage, epochs). With so little wake at its ends, every trimming keeps all that is scored."""
NOT_SCORED = range(150, 161)
"""Epochs in the middle of every night that have no stage."""
CORRECTED = 100
"""Epochs from the first that are smoothed to their scored stage, in every run."""
COMMIT = "0123456789abcdef0123456789abcdef01234567"

PROFILE = {
    "model": "ulw_sleepnet",
    "title": "ULW-SleepNet",
    "n_channels": 4,
    "n_samples": 3000,
    "operations": {
        "parameters": 13_337,
        "length": 1,
        "macs": 3_498_352,
        "macs_per_epoch": 3_498_352,
        "flops_2x": 6_996_704,
        "flops_tensorflow": 7_885_806,
        "flops_tensorflow_graph": 7_885_771,
        "fvcore_flops": 4_002_544,
    },
    "latency": {
        "batches": {
            "1": {
                "eager": {"median_us": 1345.2, "iqr_us": 60.4, "p99_us": 2011.9, "runs": 400},
                **{name: {"median_us": us} for name, us in (("fast", 940.0), ("onnxruntime", 480.0), ("ours", 70.0))},
            }
        },
        **{"length": 1, "disturbances": [], "hardware": "A Processor", "torch": "2.13.0", "onnxruntime": "1.32.0"},
    },
}
PARITY = {
    **{"model": "ulw_sleepnet", "title": "ULW-SleepNet", "kind": "network", "verified": "outputs", "differs": ""},
    "against": [
        {
            **{"file": "ulw_sleepnet.npz", "n_channels": 4, "source": "github.com/wzw999/ULW-SLEEPNET at ff5839b"},
            **{"framework": "A Framework", "precision": "float64", "by": "authors", "remark": ""},
            **{"outputs": 5.7e-16, "outputs_training": 3.2e-15, "gradients": 1.2e-15},
        }
    ],
}

_LIKE = {"agreement": 1.0, "probability_difference": 2e-7, "logit_difference": 1e-6}
_FORM = {**_LIKE, **{"accuracy": 0.73, "macro_f1": 0.37, "cohen_kappa": 0.56, "epochs": 1431, "meets_target": True}}
_BOARD = {**_LIKE, **{"epochs": 50, "instructions": 11.2e6, "last_sample_instructions": 116_000, "stack_bytes": 1248}}
DEPLOYMENT = {
    **{"run_key": "0123456789abcdef", "model": "ulw_sleepnet", "title": "ULW-SleepNet", "dataset": "simulated"},
    **{"n_channels": 4, "n_samples": 3000, "target": 0.99, "test_epochs": 1431, "calibration_epochs": 200},
    **{"simulated": True, "hardware": "A Processor", "versions": {"compiler": "gcc 1", "emulator": "QEMU 2"}},
    "forms": [
        {
            **{"form": "pytorch", "title": "PyTorch", "ranges": "", "weight_bytes": 53_348, **_FORM},
            **{"latency_us": 3000.0, "latency_p90_us": 3300.0},
        },
        {
            **{"form": "w8a16", "title": "C, W8A16", "ranges": "largest, twice over", "weight_bytes": 5231, **_FORM},
            **{"agreement": 0.998, "latency_us": 1300.0, "latency_p90_us": 1400.0},
        },
        {"form": "int8", "title": "C, INT8", "ranges": "largest", "weight_bytes": 5231, "skipped": "no C compiler"},
    ],
    "boards": [
        {"core": "Cortex-M3", "machine": "mps2-an385", "form": "float32", "skipped": "no qemu-system-arm"},
        {
            **{"core": "Cortex-M4F", "machine": "mps2-an386", "form": "float32", "flash_bytes": 18_016, **_BOARD},
            "state_bytes": 5228,
        },
        {
            **{"core": "Cortex-M4F", "machine": "mps2-an386", "form": "w8a16", "flash_bytes": 8888, **_BOARD},
            **{"instructions": 15.0e6, "agreement": 0.998, "state_bytes": 2892},
        },
    ],
}
"""What was measured of a network as C, on a machine that could not do all of it."""


# ----------------------------------------------------------------------------------------------------- parts of a run


def scored_night(generator: np.random.Generator) -> np.ndarray:
    """The stage of every epoch of a night, int8 (n_epochs,); a few in the middle are not scored."""
    bouts = [np.full(max(1, int(length * generator.uniform(0.6, 1.2))), stage) for stage, length in NIGHT]
    night = np.concatenate(bouts).astype(np.int8)
    night[NOT_SCORED] = UNKNOWN
    return night


def predictions(recording: "FakeRecording", skill: float, generator: np.random.Generator) -> pd.DataFrame:
    """Predictions of a night's scored epochs, as predictions.parquet has them."""
    epoch = np.flatnonzero(recording.stages < UNKNOWN)
    stage = recording.stages[epoch]
    logits = skill * np.eye(5)[stage] + generator.normal(size=(stage.size, 5))
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return pd.DataFrame(
        {
            "recording": recording.id,
            "subject": recording.subject,
            "night": recording.night,
            "epoch": epoch,
            "onset_s": 30.0 * epoch,
            "stage": stage,
            "predicted": probability.argmax(axis=1).astype(np.int8),
            **{name: probability[:, i].astype(np.float32) for i, name in enumerate(PROBABILITIES)},
        }
    )


def history(training_epochs: int, validation: bool, generator: np.random.Generator) -> pd.DataFrame:
    """A learning curve per training epoch; validation columns are empty where the protocol holds out no subjects."""
    epoch = np.arange(1, training_epochs + 1)
    table = pd.DataFrame({"training_epoch": epoch, "learning_rate": 1e-3})
    for part, floor in (("train", 0.35), ("validation", 0.5), ("test", 0.55)):
        loss = floor + np.exp(-epoch / (training_epochs / 6)) + generator.normal(0, 0.03, epoch.size)
        table[f"{part}_loss"] = loss
        table[f"{part}_accuracy"] = 0.95 - 0.3 * loss
    if not validation:
        table[["validation_loss", "validation_accuracy"]] = np.nan
    return table


def selected_epochs(curve: pd.DataFrame, selection: str, selected_epoch: int, run_key: str = "7" * 16) -> dict:
    """Which training epoch each selection rule takes, as training.json says it; `selection` is that of the run."""
    selected = {"last": len(curve), "best_test": int(curve.test_accuracy.argmax()) + 1}
    if curve.validation_accuracy.notna().any():
        selected["best_validation"] = int(curve.validation_accuracy.argmax()) + 1
    selected[selection] = selected_epoch
    keys = {rule: run_key if rule == selection else "7" * 16 for rule in selected}
    return {rule: {"run_key": keys[rule], "training_epoch": epoch} for rule, epoch in selected.items()}


def numbers(table: pd.DataFrame) -> dict[str, float]:
    """The metrics of predictions, as a row of the runs table has them."""
    confusion = metrics.confusion_matrix(table.stage.to_numpy(), table.predicted.to_numpy())
    return metrics.summary(confusion) | metrics.confusion_items(confusion)


def file_hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of every file of a training but its training.json, which lists them."""
    names = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    return {name: sha256_of_file(directory / name) for name in names if name != "training.json"}


def sign_again(directory: Path) -> None:
    """Make training.json list the files as they are now, as the code that wrote them wrong would have."""
    record = read_json(directory / "training.json")
    write_document(directory / "training.json", {**record, "files": file_hashes(directory)})


def predictions_path(run: Any) -> Path:
    """The predictions of a row of the runs table."""
    return Path(run.directory) / run.selection / "predictions.parquet"


def predictions_of(run: Any) -> pd.DataFrame:
    """The predictions of a row of the runs table."""
    return pd.read_parquet(predictions_path(run))


def quality(recording: "FakeRecording", simulated: bool = True, channels: Mapping[str, str] = ROLES) -> dict[str, Any]:
    """The quality file of a recording of sound signals."""
    counts = np.bincount(recording.stages, minlength=UNKNOWN + 1).tolist()
    kept = {"epochs": sum(counts[:5]), **dict(zip(STAGES, counts[:5], strict=True))}
    channel = {
        **{"unit": "uV", "sampling_rate_hz": 100.0, "clipped_share": 0.0001, "flat_share": 0.0},
        "quantiles_uv": {"1": -60.0, "50": 0.0, "99": 60.0},
    }
    return {
        **{"recording": recording.id, "subject": recording.subject, "night": recording.night},
        **{"simulated": simulated, "start": f"2000-01-01T2{recording.night}:00:00"},
        **{"psg_seconds": 30.0 * recording.stages.size, "epochs_in_night": recording.stages.size},
        "trimmings": {"standard": kept, "authors": kept},
        "stages": dict(zip((*STAGES, "movement", "unknown"), counts, strict=True)),
        "hypnogram": [[stage, len(list(run))] for stage, run in groupby(recording.stages.tolist())],
        "channels": {role: {"label": label, **channel} for role, label in channels.items()},
        "handled": [],
    }


# ------------------------------------------------------------------------------------------------------------ the tree


@dataclass(frozen=True)
class FakeRecording:
    """A night: the stage of every epoch, and whose it is."""

    id: str
    subject: str
    night: int
    age: int | None
    sex: str | None
    stages: np.ndarray = field(repr=False, compare=False)


@dataclass
class FakeResults:
    """Results below `root`, written when it is made; directories in the runs table begin with `root`.

    The folds of a protocol test consecutive recordings. The first protocol leaves out the last recording, as the
    released protocol leaves out what its floor division does.
    """

    root: Path
    dataset: str = "simulated"
    protocols: Sequence[str] = ("released", "clean")
    models: Sequence[str] = ("ULW-SleepNet",)
    seeds: Sequence[int] = (1,)
    n_folds: int = 2
    nights_per_fold: int = 2
    training_epochs: int = 8

    def __post_init__(self) -> None:
        for protocol in self.protocols:
            document = self.fold_document(protocol)
            write_document(self.path(paths.folds(self.dataset, document["name"])), document)
            write_document(self.totals_path(protocol), self.totals_document(protocol))
        self.write_recordings()
        write_json(self.path(paths.profile("ulw_sleepnet", 4)), PROFILE)
        write_json(self.path(paths.parity("ulw_sleepnet")), PARITY)
        rows = [
            self._write_run(protocol, model, seed, fold)
            for protocol in self.protocols
            for model in self.models
            for seed in self.seeds
            for fold in range(self.n_folds)
        ]
        deployment = {**DEPLOYMENT, "run_key": rows[0]["run_key"]}
        write_document(self.path(paths.deployment(self.dataset)), deployment)
        self.runs.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(rows).to_csv(self.runs, index=False)

    # ------------------------------------------------------------------------------------------------------- contents

    @property
    def label(self) -> DataLabel:
        """What the data is called."""
        return LABELS[self.dataset]

    @cached_property
    def recordings(self) -> list[FakeRecording]:
        """Two nights of each person, in ascending order."""
        found = []
        for number in range(self.n_folds * self.nights_per_fold):
            person, night = number // 2, number % 2 + 1
            stages = scored_night(np.random.default_rng(number))
            age, sex = 25 + 7 * person % 60, "FM"[person % 2]
            found.append(FakeRecording(f"n{person:03d}{'ab'[night - 1]}", f"p{person:02d}", night, age, sex, stages))
        return found

    def settings(self, protocol: str) -> dict[str, Any]:
        """A protocol as the configuration resolves it, with the name of its folds."""
        mine = PROTOCOLS[protocol]
        validation = "validation0" if mine["validation_subjects"] else "no_validation"
        name = f"{mine['unit']}-{self.n_folds}-{mine['remainder']}-{validation}"
        return {**mine, "n_folds": self.n_folds, "seed": 0, "folds": name}

    def tests(self, protocol: str, fold: int) -> list[FakeRecording]:
        """The recordings that a fold tests."""
        mine = self.recordings[fold * self.nights_per_fold : (fold + 1) * self.nights_per_fold]
        return mine[:-1] if protocol == self.protocols[0] and fold == self.n_folds - 1 else mine

    def fold_document(self, protocol: str) -> dict[str, Any]:
        """The content of a protocol's fold file."""
        settings = self.settings(protocol)
        tests = [self.tests(protocol, fold) for fold in range(self.n_folds)]
        used = [recording for test in tests for recording in test]
        folds = []
        for test in tests:
            rest = [recording for recording in used if recording not in test]
            held_out = {rest[0].subject} if rest and settings["validation_subjects"] else set()
            parts = {
                "train": [recording.id for recording in rest if recording.subject not in held_out],
                "validation": [recording.id for recording in rest if recording.subject in held_out],
                "test": [recording.id for recording in test],
            }
            folds.append(parts)
        return {
            "dataset": self.dataset,
            "name": settings["folds"],
            **{key: settings[key] for key in ("unit", "remainder", "validation_subjects", "seed", "n_folds")},
            "folds_sha256": sha256_of_json(folds),
            "data_sha256": "d" * 64,
            "dropped": [recording.id for recording in self.recordings if recording not in used],
            "folds": folds,
            "subjects": {recording.id: recording.subject for recording in self.recordings},
            "nights": {recording.id: recording.night for recording in self.recordings},
        }

    def totals_document(self, protocol: str) -> dict[str, Any]:
        """The content of the file of totals of a protocol's folds and trimming."""
        settings, document = self.settings(protocol), self.fold_document(protocol)
        tested = sorted(id for fold in document["folds"] for id in fold["test"])
        found = {}
        for recording in self.recordings:
            if recording.id in tested:
                counts = np.bincount(recording.stages, minlength=5)[:5].tolist()
                found[recording.id] = {"epochs": sum(counts), **dict(zip(STAGES, counts, strict=True))}
        return {
            **{"dataset": self.dataset, "trimming": settings["trimming"], "folds": document["name"]},
            "recordings": tested,
            "found": {part: sum(night[part] for night in found.values()) for part in ("epochs", *STAGES)},
            "found_by_recording": found,
            **{"known": False, "reason": "simulated" if self.label.simulated else "no total is known"},
            "verdict": "nothing is known of simulated recordings",
        }

    # ---------------------------------------------------------------------------------------------------------- files

    def path(self, path: str) -> Path:
        """A path of `config.paths`, below the root."""
        return self.root / path

    @property
    def runs(self) -> Path:
        """The runs table."""
        return self.path(paths.runs(self.dataset))

    def read_runs(self) -> pd.DataFrame:
        """The runs table."""
        return pd.read_csv(self.runs, dtype={"run_key": str, "only_folds": str}, keep_default_na=False, na_values=[""])

    def change_runs(self, table: pd.DataFrame) -> None:
        """Write another runs table."""
        table.to_csv(self.runs, index=False)

    @property
    def folds(self) -> list[Path]:
        """The fold file of each protocol, each once."""
        names = dict.fromkeys(self.settings(protocol)["folds"] for protocol in self.protocols)
        return [self.path(paths.folds(self.dataset, name)) for name in names]

    def totals_path(self, protocol: str) -> Path:
        """The file of totals of a protocol."""
        settings = self.settings(protocol)
        return self.path(paths.totals(self.dataset, settings["folds"], settings["trimming"]))

    def quality_path(self, recording: FakeRecording) -> Path:
        """The quality file of a recording."""
        return self.path(paths.prepared(self.dataset, recording.id, "quality.json"))

    def statistics(self, name: str) -> Path:
        """A file of statistics."""
        return self.path(paths.statistics(self.dataset, name))

    def write_recordings(self, **changed: Any) -> None:
        """The index of the recordings, `changed` in all of them, and the quality file of each."""
        kept = {name: quality(one)["trimmings"] for one in self.recordings for name in (one.id,)}
        rows = []
        for one in self.recordings:
            identity = {"subject": one.subject, "night": one.night, "age": one.age, "sex": one.sex, "group": None}
            files = {
                role: {
                    "name": f"{one.id}-{role}.edf",
                    "path": f"raw/{one.id}-{role}.edf",
                    "bytes": 1,
                    "sha256": "a" * 64,
                }
                for role in ("psg", "scoring")
            }
            signals = paths.prepared(self.dataset, one.id)
            rows.append(
                {
                    **{"recording": one.id, **identity, **changed, "files": files, "signals": signals},
                    **{"epochs": kept[one.id], "sha256": {Path(signals).name: "b" * 64}},
                }
            )
        document = {"dataset": self.dataset, "simulated": self.label.simulated, "recordings": rows}
        write_document(self.path(paths.recordings(self.dataset)), document)
        for recording in self.recordings:
            write_document(self.quality_path(recording), quality(recording, self.label.simulated))

    @property
    def files(self) -> dict[str, Path | list[Path]]:
        """All inputs of artefacts by name, whether they are written or not."""
        names = ("intervals", "subjects", "groups", "comparisons", "ladder", "inputs", "nights", "sleep_measures")
        names += ("non_inferiority", "ranks")
        return {
            "runs": self.runs,
            "trainings": [Path(directory) for directory in self.read_runs().directory],
            "folds": self.folds,
            "totals": list(dict.fromkeys(map(self.totals_path, self.protocols))),
            "audit": self.path(paths.table(self.dataset, "audit", "json")),
            "recordings": self.path(paths.recordings(self.dataset)),
            "quality": [self.quality_path(recording) for recording in self.recordings],
            "profiles": [self.path(paths.profile("ulw_sleepnet", 4))],
            "parity": [self.path(paths.parity("ulw_sleepnet"))],
            "deployment": [self.path(paths.deployment(self.dataset))],
            "smoothed": sorted(path.parent for path in self.root.glob("results/*/postprocessed/**/hmm.json")),
            "imported": sorted(self.path(paths.IMPORTED).glob("*/description.json")),
            "published_results": RESOURCES / "published_results.csv",
            "published_sizes": RESOURCES / "published_sizes.csv",
            "published_recipes": RESOURCES / "published_recipes.csv",
            "published_deployments": RESOURCES / "published_deployments.csv",
            "measured_deployment": RESOURCES / "measured_deployment.json",
            "claims": RESOURCES / "claims.yaml",
            "reruns": RESOURCES / "reruns.yaml",
            "human_scorings": RESOURCES / "human_scorings" / "scorings.csv",
            **{f"statistics/{name}": self.statistics(name) for name in (*names, "reliability")},
        }

    def all_settings(self) -> dict[str, Any]:
        """All settings of artefacts, as a configuration would have them."""
        from sleepbench.config.load import load

        return {
            **{"ladder": ["released", "subject_blocks", "not_run", "clean"], "own_recipes": {}, "alone": None},
            "recipes": {name: recipe.model_dump(mode="json") for name, recipe in load().recipes.items()},
            "recipes_of_models": ["ulw", "chambon2018"],
            **{"undefined": [], "estimators": [], "smoothed_models": [], "smoothed_protocols": [], "not_trained": []},
            "margins": [1.0, 2.0],
            "protocols": {protocol: self.settings(protocol) for protocol in self.protocols},
        }

    def inputs(self, artefact: Any, files: Mapping[str, Any] | None = None, **settings: Any) -> Any:
        """What an artefact is built from: the files and settings that it names, and no others."""
        from sleepbench.reporting.artefacts import Inputs

        known, said = self.files | dict(files or {}), self.all_settings() | settings
        return Inputs(
            {name: known[name] for name in artefact.inputs},
            {name: said[name] for name in artefact.settings},
            self.label,
        )

    # ----------------------------------------------------------------------------------------------------------- runs

    def key(self, protocol: str, model: str, seed: int, fold: int) -> TrainingKey:
        """The training of a run."""
        settings, name = self.settings(protocol), model.lower().replace("-", "_").replace(" ", "_")
        return TrainingKey(self.dataset, settings["folds"], settings["trimming"], name, "four", "ulw", seed, fold)

    def _write_run(self, protocol: str, model: str, seed: int, fold: int) -> dict[str, Any]:
        """The files of one run; returns its row of the runs table."""
        p, m = self.protocols.index(protocol), self.models.index(model)
        generator = np.random.default_rng([p, m, seed, fold])
        settings, key = self.settings(protocol), self.key(protocol, model, seed, fold)
        tested = [
            predictions(one, 2.5 + 0.5 * m, np.random.default_rng([7, hash_of(one.id)]))
            for one in self.tests(protocol, fold)
        ]
        table = pd.concat(tested, ignore_index=True)
        flips = generator.random(len(table)) < 0.03 + 0.05 * p + 0.02 * generator.random()
        # The most probable stage moves on by one, and with it the predicted one.
        table.loc[flips, PROBABILITIES] = np.roll(table.loc[flips, PROBABILITIES].to_numpy(), 1, axis=1)
        table.loc[flips, "predicted"] = (table.loc[flips, "predicted"] + 1) % 5
        curve = history(self.training_epochs, settings["validation_subjects"], generator)
        selected_epoch = int(generator.integers(self.training_epochs // 2, self.training_epochs)) + 1
        place, selection = self.path(paths.training(key)), settings["selection"]
        run_key = f"{p}{m}{seed}{fold:03d}" + "7" * 10
        (place / selection).mkdir(parents=True)
        table.to_parquet(place / selection / "predictions.parquet", index=False)
        write_json(place / selection / "metrics.json", {k: v for k, v in numbers(table).items() if v == v})
        curve.to_csv(place / "history.csv", index=False)
        recipe = {"training_epochs": self.training_epochs}
        n_epochs = {"train": 1000, "validation": 100 if settings["validation_subjects"] else 0, "test": len(table)}
        document = self.fold_document(protocol)
        record = {
            "training_key": sha256_of_json(list(vars(key).values()))[:16],
            "settings": {
                **{name: value for name, value in vars(key).items() if name != "recipe"},
                **{name: document[name] for name in ("data_sha256", "folds_sha256")},
                **{"channels": list(ROLES), "recipe": {"name": key.recipe, **recipe}},
            },
            "code_sha256": "e" * 64,
            "provenance": {
                **{"title": model, "simulated": self.label.simulated, "git_commit": COMMIT, "n_folds": self.n_folds},
                "config_sha256": f"{seed}" * 64,
            },
            "n_epochs": n_epochs,
            "environment": {
                **{"device": "A Device", "threads": 1, "engine": "fast", "arrangement": "C kernel"},
                **{"sleepbench": "0.1.0", "python": "3.11.99", "torch": "2.99.0+cpu", "numpy": "2.98.0"},
                "platform": "A-Platform",
            },
            "duration_s": 100.5,
            "timing": {},
            "remarks": [],
            "runs": selected_epochs(curve, selection, selected_epoch, run_key),
            "files": file_hashes(place),
        }
        write_document(place / "training.json", record)
        return {
            **{"run_key": run_key, "dataset": self.dataset, "simulated": self.label.simulated, "protocol": protocol},
            **{"model": key.model, "title": model, "input": key.input, "n_channels": 4, "recipe": key.recipe},
            **{"seed": seed, "fold": fold, "n_folds": self.n_folds, "only_folds": "", "selection": selection},
            **{
                "trimming": key.trimming,
                "training_epochs": self.training_epochs,
                "trained_epochs": self.training_epochs,
            },
            "recipe_settings": f'{{"training_epochs": {self.training_epochs}}}',
            "tuned_learning_rate": None,
            **{f"n_{part}": n for part, n in n_epochs.items()},
            **{"directory": str(place), "git_commit": COMMIT, "device": "A Device"},
            **numbers(table),
            **{"selected_epoch": selected_epoch, "duration_s": 100.5},
        }

    def rewrite(self, position: int, table: pd.DataFrame) -> None:
        """Replace the predictions of a run, by its place in the runs table, and its numbers there."""
        runs = self.read_runs()
        run = next(runs.iloc[[position]].itertuples())
        table.to_parquet(predictions_path(run), index=False)
        sign_again(Path(run.directory))
        items = {name: value for name, value in numbers(table).items() if name.startswith("confusion_")}
        runs.loc[position, list(items)] = list(items.values())
        runs.loc[position, "n_test"] = len(table)
        self.change_runs(runs)

    def smoothed(self, key: TrainingKey, selection: str) -> Path:
        """The directory of a run's smoothed predictions."""
        return self.path(paths.smoothed(key, selection))

    def write_smoothed(self) -> list[Path]:
        """Smooth every run; returns the directories."""
        return [self.smooth(run) for run in self.read_runs().itertuples()]

    def smooth(self, run: Any) -> Path:
        """Write the smoothed predictions of a row of the runs table as their job does; returns the directory."""
        table = predictions_of(run).drop(columns=PROBABILITIES)
        table.loc[: CORRECTED - 1, "predicted"] = table.stage[:CORRECTED]
        directory = self.smoothed(self.key(run.protocol, run.title, run.seed, run.fold), run.selection)
        directory.mkdir(parents=True, exist_ok=True)
        table.to_parquet(directory / "predictions.parquet", index=False)
        sign_smoothed(directory, run)
        return directory


def sign_smoothed(directory: Path, run: Any, **changes: Any) -> None:
    """Write the parameters of a smoothed run, of the smoothed predictions as they are now."""
    document = {
        "run_key": run.run_key,
        "training_json_sha256": sha256_of_file(Path(run.directory) / "training.json"),
        "files": {"predictions.parquet": sha256_of_file(directory / "predictions.parquet")},
    }
    write_document(directory / "hmm.json", document | {"initial": [0.2] * 5} | changes)


def hash_of(name: str) -> int:
    """A number that stands for a name, the same in every process."""
    return int(sha256_of_json(name)[:8], 16)

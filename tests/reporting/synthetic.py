"""Synthetic runs: a runs table, and the history and predictions it points to."""

from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from sleepbench.core.files import read_json, sha256_of_file, write_json
from sleepbench.core.stages import STAGES
from sleepbench.evaluation import metrics
from sleepbench.signals.hypnogram import WINDOWS, select_window
from sleepbench.signals.quality import NIGHT_STAGES

PROBABILITIES = [f"p_{name}" for name in STAGES]
SELECTION = {"released": "best_test", "subject_blocks": "last", "clean": "best_validation"}
NIGHT = (
    (0, 90),
    (1, 6),
    (2, 30),
    (3, 40),
    (2, 30),
    (4, 20),
    (0, 4),
    (1, 8),
    (2, 60),
    (4, 30),
    (2, 50),
    (4, 25),
    (0, 60),
)
"""A night as (stage, epochs)."""


def scored_night(generator: np.random.Generator) -> np.ndarray:
    """Stages of one night, int8 (n_epochs,)."""
    bouts = [np.full(max(1, int(length * generator.uniform(0.6, 1.5))), stage) for stage, length in NIGHT]
    return np.concatenate(bouts).astype(np.int8)


def predictions(recordings: list[str], skill: float, generator: np.random.Generator) -> pd.DataFrame:
    """Predictions for some nights; each night misses 11 epochs in the middle."""
    frames = []
    for recording in recordings:
        stage = scored_night(generator)
        logits = skill * np.eye(5)[stage] + generator.normal(size=(stage.size, 5))
        probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        epoch = 60 + np.arange(stage.size)
        frame = pd.DataFrame(
            {
                "recording": recording,
                "subject": recording[3:5],
                "night": int(recording[5]),
                "epoch": epoch,
                "onset_s": 30.0 * epoch,
                "stage": stage,
                "predicted": probability.argmax(axis=1).astype(np.int8),
                **{f"p_{name}": probability[:, i].astype(np.float32) for i, name in enumerate(STAGES)},
            }
        )
        frames.append(frame.drop(index=range(150, 161)))
    return pd.concat(frames, ignore_index=True)


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


def selected_epochs(curve: pd.DataFrame, selection: str, selected_epoch: int) -> dict:
    """The part of training.json that says which training epoch each selection rule takes."""
    selected = {"last": len(curve), "best_test": int(curve.test_accuracy.argmax()) + 1}
    if curve.validation_accuracy.notna().any():
        selected["best_validation"] = int(curve.validation_accuracy.argmax()) + 1
    selected[selection] = selected_epoch
    return {rule: {"run_key": "7" * 16, "training_epoch": epoch} for rule, epoch in selected.items()}


def file_hashes(directory: Path) -> dict[str, str]:
    """SHA-256 of every file of a training but its training.json, which lists them."""
    names = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())
    return {name: sha256_of_file(directory / name) for name in names if name != "training.json"}


def sign_again(directory: Path) -> None:
    """Make training.json list the files as they are now, as the code that wrote them wrong would have."""
    record = read_json(directory / "training.json")
    write_json(directory / "training.json", {**record, "files": file_hashes(directory)})


def write_quality(
    path: str | Path,
    recording: str,
    stages: np.ndarray,
    channels: tuple[str, ...] = ("EEG Fpz-Cz",),
    start: str = "2000-01-01T16:00:00",
) -> None:
    """The quality file of a recording of sound signals, scored with `stages` from its first epoch on."""
    windows = {rule: np.bincount(stages[select_window(stages, rule)], minlength=5).tolist() for rule in WINDOWS}
    channel = {
        **{"unit": "uV", "sampling_rate_hz": 100.0, "clipped_share": 0.0001, "flat_share": 0.0},
        "quantiles_uv": {"1": -60.0, "50": 0.0, "99": 60.0},
    }
    quality = {
        "recording": recording,
        "simulated": True,
        "start": start,
        "psg_seconds": 30.0 * stages.size,
        "epochs_in_night": stages.size,
        "windows": {rule: {"epochs": sum(n), **dict(zip(STAGES, n, strict=True))} for rule, n in windows.items()},
        "stages": dict(zip(NIGHT_STAGES, np.bincount(stages, minlength=7).tolist(), strict=True)),
        "hypnogram": [[stage, len(list(run))] for stage, run in groupby(stages.tolist())],
        "channels": dict.fromkeys(channels, channel),
        "handled": [],
    }
    write_json(path, quality)


def make_runs(
    directory: Path,
    folds: int = 2,
    protocols: tuple[str, ...] = ("released", "clean"),
    models: tuple[str, ...] = ("ULW-SleepNet",),
    seeds: tuple[int, ...] = (1,),
    dataset: str = "simulated",
    training_epochs: int = 8,
    nights_per_fold: int = 2,
) -> Path:
    """Write the files of every run and their runs table; returns the table's path.

    The folds of the first protocol leave out the last recording, as the released protocol leaves out what its floor
    division does.
    """
    recordings = [f"SC4{i // 2:02d}{i % 2 + 1}" for i in range(folds * nights_per_fold)]
    rows = []
    for p, protocol in enumerate(protocols):
        for m, model in enumerate(models):
            for seed in seeds:
                for fold in range(folds):
                    generator = np.random.default_rng([p, m, seed, fold])
                    mine = recordings[fold * nights_per_fold : (fold + 1) * nights_per_fold]
                    mine = mine[:-1] if p == 0 and fold == folds - 1 else mine
                    # The scored nights must not depend on the model or the seed: every run tests the same epochs.
                    table = pd.concat(
                        (predictions([name], 2.5 + 0.5 * m, np.random.default_rng(int(name[3:]))) for name in mine),
                        ignore_index=True,
                    )
                    flips = generator.random(len(table)) < 0.03 + 0.05 * p + 0.02 * generator.random()
                    # The most probable stage moves on by one, and with it the predicted one.
                    table.loc[flips, PROBABILITIES] = np.roll(table.loc[flips, PROBABILITIES].to_numpy(), 1, axis=1)
                    table.loc[flips, "predicted"] = (table.loc[flips, "predicted"] + 1) % 5
                    place = directory / protocol / model / f"seed{seed}" / f"fold{fold:02d}"
                    (place / SELECTION[protocol]).mkdir(parents=True)
                    record = {
                        "settings": {"model": model, "seed": seed, "fold": fold},
                        "code_sha256": "0" * 64,
                        "provenance": {},
                        "n_epochs": {"test": len(table)},
                        "environment": {},
                    }
                    table.to_parquet(place / SELECTION[protocol] / "predictions.parquet", index=False)
                    curve = history(training_epochs, protocol == "clean", generator)
                    curve.to_csv(place / "history.csv", index=False)
                    selected_epoch = int(generator.integers(training_epochs // 2, training_epochs)) + 1
                    runs = selected_epochs(curve, SELECTION[protocol], selected_epoch)
                    write_json(place / "training.json", {**record, "runs": runs, "files": file_hashes(place)})
                    confusion = metrics.confusion_matrix(table.stage.to_numpy(), table.predicted.to_numpy())
                    rows.append(
                        {
                            "run_key": f"{p}{m}{seed}{fold:03d}" + "7" * 10,
                            "dataset": dataset,
                            "simulated": dataset == "simulated",
                            "protocol": protocol,
                            "model": model.lower().replace("-", "_"),
                            "title": model,
                            "channels": "four",
                            "n_channels": 4,
                            "recipe": "released",
                            "seed": seed,
                            "fold": fold,
                            "folds": folds,
                            "only_folds": "",
                            "selection": SELECTION[protocol],
                            "window": "released" if p == 0 else "standard",
                            "training_epochs": training_epochs,
                            "trained_epochs": training_epochs,
                            "recipe_settings": f'{{"training_epochs": {training_epochs}}}',
                            "selected_epoch": selected_epoch,
                            "n_train": 1000,
                            "n_validation": 100 if protocol == "clean" else 0,
                            "n_test": len(table),
                            "directory": str(place),
                            **metrics.summary(confusion),
                            **metrics.confusion_items(confusion),
                            "git_commit": "unknown",
                            "device": "cpu",
                            "duration_s": 1.5,
                        }
                    )
    path = directory / "runs.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


PROFILE = {
    "model": "ulw_sleepnet",
    "title": "ULW-SleepNet",
    "n_channels": 4,
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
        **{"median_us": 1345.2, "iqr_us": 60.4, "p99_us": 2011.9, "length": 1, "median_us_per_epoch": 1345.2},
        **{"runs": 400, "hardware": "A Processor", "torch": "2.13.0"},
    },
}

"""Synthetic statistics: the CSVs that the figures of the statistics are drawn from, with made-up numbers."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from sleepbench.evaluation.sleep_measures import MEASURES, agreement

RUNGS = (
    *("released", "all_recordings", "subject_folds", "twenty_folds"),
    *("standard_window", "validation_held_out", "clean"),
)
NETWORKS = (
    ("ULW-SleepNet", "four", "released"),
    ("TinySleepNet", "fpz", "common"),
    ("SleepStagerChambon2018", "four", "common"),
    ("AttnSleep", "fpz", "published"),
)
CHANNELS = {"four": 4, "fpz": 1}
COSTS = {
    "ULW-SleepNet": (13_337, 3_498_352),
    "TinySleepNet": (1_516_421, 29_090_000),
    "SleepStagerChambon2018": (6_361, 7_809_000),
    "AttnSleep": (509_825, 63_430_000),
}
LOSS = np.array([0, 0.004, 0.021, 0.015, 0.03, 0.033, 0.041])
METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "cohen_kappa")


def make_statistics(
    directory: Path, networks: int = 1, protocols: tuple[str, ...] = RUNGS, n_subjects: int = 20, seed: int = 0
) -> dict[str, str]:
    """Write all files; returns their paths by name, and `profiles`, a list of paths.

    A single subject has no intervals, as nothing can be resampled.
    """
    generator = np.random.default_rng(seed)
    named = [dict(zip(("title", "channels", "recipe"), network, strict=True)) for network in NETWORKS[:networks]]
    tables: dict[str, list] = {name: [] for name in ("intervals", "subjects", "ladder", "reliability", "nights")}
    agreements = []
    for n, network in enumerate(named):
        before = {}
        for rung, protocol in enumerate(protocols):
            key = {"protocol": protocol, **network}
            level = 0.86 - 0.015 * n - LOSS[rung]
            tables["subjects"] += _subjects(key, level, n_subjects, generator)
            tables["reliability"] += _bins(key, level, generator)
            nights = _nights(key, n_subjects, generator)
            tables["nights"].append(nights)
            agreements.append(agreement(nights).reset_index().assign(**key))
            half = np.nan if n_subjects == 1 else 0.06 / np.sqrt(n_subjects)
            for metric, value in (
                ("accuracy", level),
                ("macro_f1", level - 0.07),
                ("expected_calibration_error", 0.031),
            ):
                interval = (np.nan, np.nan) if metric.startswith("exp") else (value - half, value + 1.2 * half)
                tables["intervals"].append(
                    {**key, "metric": metric, "estimate": value, "low": interval[0], "high": interval[1]}
                )
            for metric in ("accuracy", "accuracy_mean_of_folds", "macro_f1"):
                tables["ladder"].append(_rung(key, rung, metric, level, half, before, protocols, n_subjects))
    columns = ["protocol", "title", "channels", "recipe"]
    frames = {name: pd.DataFrame(rows) for name, rows in tables.items() if name != "nights"}
    frames["nights"] = pd.concat(tables["nights"], ignore_index=True)
    together = pd.concat(agreements, ignore_index=True)
    frames["sleep_measures"] = together[columns + [name for name in together if name not in columns]]
    paths: dict = {}
    for name, frame in frames.items():
        paths[name] = str(directory / f"{name}.csv")
        frame.to_csv(paths[name], index=False)
    return paths | {"profiles": _profiles(directory, named)}


def _profiles(directory: Path, networks: list[dict]) -> list[str]:
    paths = []
    for network in networks:
        parameters, macs = COSTS[network["title"]]
        profile = {
            "title": network["title"],
            "n_channels": CHANNELS[network["channels"]],
            "operations": {"parameters": parameters, "length": 1, "macs": macs, "flops_2x": 2 * macs},
        }
        paths.append(str(directory / f"{network['title']}.json"))
        Path(paths[-1]).write_text(json.dumps(profile))
    return paths


def _subjects(key: dict, level: float, n_subjects: int, generator: np.random.Generator) -> list[dict]:
    accuracy = np.clip(
        level + 0.05 * generator.normal(size=n_subjects) - 0.06 * (generator.random(n_subjects) < 0.1), 0, 1
    )
    return [
        {
            **key,
            "subject": f"{i:02d}",
            "age": 25 + i,
            "sex": "FM"[i % 2],
            **{metric: accuracy[i] - 0.04 * m for m, metric in enumerate(METRICS)},
            "n_epochs": 2000,
            "n_recordings": 2,
        }
        for i in range(n_subjects)
    ]


def _bins(key: dict, level: float, generator: np.random.Generator) -> list[dict]:
    edges = np.linspace(0, 1, 16)
    rows = []
    for low, high in pairwise(edges):
        empty = high < 0.3
        middle = (low + high) / 2
        rows.append(
            {
                **key,
                "low": low,
                "high": high,
                "n_epochs": 0 if empty else int(400 * np.exp(4 * middle)),
                "confidence": np.nan if empty else middle + 0.01 * generator.random(),
                "accuracy": np.nan if empty else middle - 0.05 * np.sin(3 * middle) + 0.02 * generator.random(),
            }
        )
    return rows


def _nights(key: dict, n_subjects: int, generator: np.random.Generator) -> pd.DataFrame:
    recordings = [f"SC4{subject:02d}{night}" for subject in range(n_subjects) for night in (1, 2)]
    table = pd.DataFrame({**key, "seed": 32, "recording": recordings})
    table["subject"], table["night"] = table.recording.str[3:5], table.recording.str[5].astype(int)
    for measure in MEASURES:
        size = {"total_sleep_time": 420, "sleep_onset_latency": 30}.get(measure, 85)
        scored = size + 0.12 * size * generator.normal(size=len(table))
        table[f"scored_{measure}"] = scored.round(1)
        table[f"predicted_{measure}"] = (scored + 0.05 * size * (0.4 + generator.normal(size=len(table)))).round(1)
    table.loc[0, "predicted_rem_latency_from_sleep_onset"] = np.nan
    return table


def _rung(
    key: dict, rung: int, metric: str, level: float, half: float, before: dict, protocols: tuple, n_subjects: int
) -> dict:
    """One row of ladder.csv; `before` keeps each metric's value for the next rung."""
    value = level + {"accuracy": 0, "accuracy_mean_of_folds": 0.003, "macro_f1": -0.07}[metric]
    change = value - before[metric] if before.get(metric) is not None else np.nan
    before[metric] = value
    half = np.nan if metric == "accuracy_mean_of_folds" else half
    return {
        "rung": rung,
        **{"protocol": key["protocol"], "from_protocol": protocols[rung - 1] if rung else None},
        **{name: key[name] for name in ("title", "channels", "recipe")},
        "metric": metric,
        "value": value,
        "value_low": value - half,
        "value_high": value + half,
        "change": change,
        "change_low": change - half / 2,
        "change_high": change + half / 2,
        "n_subjects": n_subjects,
        "n_shared": n_subjects if rung else np.nan,
        "seeds": 1,
        "seeds_shared": 1 if rung else np.nan,
    }

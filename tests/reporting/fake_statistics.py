"""Made-up statistics: the CSVs that the figures of the statistics are drawn from, and the runs table beside them."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from sleepbench.core.files import write_json
from sleepbench.evaluation.metrics import confusion_items
from sleepbench.evaluation.sleep_measures import MEASURES, agreement
from sleepbench.reporting.reading import CONTENDER, KEY
from sleepbench.runs.runs_table import RUN_COLUMNS

RUNGS = (
    *("released", "all_recordings", "subject_folds", "twenty_folds"),
    *("standard_trimming", "validation_held_out", "clean"),
)
CONTENDERS = (
    ("ULW-SleepNet", "four", "ulw"),
    ("TinySleepNet", "one", "common"),
    ("SleepStagerChambon2018", "four", "common"),
    ("AttnSleep", "one", "attn_sleep"),
)
N_CHANNELS = {"four": 4, "one": 1}
COSTS = {
    "ULW-SleepNet": (13_337, 3_498_352),
    "TinySleepNet": (1_516_421, 29_090_000),
    "SleepStagerChambon2018": (6_361, 7_809_000),
    "AttnSleep": (509_825, 63_430_000),
}
LOSS = np.array([0, 0.004, 0.021, 0.015, 0.03, 0.033, 0.041])


def make_statistics(
    directory: Path, n_contenders: int = 1, protocols: tuple[str, ...] = RUNGS, n_subjects: int = 20
) -> dict[str, Path | list[Path]]:
    """Write all files; returns them by the names that inputs have.

    A single subject has no intervals, as nothing can be resampled.
    """
    directory.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    contenders = [dict(zip(CONTENDER, contender, strict=True)) for contender in CONTENDERS[:n_contenders]]
    rows: dict[str, list] = {name: [] for name in ("intervals", "subjects", "ladder", "reliability")}
    nights = []
    for n, contender in enumerate(contenders):
        before: dict[str, float] = {}
        for rung, protocol in enumerate(protocols):
            key = {"protocol": protocol, **contender}
            level = 0.86 - 0.015 * n - LOSS[rung]
            half = np.nan if n_subjects == 1 else 0.06 / np.sqrt(n_subjects)
            rows["subjects"] += _subjects(key, level, n_subjects, generator)
            rows["reliability"] += _bins(key, level, generator)
            rows["intervals"] += [
                {**key, "metric": metric, "estimate": level - less, "low": level - less - half, "high": level + half}
                for metric, less in (("accuracy", 0), ("macro_f1", 0.07))
            ]
            rows["intervals"].append({**key, "metric": "expected_calibration_error", "estimate": 0.031})
            before_key = {"rung": rung, **key, "from_protocol": protocols[rung - 1] if rung else None}
            rows["ladder"] += _rung(before_key, level, half, before, n_subjects)
            nights.append(_nights(key, n_subjects, generator))
    tables = {name: pd.DataFrame(mine) for name, mine in rows.items()} | {"nights": pd.concat(nights)}
    measures = [agreement(table).reset_index().assign(**table.iloc[0][list(KEY)]) for table in nights]
    tables["sleep_measures"] = pd.concat(measures)
    files: dict[str, Path | list[Path]] = {f"statistics/{name}": directory / f"{name}.csv" for name in tables}
    for name, table in tables.items():
        table.assign(run_keys="any").to_csv(files[f"statistics/{name}"], index=False)
    runs = pd.DataFrame(contenders).reindex(columns=list(RUN_COLUMNS))  # of a run, figures of statistics read who it is
    runs = runs.assign(n_channels=runs.input.map(N_CHANNELS), protocol=protocols[-1], seed=32, fold=0)
    epochs = confusion_items(100 * np.diag(range(1, 6)))
    runs.assign(**epochs).to_csv(directory / "runs.csv", index=False)
    return files | {"runs": directory / "runs.csv", "profiles": [_profile(directory, one) for one in contenders]}


def _profile(directory: Path, contender: dict) -> Path:
    title, n_channels = contender["title"], N_CHANNELS[contender["input"]]
    parameters, macs = COSTS[title]
    operations = {"parameters": parameters, "length": 1, "macs": macs, "flops_2x": 2 * macs}
    path = directory / f"{title}.json"
    write_json(path, {"title": title, "n_channels": n_channels, "operations": operations})
    return path


def _subjects(key: dict, level: float, n_subjects: int, generator: np.random.Generator) -> list[dict]:
    accuracy = level + 0.05 * generator.normal(size=n_subjects) - 0.06 * (generator.random(n_subjects) < 0.1)
    accuracy = accuracy.clip(0, 1)
    who = [{"subject": f"{i:02d}", "age": 25 + i, "sex": "FM"[i % 2]} for i in range(n_subjects)]
    counts = {"n_epochs": 2000, "n_recordings": 2}
    return [
        {**key, **one, "accuracy": value, "macro_f1": value - 0.08, **counts}
        for one, value in zip(who, accuracy, strict=True)
    ]


def _bins(key: dict, level: float, generator: np.random.Generator) -> list[dict]:
    rows = []
    for low, high in pairwise(np.linspace(0, 1, 16)):
        bounds, middle = {**key, "low": low, "high": high, "n_epochs": 0}, (low + high) / 2
        if high >= 0.3:
            bounds["n_epochs"] = int(400 * np.exp(4 * middle))
            bounds["confidence"] = middle + 0.01 * generator.random()
            bounds["accuracy"] = middle - 0.05 * np.sin(3 * middle) + 0.02 * generator.random()
        rows.append(bounds)
    return rows


def _nights(key: dict, n_subjects: int, generator: np.random.Generator) -> pd.DataFrame:
    people = [(f"{subject:02d}", night) for subject in range(n_subjects) for night in (1, 2)]
    table = pd.DataFrame(people, columns=["subject", "night"]).assign(**key, seed=32)
    table["recording"] = "n" + table.subject + table.night.astype(str)
    for measure in MEASURES:
        size = {"total_sleep_time": 420, "sleep_onset_latency": 30}.get(measure, 85)
        scored = size + 0.12 * size * generator.normal(size=len(table))
        table[f"scored_{measure}"] = scored.round(1)
        table[f"predicted_{measure}"] = (scored + 0.05 * size * (0.4 + generator.normal(size=len(table)))).round(1)
    table.loc[0, "predicted_rem_latency_from_sleep_onset"] = np.nan
    return table


def _rung(key: dict, level: float, half: float, before: dict[str, float], n_subjects: int) -> list[dict]:
    """The rows of a rung; `before` keeps each metric's value for the next rung."""
    rows = []
    for metric, more in (("accuracy", 0), ("accuracy_mean_of_folds", 0.003), ("macro_f1", -0.07)):
        value, width = level + more, np.nan if metric == "accuracy_mean_of_folds" else half
        change = value - before.get(metric, np.nan)
        before[metric] = value
        numbers = {"value": value, "value_low": value - width, "value_high": value + width}
        changes = {"change": change, "change_low": change - width / 2, "change_high": change + width / 2}
        counts = {"n_subjects": n_subjects, "n_shared": n_subjects if key["rung"] else np.nan}
        rows.append({**key, "metric": metric, **numbers, **changes, **counts})
    return rows

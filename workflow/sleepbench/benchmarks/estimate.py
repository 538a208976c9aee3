"""Hours and gigabytes that a run takes on this machine, from a minute of timed steps.

python -m sleepbench.benchmarks.estimate [--config 'run={datasets: [sleep-edf-20]}'] [--check]

Each network that is left to train is timed in real optimizer steps and evaluations, as many processes side by side as
jobs will run; a night is prepared in full. The plan, how many of each, is that of the workflow.
"""

import argparse
import functools
import heapq
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import yaml

from sleepbench.benchmarks.jobs import BENCHMARKS, read_benchmarks
from sleepbench.config.load import (
    Network,
    data_directory,
    dataset_of,
    load,
    networks_of,
    recipe_settings,
    seeds_of,
    simulation_ids,
    validate,
)
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.core.gpu import CPU_BUILD, is_gpu_idle, takes_gpu
from sleepbench.core.provenance import PREPARATION, TRAINING, code_sha256
from sleepbench.core.stages import SAMPLES_PER_EPOCH, STAGES
from sleepbench.datasets.recordings import Recording, first_subjects, read_recordings
from sleepbench.models import describe
from sleepbench.protocols.folds import FoldSettings, make_folds
from sleepbench.runs.results import aligned, run_command
from sleepbench.signals.hypnogram import WINDOWS, select_window
from sleepbench.signals.totals import read_known_epochs, read_known_totals
from sleepbench.simulation.cohort import simulate_recording, simulated_stages

if TYPE_CHECKING:
    from sleepbench.benchmarks.timed_steps import Rates

SECONDS, LEAST_S, MOST_S = 40.0, 0.4, 12.0
"""Seconds that all optimizer steps are timed for, and those of one network at least and at most."""
EDF_GB_OF_24_H = 0.0484
"""The 153 recordings of Sleep-EDF Expanded have 7.4 GB."""
RESULT_BYTES_A_TEST_EPOCH = 400
"""Predictions by four selection rules, each of which MLflow keeps once more."""
RESULT_BYTES_A_TRAINING = 350_000
"""Weights of a small network, history, metrics and logs."""
TOLERANCE = 0.3
Counts = Mapping[tuple[str, str], np.ndarray]
"""(recording, window) -> epochs of W, N1, N2, N3, REM."""


class Stage(NamedTuple):
    """What is timed of a network: its training, or the first stage of it, in which another model is trained."""

    network: Network
    is_first: bool = False


class Passes(NamedTuple):
    """Epochs of 30 s that a stage of a training goes through, in all its training epochs."""

    trained: float
    evaluated: float


@dataclass(frozen=True)
class PlannedTraining:
    """One training of the plan: where its fold lies, and what its stages go through."""

    network: Network
    directory: Path
    test_epochs: float
    stages: Mapping[Stage, Passes]


# ------------------------------------------------------------------------------------------------------------ the plan


def recordings_of(config: dict, dataset: str) -> list[Recording]:
    """The recordings of a dataset; of a simulated cohort that may not be written yet, without checksums."""
    of = dataset_of(config, dataset)
    if of.simulation:
        return [Recording(id, id[3:5], int(id[5]), "", "", "", "", 0, "") for id in simulation_ids(of.simulation)]
    return first_subjects(read_recordings(config["data"]["table"]), of.subjects)


def epochs_of_recordings(config: dict, dataset: str) -> dict[tuple[str, str], np.ndarray]:
    """Epochs by stage of every recording and window: simulated, known, or the mean of those that are not known."""
    of, ids = dataset_of(config, dataset), [recording.id for recording in recordings_of(config, dataset)]
    if of.simulation:
        counts = {}
        for id in ids:
            stages = simulated_stages(id, of.simulation["psg_hours"], of.simulation["seed"])
            for window in WINDOWS:
                kept = stages[select_window(stages, window)]
                counts[id, window] = np.bincount(kept, minlength=len(STAGES)).astype(float)
        return counts
    known = {key: np.array(counts, float) for key, counts in read_known_epochs().items() if key[0] in ids}
    return known | {
        (id, window): _mean_of_unknown(known, ids, dataset, window)
        for id, window in itertools.product(ids, WINDOWS)
        if (id, window) not in known
    }


def _mean_of_unknown(known: Counts, ids: Sequence[str], dataset: str, window: str) -> np.ndarray:
    """What is left of the dataset's known total for each recording that is not known, else the mean of the known."""
    of_window = {id: counts for (id, of), counts in known.items() if of == window}
    for total in read_known_totals():
        within = [id for id in ids if total.first <= id <= total.last]
        left = total.number - sum(id in of_window for id in within)
        if (total.dataset, total.window) == (dataset, window) and len(within) >= total.number and left:
            return (np.array(total.counts) - sum(of_window[id] for id in within if id in of_window)) / left
    return np.mean(list(of_window.values()), axis=0)


def planned_trainings(
    config: dict, dataset: str, recordings: Sequence[Recording], counts: Counts
) -> list[PlannedTraining]:
    """All trainings that `run` asks for on a dataset, in its order; protocols may share them."""
    of, planned = dataset_of(config, dataset), {}
    for protocol in config["run"]["protocols"]:
        settings = config["protocols"][protocol]
        if not settings["folds"].get(dataset):
            continue
        fold_settings, window = FoldSettings.of_protocol(settings, dataset), settings["window"]
        folds = make_folds(recordings, fold_settings)
        for network, seed in itertools.product(
            networks_of(config, dataset, protocol), seeds_of(config, dataset, protocol)
        ):
            home = Path("results", dataset, "trainings", fold_settings.name, window, *network, f"seed-{seed}")
            recipe = recipe_settings(config, network.recipe, dataset)
            for fold in of.only_folds or range(fold_settings.k):
                train, validation, test = (
                    sum((counts[id, window] for id in ids), np.zeros(len(STAGES)))
                    for ids in (folds[fold].train, folds[fold].validation, folds[fold].test)
                )
                directory = home / f"fold-{fold}"
                stages = stages_of(network, recipe, train, validation.sum() + test.sum())
                planned[directory] = PlannedTraining(network, directory, test.sum(), stages)
    return list(planned.values())


def stages_of(network: Network, recipe: dict, train: np.ndarray, evaluated: float) -> dict[Stage, Passes]:
    """What a training goes through: `train` are the epochs by stage of its training set, `evaluated` are evaluated."""
    if describe(network.model).kind == "estimator":
        return {Stage(network): Passes(train.sum(), train.sum() + evaluated)}
    n = recipe["training_epochs"]
    stages = {Stage(network): Passes(n * _in_a_pass(recipe, train), n * evaluated)}
    if first := recipe.get("pretrain"):
        stages[Stage(network, True)] = Passes(first["training_epochs"] * _in_a_pass(first, train), 0.0)
    return stages


def _in_a_pass(recipe: dict, train: np.ndarray) -> float:
    """Epochs of a training epoch: with balanced sampling all stages are as frequent as the most frequent one."""
    return train.max() * np.count_nonzero(train) if recipe.get("balanced_sampling") else train.sum()


def is_finished(config: dict, dataset: str, training: PlannedTraining) -> bool:
    """Whether a training is there, by the recipe that is asked for and the code that is here."""
    record = training.directory / "training.json"
    if not record.exists():
        return False
    found, network = read_json(record), training.network
    recipe = {"name": network.recipe, **recipe_settings(config, network.recipe, dataset)}
    return found["settings"]["recipe"] == recipe and found["code_sha256"] == _code_of(network.model)


@functools.cache
def _code_of(model: str) -> str:
    return code_sha256(PREPARATION + TRAINING, model)


def seconds_of(training: PlannedTraining, rates: Mapping[Stage, "Rates"]) -> float:
    """What a training takes from its job's start."""
    return max(rates[stage].start_s for stage in training.stages) + _stage_seconds(training, rates)


def _stage_seconds(training: PlannedTraining, rates: Mapping[Stage, "Rates"]) -> float:
    return sum(
        passes.trained * rates[stage].train_s + passes.evaluated * rates[stage].evaluate_s
        for stage, passes in training.stages.items()
    )


def side_by_side(seconds: Iterable[float], places: int) -> float:
    """How long jobs take in order, so many at a time."""
    ends = [0.0] * places
    for job in seconds:
        heapq.heapreplace(ends, ends[0] + job)
    return max(ends)


# -------------------------------------------------------------------------------------------------------------- timing


def n_cores() -> int:
    """The cores that Snakemake may use, all that this process may."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def time_stages(config: dict, dataset: str, trainings: Sequence[PlannedTraining], places: int) -> dict[Stage, "Rates"]:
    """Time each stage of some trainings, `places` processes side by side."""
    from sleepbench.benchmarks.timed_steps import (  # starts PyTorch, which a finished run does without
        Work,
        time_side_by_side,
    )

    works, stages = [], list(dict.fromkeys(stage for training in trainings for stage in training.stages))
    n_folds = folds_of_a_job(config, trainings)
    for stage in stages:
        model, recipe = stage.network.model, recipe_settings(config, stage.network.recipe, dataset)
        if stage.is_first:
            first = recipe["pretrain"]
            model = first["model"]
            recipe = {key: value for key, value in first.items() if key not in ("model", "submodule")}
        n_channels = len(config["channels"][stage.network.channels])
        works.append(Work(model, n_channels, stage.network.recipe, recipe, n_folds))
    settings = config["training"]
    seconds = min(max(SECONDS / len(works), LEAST_S), MOST_S)
    rates = time_side_by_side(
        works, places, min(settings["threads"], n_cores()), settings["engine"], settings["device"], seconds
    )
    return dict(zip(stages, rates, strict=True))


def folds_of_a_job(config: dict, trainings: Iterable[PlannedTraining]) -> int:
    """How many folds one job trains, where it has as many: as the workflow groups them."""
    size = config["training"]["folds_per_job"]
    if size != "auto":
        return size
    of_home = Counter(training.directory.parent for training in trainings)
    return max(of_home.values()) if takes_gpu(config) else 1


PREPARE = """
import json, sys
from pathlib import Path
from sleepbench.signals.prepare import prepare_recording
from sleepbench.datasets.recordings import Recording
recording, psg, hypnogram, channels, output, simulated = json.loads(sys.argv[1])
prepare_recording(Recording(**recording), Path(psg), Path(hypnogram), channels, Path(output), simulated)
"""


def time_preparation(config: dict, dataset: str, places: int) -> float:
    """Seconds of a preparation job, start-up included, `places` side by side, on a whole night.

    It is the dataset's first night that is there, or else a simulated one.
    """
    of = dataset_of(config, dataset)
    raw = Path("results/data", of.source, "raw") if of.simulation else data_directory(config)
    table = Path("results/data", of.source, "recordings.csv") if of.simulation else Path(config["data"]["table"])
    there = [r for r in (read_recordings(table) if table.exists() else []) if (raw / r.psg).exists()]
    with tempfile.TemporaryDirectory(prefix="sleepbench-") as temporary:
        recording, simulated = (there[0], of.simulated) if there else (None, True)
        if recording is None:
            raw = Path(temporary)
            recording = simulate_recording(raw, "SC4001", of.simulation["psg_hours"] if of.simulation else 24, 1)
        jobs, started, ends = [], time.monotonic(), []
        for place in range(places):
            files = [str(raw / recording.psg), str(raw / recording.hypnogram)]
            output = Path(temporary, str(place), f"{recording.id}.npy")
            arguments = [vars(recording), *files, config["data"]["channels"], str(output), simulated]
            jobs.append(subprocess.Popen([sys.executable, "-c", PREPARE, json.dumps(arguments)]))
        for job in jobs:
            if job.wait():
                raise BenchmarkError(f"{recording.psg}: could not be prepared; see the message above")
            ends.append(time.monotonic() - started)
    return sum(ends) / len(ends)


# ------------------------------------------------------------------------------------------------------------ printing


@dataclass(frozen=True)
class Estimate:
    """What is left of a dataset, and what it takes."""

    dataset: str
    trainings: list[PlannedTraining]
    rates: Mapping[Stage, "Rates"]
    nights: int
    night_s: float
    places: int
    preparing: int
    edf_gb: float
    prepared_gb: float

    @property
    def seconds(self) -> float:
        """From the first preparation to the last training."""
        training = side_by_side((seconds_of(training, self.rates) for training in self.trainings), self.places)
        return self.nights * self.night_s / self.preparing + training

    @property
    def results_gb(self) -> float:
        """Predictions, weights and records."""
        epochs = sum(training.test_epochs for training in self.trainings)
        return (RESULT_BYTES_A_TEST_EPOCH * epochs + RESULT_BYTES_A_TRAINING * len(self.trainings)) / 1e9


def describe_estimate(estimate: Estimate) -> list[str]:
    """Lines: a table, one row per network, then preparation, and the total."""
    rows = []
    for network, of_network in _by_network(estimate.trainings).items():
        seconds = sum(seconds_of(training, estimate.rates) for training in of_network)
        rates = estimate.rates[Stage(network)]
        rows.append(
            (
                f"{describe(network.model).title}, {network.channels}, {network.recipe}",
                str(len(of_network)),
                f"{1 / rates.train_s:.0f}",
                f"{1 / rates.evaluate_s:.0f}",
                f"{seconds / len(of_network) / 60:.1f}",
                f"{seconds / estimate.places / 3600:.2f}",
            )
        )
    header = ("Network, input, recipe", "Trainings", "Trained /s", "Evaluated /s", "Minutes each", "Hours")
    lines = aligned(header, rows, left=1) if rows else []
    if estimate.nights:
        hours = estimate.nights * estimate.night_s / estimate.preparing / 3600
        lines.append(f"{estimate.nights} nights to prepare at {estimate.night_s:.1f} s: {hours:.2f} hours")
    parts = {"EDF files": estimate.edf_gb, "prepared": estimate.prepared_gb, "results": estimate.results_gb}
    disk = ", ".join(f"{gb:.1f} {name}" for name, gb in parts.items())
    free = shutil.disk_usage(".").free / 1e9
    lines.append(
        f"In all about {_duration(estimate.seconds)} and {sum(parts.values()):.1f} GB ({disk}; {free:.0f} GB are free)"
    )
    return lines


def _duration(seconds: float) -> str:
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" + (f" ({seconds / 86400:.1f} days)" if seconds > 48 * 3600 else "")


def _by_network(trainings: Iterable[PlannedTraining]) -> dict[Network, list[PlannedTraining]]:
    by_network: dict[Network, list[PlannedTraining]] = {}
    for training in trainings:
        by_network.setdefault(training.network, []).append(training)
    return by_network


def estimate_dataset(config: dict, dataset: str) -> None:
    """Time what is left of a dataset, and print what it takes."""
    of, recordings = dataset_of(config, dataset), recordings_of(config, dataset)
    if of.simulated and not of.simulation:
        print(f"{dataset}: the length of a rehearsal's nights is not known before they are fetched: no estimate.")
        return
    started, counts = time.monotonic(), epochs_of_recordings(config, dataset)
    planned = planned_trainings(config, dataset, recordings, counts)
    trainings = [training for training in planned if not is_finished(config, dataset, training)]
    if not trainings:
        print(f"{dataset}: all {len(planned)} trainings are finished; tables and figures take minutes.")
        return
    cores, gpu = n_cores(), takes_gpu(config)
    places = 1 if gpu else max(1, cores // config["training"]["threads"])
    if is_gpu_idle(config):
        print(CPU_BUILD)
    print(f"Timing some steps of what {dataset} asks for, to say what it takes here ...", flush=True)
    home = Path("results/data", of.source)
    unprepared = [r.id for r in recordings if not (home / "prepared" / f"{r.id}.json").exists()]
    raw = home / "raw" if of.simulation else data_directory(config)
    absent = [r.id for r in recordings if not list(raw.glob(f"{r.id}*-PSG.edf"))]
    hours = of.simulation["psg_hours"] if of.simulation else 24
    kept = sum(max(counts[id, window].sum() for window in WINDOWS) for id in unprepared)
    estimate = Estimate(
        dataset=dataset,
        trainings=trainings,
        rates=time_stages(config, dataset, trainings, places),
        nights=len(unprepared),
        night_s=time_preparation(config, dataset, cores) if unprepared else 0.0,
        places=places,
        preparing=cores,
        edf_gb=len(absent) * EDF_GB_OF_24_H * hours / 24,
        prepared_gb=kept * len(config["data"]["channels"]) * SAMPLES_PER_EPOCH * 4 / 1e9,
    )
    print("\n".join(describe_estimate(estimate)))
    finished = len(planned) - len(trainings)
    left_out = f"; {finished} finished trainings are left out" if finished else ""
    print(
        f"An estimate, from steps timed for {time.monotonic() - started:.0f} s on {cores} cores, {places} training(s) "
        f"at a time{left_out}. Downloading, tables and figures are not in it."
    )
    if any(recipe_settings(config, t.network.recipe, dataset).get("patience") for t in trainings):
        print("Recipes with a patience may end earlier.")


# ----------------------------------------------------------------------------------------------------------- the check


def check(config: dict, dataset: str) -> None:
    """Hold an estimate of what is finished against what it took; BenchmarkError when they are apart by over 30 %."""
    recordings, counts = recordings_of(config, dataset), epochs_of_recordings(config, dataset)
    planned = planned_trainings(config, dataset, recordings, counts)
    trainings = [training for training in planned if is_finished(config, dataset, training)]
    if not trainings:
        raise BenchmarkError(f"results/{dataset}: no training is finished that an estimate could be held against")
    cores, settings = n_cores(), config["training"]
    places = 1 if takes_gpu(config) else max(1, cores // settings["threads"])
    rates = time_stages(config, dataset, trainings, places)
    rows, apart = [], []
    for network, of_network in _by_network(trainings).items():
        estimated = sum(_stage_seconds(training, rates) for training in of_network)
        measured = sum(read_json(training.directory / "training.json")["duration_s"] for training in of_network)
        rows.append((", ".join(network), len(of_network), estimated, measured))
    night_s = time_preparation(config, dataset, cores)
    prepared = read_benchmarks(BENCHMARKS / "data" / dataset_of(config, dataset).source, "prepare-*.tsv")
    if len(prepared):
        rows.append(("preparation", len(prepared), night_s * len(prepared), prepared.s.sum()))
    totals = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]
    rows.append(("in all", *totals))
    cells = [(name, str(n), f"{e:.0f}", f"{m:.0f}", f"{e / m:.2f}") for name, n, e, m in rows]
    print("\n".join(aligned(("What", "Jobs", "Estimated s", "Measured s", "Ratio"), cells, left=1)))
    apart = totals[1] / totals[2]
    if abs(apart - 1) > TOLERANCE:
        raise BenchmarkError(
            f"the estimate is {apart:.2f} times what was measured, expected within {TOLERANCE:.0%}; something else "
            "used the machine then or now, or the jobs ran with other threads: try again when it is idle"
        )


def run_of(config: dict, settings: str) -> dict:
    """The configuration with keys of `run` replaced, as snakemake's `--config 'run={...}'` does."""
    key, _, value = settings.partition("=")
    if key != "run":
        raise BenchmarkError(f"--config {settings!r}: expected run={{...}}")
    config = config | {"run": config["run"] | yaml.safe_load(value)}
    validate(config)
    return config


def main(arguments: Sequence[str]) -> int:
    """Estimate every dataset of the run, or check the estimate; 0, or 1 with a message."""
    parser = argparse.ArgumentParser(
        prog="python -m sleepbench.benchmarks.estimate", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--config", metavar="run={...}", help="keys of `run`, as for snakemake")
    parser.add_argument("--check", action="store_true", help="hold the estimate of what is finished against its time")
    options = parser.parse_args(arguments)
    work: Callable[[dict, str], None] = check if options.check else estimate_dataset

    def command() -> None:
        config = run_of(load(), options.config) if options.config else load()
        for dataset in config["run"]["datasets"]:
            work(config, dataset)

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

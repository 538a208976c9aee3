"""Hours and gigabytes that a run takes on this machine, from a minute of timed steps.

Every contender that is left to train is timed in real optimizer steps and evaluations, as many processes side by side
as jobs will run; a night is prepared in full. What there is to train is the plan that the workflow follows.
"""

import heapq
import math
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import psutil

from sleepbench.benchmarks.jobs import read_benchmarks
from sleepbench.config import paths
from sleepbench.config.code import code_sha256
from sleepbench.config.keys import Contender, TrainingKey
from sleepbench.config.models import Config
from sleepbench.config.plan import DatasetPlan, Plan, dataset, folds_per_job, recipe_on, recordings
from sleepbench.config.recipe import Recipe, RecipeSettings
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.core.gpu import CPU_BUILD, is_gpu_idle, takes_gpu
from sleepbench.core.processes import require_shared_memory
from sleepbench.core.stages import STAGES
from sleepbench.datasets import open_dataset
from sleepbench.datasets.base import Dataset, Recording, read_receipt
from sleepbench.datasets.simulated import SimulatedCohort
from sleepbench.models import describe
from sleepbench.protocols.folds import make_folds
from sleepbench.runs.text import aligned
from sleepbench.signals.trimming import select_trimming
from sleepbench.simulation.stages import simulated_stages

if TYPE_CHECKING:
    from sleepbench.benchmarks.timed_steps import Rates

SECONDS, LEAST_S, MOST_S = 40.0, 0.4, 12.0
"""Seconds that all optimizer steps are timed for, and those of one contender at least and at most."""
RECORDED_GB_OF_24_H = 0.0497
"""Of the mean recording of Sleep-EDF Expanded: the 153 have 7.6 GB."""
RESULT_BYTES_A_TEST_EPOCH = 400
"""Predictions by four selection rules, each of which MLflow keeps once more."""
RESULT_BYTES_A_TRAINING = 350_000
"""Weights of a small network, history, metrics and logs."""
TOLERANCE = 0.3
LEAST_MINUTES = 10
"""That SLURM is asked for: a node may take some to read the environment."""
BUSY = 0.1
"""Of the cores, used by others: from then on the estimate says so."""
Counts = Mapping[tuple[str, str], np.ndarray]
"""(recording, trimming) -> epochs of W, N1, N2, N3, REM."""


class Phase(NamedTuple):
    """What is timed of a contender: its training, or its first phase, the pretraining of another model."""

    contender: Contender
    is_first: bool = False


class Passes(NamedTuple):
    """Epochs of 30 s that a phase of a training goes through, in all its training epochs."""

    trained: float
    evaluated: float


@dataclass(frozen=True)
class Work:
    """A training of the plan: what its phases go through, and how many epochs it tests."""

    key: TrainingKey
    test_epochs: float
    phases: Mapping[Phase, Passes]


# ------------------------------------------------------------------------------------------------------------ the plan


def epochs_by_recording(one: Dataset, people: Sequence[Recording]) -> dict[tuple[str, str], np.ndarray]:
    """Epochs by stage of every recording and trimming.

    Empty where nothing is known before the recordings are prepared.

    They are known, or as prepared, or simulated; of recordings of which nothing is known, the mean of what is left, or
    what is typical of the database, a fifth of each stage.
    """
    ids = [recording.id for recording in people]
    known = {key: np.array(n, float) for key, n in one.known_epochs().items() if key[0] in ids}
    known |= _prepared(one, ids) if not known else {}
    known |= _simulated(one) if not known else {}
    if not known and one.typical_epochs is None:
        return {}
    return known | {
        (id, trimming): _mean_of_unknown(one, known, ids, trimming)
        for id in ids
        for trimming in one.trimmings
        if (id, trimming) not in known
    }


def _prepared(one: Dataset, ids: Sequence[str]) -> dict[tuple[str, str], np.ndarray]:
    records = [path for id in ids if (path := Path(paths.prepared(one.source, id, "json"))).exists()]
    return {
        (path.stem, trimming): np.array([counts[stage] for stage in STAGES], float)
        for path in records
        for trimming, counts in read_json(path).get("trimmings", {}).items()  # one that was left out has none
        if trimming in one.trimmings
    }


def _simulated(one: Dataset) -> dict[tuple[str, str], np.ndarray]:
    """Of a cohort that may not be written yet."""
    if not isinstance(one, SimulatedCohort):
        return {}
    nights = {
        id: simulated_stages(*night, one.settings.psg_hours, one.settings.seed) for id, night in one.nights.items()
    }
    return {
        (id, rule): np.bincount(stages[select_trimming(stages, rule)], minlength=len(STAGES)).astype(float)
        for id, stages in nights.items()
        for rule in one.trimmings
    }


def _mean_of_unknown(one: Dataset, known: Counts, ids: Sequence[str], trimming: str) -> np.ndarray:
    """What is left of a known total for each recording that is not known, else the mean of the known."""
    counts = {id: n for (id, rule), n in known.items() if rule == trimming}
    for total in one.known_totals():
        within = [id for id in ids if total.first <= id <= total.last]
        left = total.number - sum(id in counts for id in within)
        if (total.dataset, total.trimming) == (one.name, trimming) and len(within) >= total.number and left:
            return (np.array(total.counts) - sum(counts[id] for id in within if id in counts)) / left
    if not counts and one.typical_epochs is not None:
        return np.full(len(STAGES), one.typical_epochs / len(STAGES))
    # A rule of which nothing is known keeps about what the others keep.
    return np.mean(list(counts.values() or known.values()), axis=0)


def works(config: Config, planned: DatasetPlan, counts: Counts) -> list[Work]:
    """What every training of a dataset goes through, in the order of the plan."""
    people = recordings(config, planned.dataset)
    folds = {protocol.folds.name: protocol.folds for protocol in planned.protocols.values()}
    divided = {name: make_folds(people, settings) for name, settings in folds.items()}

    def sizes(key: TrainingKey, ids: Iterable[str]) -> np.ndarray:
        return sum((counts[id, key.trimming] for id in ids), np.zeros(len(STAGES)))

    found = []
    for key in planned.trainings:
        fold, recipe = divided[key.folds][key.fold], recipe_on(config, key.recipe, key.dataset)
        test = sizes(key, fold.test).sum()
        evaluated = test + sizes(key, fold.validation).sum()
        found.append(Work(key, test, phases(key.contender, recipe, sizes(key, fold.train), evaluated)))
    return found


def phases(contender: Contender, recipe: Recipe, train: np.ndarray, evaluated: float) -> dict[Phase, Passes]:
    """Epochs that each phase of a training trains on and evaluates.

    train : epochs by stage of the training set
    evaluated : epochs that are evaluated
    """
    if describe(contender.model).kind == "estimator":
        return {Phase(contender): Passes(train.sum(), train.sum() + evaluated)}
    times, first = len(recipe.learning_rates or [recipe.learning_rate]), recipe.pretrain
    n = times * recipe.training_epochs
    passes = {Phase(contender): Passes(n * _in_a_pass(recipe, contender.model, train), n * evaluated)}
    if first:
        n = times * first.training_epochs
        passes[Phase(contender, True)] = Passes(n * _in_a_pass(first, first.model, train), 0.0)
    return passes


def _in_a_pass(recipe: RecipeSettings, model: str, train: np.ndarray) -> float:
    """Epochs of 30 s in a training epoch.

    With balanced sampling all stages are as frequent as the most frequent one; an epoch is in as many overlapping
    sequences as it has places in them.
    """
    if recipe.balanced_sampling:
        return train.max() * np.count_nonzero(train)
    return train.sum() * (describe(model).sequence_length if recipe.sequences == "overlapping" else 1)


def is_finished(config: Config, key: TrainingKey) -> bool:
    """Whether a training is there, by the recipe that is asked for and the code that is here."""
    record = Path(paths.training(key), "training.json")
    if not record.exists():
        return False
    found, recipe = read_json(record), recipe_on(config, key.recipe, key.dataset)
    is_same = found["settings"]["recipe"] == {"name": recipe.name, **recipe.settings()}
    return is_same and found["code_sha256"] == code_sha256("train", config.datasets[key.dataset].reader, key.model)


# -------------------------------------------------------------------------------------------------------------- timing


class Places(NamedTuple):
    """What runs side by side here: `cores` preparations, `trainings` trainings."""

    cores: int
    trainings: int


def places(config: Config) -> Places:
    """As many as Snakemake may use: all cores that this process may, or one GPU."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    on_gpu = takes_gpu(config.training.device)
    return Places(cores, 1 if on_gpu else max(1, cores // config.training.threads))


def side_by_side(seconds: Iterable[float], n: int) -> float:
    """How long jobs take in order, `n` at a time."""
    ends = [0.0] * n
    for job in seconds:
        heapq.heapreplace(ends, ends[0] + job)
    return max(ends)


def job_seconds(work: Work, rates: Mapping[Phase, "Rates"]) -> float:
    """What a training takes from its job's start."""
    return max(rates[phase].start_s for phase in work.phases) + training_seconds(work, rates)


def training_seconds(work: Work, rates: Mapping[Phase, "Rates"]) -> float:
    """What a training takes once it is under way."""
    return sum(
        passes.trained * rates[phase].train_s + passes.evaluated * rates[phase].evaluate_s
        for phase, passes in work.phases.items()
    )


def time_phases(config: Config, trainings: Sequence[Work], at: Places) -> dict[Phase, "Rates"]:
    """Time each phase of some trainings of a dataset, as many processes side by side as jobs will run.

    Phases of which a step is the same, such as those of a recipe and of the same one tuned, are timed once.
    """
    from sleepbench.benchmarks.timed_steps import Timed, time_side_by_side  # PyTorch: a finished run does without

    found = list(dict.fromkeys(phase for work in trainings for phase in work.phases))
    n_folds = folds_in_job(config, trainings)
    n_samples = dataset(config, trainings[0].key.dataset).samples_per_epoch
    timed: dict[Phase, Timed] = {}
    for phase in found:
        contender, is_first = phase
        recipe = recipe_on(config, contender.recipe, trainings[0].key.dataset)
        model, settings = (recipe.pretrain.model, recipe.pretrain) if is_first else (contender.model, recipe)
        alone = recipe.learning_rates or recipe.patience or recipe.pretrain  # no stack trains by such a recipe
        timed[phase] = Timed(model, len(config.inputs[contender.input]), settings, 1 if alone else n_folds, n_samples)
    works = {work.alike: work for work in timed.values()}
    use = config.training
    seconds = min(max(SECONDS / len(works), LEAST_S), MOST_S)
    rates = time_side_by_side(
        list(works.values()), at.trainings, min(use.threads, at.cores), use.engine, use.device, seconds
    )
    of_work = dict(zip(works, rates, strict=True))
    return {phase: of_work[work.alike] for phase, work in timed.items()}


def folds_in_job(config: Config, trainings: Iterable[Work]) -> int:
    """How many folds one job trains, where there are as many: as the workflow stacks them."""
    folds = Counter(paths.training(work.key, fold=False) for work in trainings)
    name = next(iter(trainings)).key.dataset
    return folds_per_job(config, name, max(folds.values()), takes_gpu(config.training.device))


def time_preparation(one: Dataset, n: int) -> float:
    """Seconds of a preparation job, start-up included, `n` side by side, on a whole night.

    It is the dataset's first night that was fetched, or else a simulated one.
    """
    require_shared_memory()
    with tempfile.TemporaryDirectory(prefix="sleepbench-") as temporary:
        receipts = [Path(paths.receipt(one.source, r.id)) for r in one.used() if is_there(one, r)]
        if found := next((path for path in receipts if path.exists()), None):
            receipt = read_receipt(found)
        else:
            day = {"reader": "simulated", "subjects": 1, "single_night_subjects": [0], "psg_hours": 24.0, "seed": 1}
            one = open_dataset("simulated", day, {})
            receipt = one.fetch(one.recordings()[0], Path(temporary))
        started = time.monotonic()
        with ProcessPoolExecutor(n, get_context("spawn")) as pool:  # as a job starts: nothing is there yet
            jobs = [pool.submit(_prepare, one, receipt, Path(temporary, str(i))) for i in range(n)]
            ends = [(job.result(), time.monotonic() - started)[1] for job in as_completed(jobs)]
    return sum(ends) / n


def is_there(one: Dataset, recording: Recording) -> bool:
    """Whether all files of a recording are where they are looked for."""
    directory = one.directory(paths.raw(one.files_source))
    return all(one.locate(file.name, directory).exists() for file in recording.files)


def busy_cores(seconds: float = 0.5) -> float:
    """How many of the cores that this process may use are used by others now; it waits meanwhile."""
    of_each = psutil.cpu_percent(seconds, percpu=True)
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(of_each))
    return sum(of_each[core] for core in mine if core < len(of_each)) / 100


def _prepare(one: Dataset, receipt: Mapping[str, Any], directory: Path) -> None:
    from sleepbench.preparation.prepare import prepare_recording

    directory.mkdir()
    prepare_recording(one, receipt, directory / f"{receipt['recording']}.npy")


# ------------------------------------------------------------------------------------------------------------ printing


@dataclass(frozen=True)
class Estimate:
    """What is left of a dataset, and what it takes."""

    trainings: list[Work]
    rates: Mapping[Phase, "Rates"]
    nights: int
    night_s: float
    at: Places
    recorded_gb: float
    prepared_gb: float
    folds_in_job: int = 1

    @property
    def preparation_s(self) -> float:
        """Of all nights."""
        return self.nights * self.night_s / self.at.cores

    @property
    def seconds(self) -> float:
        """From the first preparation to the last training."""
        training = side_by_side((job_seconds(work, self.rates) for work in self.trainings), self.at.trainings)
        return self.preparation_s + training

    @property
    def results_gb(self) -> float:
        """Predictions, weights and records."""
        epochs = sum(work.test_epochs for work in self.trainings)
        return (RESULT_BYTES_A_TEST_EPOCH * epochs + RESULT_BYTES_A_TRAINING * len(self.trainings)) / 1e9


def for_slurm(estimate: Estimate) -> str:
    """What the profile is to say of the time of training jobs: twice that of the longest one, in minutes."""
    jobs: dict[str, list[Work]] = {}
    for work in estimate.trainings:
        jobs.setdefault(paths.training(work.key, fold=False), []).append(work)
    n = estimate.folds_in_job
    seconds = [
        job_seconds(folds[start], estimate.rates)
        + sum(training_seconds(work, estimate.rates) for work in folds[start + 1 : start + n])
        for folds in jobs.values()
        for start in range(0, len(folds), n)
    ]
    rule, minutes = "train" if n == 1 else "train_stack", max(LEAST_MINUTES, math.ceil(2 * max(seconds) / 60))
    return f"For SLURM, under set-resources in workflow/profiles/slurm/config.yaml: {rule}: runtime: {minutes}"


def lines(estimate: Estimate) -> list[str]:
    """A table, one row per contender, then preparation, and the total."""
    rows = []
    for contender, trainings in by_contender(estimate.trainings).items():
        seconds = sum(job_seconds(work, estimate.rates) for work in trainings)
        rates = estimate.rates[Phase(contender)]
        rows.append(
            (
                f"{describe(contender.model).title}, {contender.input}, {contender.recipe}",
                str(len(trainings)),
                f"{1 / rates.train_s:.0f}",
                f"{1 / rates.evaluate_s:.0f}",
                f"{seconds / len(trainings) / 60:.1f}",
                f"{seconds / estimate.at.trainings / 3600:.2f}",
            )
        )
    header = ("Model, input, recipe", "Trainings", "Trained /s", "Evaluated /s", "Minutes each", "Hours")
    said = aligned(header, rows, left=1)
    if estimate.nights:
        hours = estimate.preparation_s / 3600
        said.append(f"{estimate.nights} nights to prepare at {estimate.night_s:.1f} s: {hours:.2f} hours")
    parts = {"recordings": estimate.recorded_gb, "prepared": estimate.prepared_gb, "results": estimate.results_gb}
    disk = ", ".join(f"{gb:.1f} {name}" for name, gb in parts.items())
    free = shutil.disk_usage(".").free / 1e9
    total = f"{_duration(estimate.seconds)} and {sum(parts.values()):.1f} GB"
    return [*said, f"In all about {total} ({disk}; {free:.0f} GB are free)"]


def _duration(seconds: float) -> str:
    if seconds < 2 * 3600:
        minutes = max(1, round(seconds / 60))
        return f"{minutes} minute" + ("" if minutes == 1 else "s")
    return f"{seconds / 3600:.0f} hours" + (f" ({seconds / 86400:.1f} days)" if seconds > 48 * 3600 else "")


def by_contender(trainings: Iterable[Work]) -> dict[Contender, list[Work]]:
    """Trainings of the same contender together."""
    found: dict[Contender, list[Work]] = {}
    for work in trainings:
        found.setdefault(work.key.contender, []).append(work)
    return found


def estimate_run(config: Config, plan: Plan, slurm: bool = False) -> None:
    """Time what is left of every dataset of a plan, and print what it takes, and what SLURM is to be told of it."""
    for planned in plan.datasets.values():
        _estimate_dataset(config, planned, slurm)


def _estimate_dataset(config: Config, planned: DatasetPlan, slurm: bool) -> None:
    name, n = planned.dataset, len(planned.trainings)
    one, people, started = dataset(config, name), recordings(config, name), time.monotonic()
    if said := one.to_accept():
        print(said)
    left = {key for key in planned.trainings if not is_finished(config, key)}
    if not left:
        print(f"{name}: all {n} trainings are finished; tables and figures take minutes.")
        return
    if not (counts := epochs_by_recording(one, people)):
        print(f"{name}: nothing is known of its epochs before recordings are prepared: no estimate.")
        return
    trainings = [work for work in works(config, planned, counts) if work.key in left]
    if is_gpu_idle(config.training.device):
        print(CPU_BUILD)
    print(f"Timing some steps of what {name} asks for, to say what it takes here ...", flush=True)
    at = places(config)
    if (busy := busy_cores()) > BUSY * at.cores:
        print(
            f"This machine is busy: others use {busy:.1f} of its {at.cores} cores. Steps take longer now than on an "
            "idle one, so the estimate is high."
        )
    unprepared = [r.id for r in people if not Path(paths.prepared(one.source, r.id, "json")).exists()]
    n_absent = sum(not is_there(one, recording) for recording in people)
    hours = one.settings.psg_hours if one.label.simulated and hasattr(one.settings, "psg_hours") else 24
    kept = sum(max(counts[id, trimming].sum() for trimming in one.trimmings) for id in unprepared)
    estimate = Estimate(
        trainings=trainings,
        rates=time_phases(config, trainings, at),
        nights=len(unprepared),
        night_s=time_preparation(one, at.cores) if unprepared else 0.0,
        at=at,
        recorded_gb=_recorded_gb(one, n_absent, len(people), hours),
        prepared_gb=kept * len(one.montage) * one.samples_per_epoch * 4 / 1e9,
        folds_in_job=folds_in_job(config, trainings),
    )
    print("\n".join([*lines(estimate), *([for_slurm(estimate)] if slurm else [])]))
    left_out = f"; {n - len(left)} finished trainings are left out" if n > len(left) else ""
    print(
        f"An estimate, from steps timed for {time.monotonic() - started:.0f} s on {at.cores} cores, {at.trainings} "
        f"training(s) at a time{left_out}. Downloading, tables and figures are not in it."
    )
    if any(config.recipes[key.recipe].patience for key in left):
        print("Recipes with a patience may end earlier.")


def _recorded_gb(one: Dataset, n_absent: int, n: int, hours: float) -> float:
    """Gigabytes of the files of recordings that are not there, of nights or days of so many hours."""
    if one.recorded_gb is not None and not one.label.simulated:
        return n_absent * one.recorded_gb / n
    return n_absent * RECORDED_GB_OF_24_H * hours / 24


# ----------------------------------------------------------------------------------------------------------- the check


def check_estimate(config: Config, plan: Plan) -> None:
    """Compare an estimate of the finished trainings with the time that they took.

    BenchmarkError when they are over 30 % apart, or no training is finished.
    """
    for planned in plan.datasets.values():
        _check_dataset(config, planned)


def _check_dataset(config: Config, planned: DatasetPlan) -> None:
    one, at = dataset(config, planned.dataset), places(config)
    counts = epochs_by_recording(one, recordings(config, planned.dataset))
    trainings = [work for work in works(config, planned, counts) if is_finished(config, work.key)] if counts else []
    if not trainings:
        raise BenchmarkError(f"{paths.home(one.name)}: no training is finished that an estimate could be compared with")
    rates = time_phases(config, trainings, at)
    rows = []
    for contender, group in by_contender(trainings).items():
        measured = sum(read_json(Path(paths.training(work.key), "training.json"))["duration_s"] for work in group)
        rows.append((", ".join(contender), len(group), sum(training_seconds(work, rates) for work in group), measured))
    prepared = read_benchmarks(paths.benchmark(paths.prepared(one.source, "*")))
    if len(prepared):
        night_s = time_preparation(one, at.cores)
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

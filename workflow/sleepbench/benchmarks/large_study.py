"""What a study of thousands of subjects takes, on paper: files, gigabytes, hours by number of GPUs, what breaks first.

Nothing of it is there, nothing is timed: each figure is one that was measured or counted elsewhere in the project, and
is printed with its source. The study is ULW-SleepNet with four channels, evaluated clean on ten folds with three seeds.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from sleepbench.benchmarks.estimate import RECORDED_GB_OF_24_H, RESULT_BYTES_A_TEST_EPOCH, RESULT_BYTES_A_TRAINING
from sleepbench.config.load import load_known
from sleepbench.config.plan import dataset
from sleepbench.core.errors import BenchmarkError
from sleepbench.runs.schema import MOST_EPOCHS
from sleepbench.runs.text import aligned
from sleepbench.runs.unpack import MOST_BYTES

MODEL, N_CHANNELS, RECIPE = "ulw_sleepnet", 4, "ulw"
N_FOLDS, N_SEEDS = 10, 3
TRAINED, EVALUATED = 0.81, 0.19
"""Shares of the nights that a fold trains on, and evaluates after each training epoch: a tenth is tested, a tenth
of the rest validates."""
FILES_A_RECORDING, FILES_A_TRAINING, FILES_A_RUN = 16, 15, 5
BYTES_A_SAMPLE = 4
METRIC_ROWS, HISTORY_COLUMNS, PARAM_ROWS, TAG_ROWS = 55, 10, 33, 16
METRIC_BYTES, LATEST_BYTES, PARAM_BYTES, TAG_BYTES = 288, 185, 196, 217
"""Of MLflow's tables on SQLite, with their indexes."""
PREDICTION_BYTES = 37
CPU_TRAINED_S, EVALUATION_SHARE = 874.0, 0.25
GPU_BYTES_S = 2.2e12


@dataclass(frozen=True)
class Study:
    """A study of so many subjects and nights of each.

    night_epochs : epochs of 30 s that are kept of a night
    training_epochs, batch_size : of the recipe
    samples : of an epoch and channel
    """

    subjects: int
    nights: int
    night_epochs: float
    training_epochs: int
    batch_size: int
    samples: int

    @property
    def recordings(self) -> int:
        """Nights in all."""
        return self.subjects * self.nights

    @property
    def epochs(self) -> float:
        """Of 30 s, in all."""
        return self.recordings * self.night_epochs

    @property
    def trainings(self) -> int:
        """Of one fold each."""
        return N_FOLDS * N_SEEDS

    @property
    def files(self) -> int:
        """Under results/, MLflow's artefacts among them."""
        return FILES_A_RECORDING * self.recordings + (FILES_A_TRAINING + FILES_A_RUN) * self.trainings

    @property
    def recorded_gb(self) -> float:
        """Of days of 24 h."""
        return self.recordings * RECORDED_GB_OF_24_H

    @property
    def prepared_gb(self) -> float:
        """Of signals as float32."""
        return self.epochs * self.epoch_bytes / 1e9

    @property
    def results_gb(self) -> float:
        """Of predictions, weights and records, as of other runs."""
        tested = self.epochs * N_SEEDS
        return (RESULT_BYTES_A_TEST_EPOCH * tested + RESULT_BYTES_A_TRAINING * self.trainings) / 1e9

    @property
    def mlflow_bytes_a_run(self) -> float:
        """Of the store, without artefacts."""
        metrics = METRIC_ROWS + HISTORY_COLUMNS * (self.training_epochs - 1)
        rows = (metrics, METRIC_ROWS, PARAM_ROWS, TAG_ROWS)
        each = (METRIC_BYTES, LATEST_BYTES, PARAM_BYTES, TAG_BYTES)
        return sum(n * size for n, size in zip(rows, each, strict=True))

    @property
    def passes(self) -> float:
        """Epochs that all trainings train on, those that are evaluated at their share."""
        a_fold = self.epochs * (TRAINED + EVALUATED * EVALUATION_SHARE)
        return a_fold * self.training_epochs * self.trainings

    def cpu_hours(self, cores: int) -> float:
        """By the clock, a training on each core."""
        return self._rounds(cores) * self.passes / self.trainings / CPU_TRAINED_S / 3600

    def gpu_hours(self, gpus: int, bytes_an_epoch: float) -> float:
        """By the clock, folds dealt out to so many GPUs."""
        return self._rounds(gpus) * self.passes / self.trainings * bytes_an_epoch / GPU_BYTES_S / 3600

    def asked_bytes_s(self, bytes_an_epoch: float) -> float:
        """Signals that a GPU asks for a second, at the rate of `gpu_hours`."""
        return GPU_BYTES_S / bytes_an_epoch * self.epoch_bytes

    @property
    def epoch_bytes(self) -> int:
        """Of an epoch's signals as float32."""
        return N_CHANNELS * self.samples * BYTES_A_SAMPLE

    def _rounds(self, places: int) -> int:
        return -(-self.trainings // places)


class Limit(NamedTuple):
    """What a study comes up against: its name, how many subjects until then, and what happens."""

    name: str
    subjects: float
    what: str


def study_of(subjects: int, nights: int) -> Study:
    """A study with nights as long as those of Sleep-EDF-78, by the recipe of ULW-SleepNet."""
    config = load_known()
    one, recipe = dataset(config, "sleep-edf-78"), config.recipes[RECIPE]
    total = next(t for t in one.known_totals() if t.dataset == one.name and t.trimming == "standard")
    epochs = sum(total.counts) / total.number
    return Study(subjects, nights, epochs, recipe.training_epochs, recipe.batch_size, one.samples_per_epoch)


def limits(study: Study, directory: Path) -> list[Limit]:
    """What breaks, as the number of subjects grows; that of the fewest subjects first.

    directory : where the results would be: its disk
    """
    memory, free = psutil.virtual_memory().total, shutil.disk_usage(directory).free
    inodes = os.statvfs(directory).f_favail if hasattr(os, "statvfs") else 0
    a_subject = study.nights * study.night_epochs
    gb_a_subject = (study.recorded_gb + study.prepared_gb + study.results_gb) / study.subjects
    found = [
        Limit(
            "memory",
            memory * study.subjects / study.prepared_gb / 1e9,
            f"prepared signals exceed the {memory / 1e9:.0f} GB here: each batch is read from disk, in pieces of "
            f"{study.epoch_bytes / 1e3:.0f} kB",
        ),
        Limit("disk", free / 1e9 / gb_a_subject, f"the {free / 1e9:.0f} GB free here are used up"),
        Limit(
            "archive of a fold",
            MOST_EPOCHS * N_FOLDS / a_subject,
            f"`results check` refuses predictions of a fold beyond {MOST_EPOCHS:,} epochs: take more folds",
        ),
        Limit(
            "archive",
            MOST_BYTES / (PREDICTION_BYTES * a_subject * N_SEEDS),
            f"`results check` refuses archives that unpack to over {MOST_BYTES / 2**30:.0f} GiB: export fewer seeds",
        ),
    ]
    if inodes:
        files = FILES_A_RECORDING * study.nights  # those of trainings are as many whatever the number of subjects
        found.append(Limit("files", inodes / files, f"the {inodes:,} files that this disk can still hold are used up"))
    return sorted(found, key=lambda limit: limit.subjects)


def print_study(subjects: int, nights: int, gpus: int) -> None:
    """Print what such a study takes."""
    if subjects * nights < 2 * N_FOLDS or subjects < N_FOLDS:
        raise BenchmarkError(
            f"{subjects} subjects with {nights} night(s) are too few for {N_FOLDS} folds; give at least {2 * N_FOLDS} "
            "nights"
        )
    print("\n".join(lines(study_of(subjects, nights), gpus, Path())))


def lines(study: Study, gpus: int, directory: Path, count: Callable[[], float] | None = None) -> list[str]:
    """The study, its files and gigabytes, its hours, what breaks first, and where each figure is from.

    count : gives the bytes that a step on a GPU passes over, an epoch; None: it is counted
    """
    bytes_an_epoch = (count or _counted)()
    n_runs, store = study.trainings, study.mlflow_bytes_a_run
    artefacts = (RESULT_BYTES_A_TRAINING / 2 * n_runs + PREDICTION_BYTES * study.epochs * N_SEEDS) / 1e9
    disk = study.recorded_gb + study.prepared_gb + study.results_gb
    cores = os.cpu_count() or 1
    rows = [(f"{cores} cores, as here", f"{study.cpu_hours(cores):,.0f}", f"{study.cpu_hours(cores) / 24:,.1f}")]
    for n in sorted({2**power for power in range(gpus.bit_length()) if 2**power <= gpus} | ({gpus} if gpus else set())):
        hours = study.gpu_hours(n, bytes_an_epoch)
        rows.append((f"{n} GPU{'s' if n > 1 else ''}", f"{hours:,.1f}", f"{hours / 24:,.1f}"))
    nights = f"{study.recordings:,} nights, {study.epochs / 1e6:,.2f} million epochs"
    return [
        f"On paper: {study.subjects:,} subjects, {nights}. "
        f"{MODEL}, {N_CHANNELS} channels, clean, {N_FOLDS} folds, {N_SEEDS} seeds: {study.trainings} trainings of "
        f"{study.training_epochs} training epochs",
        f"Files: {study.files:,}",
        f"Disk: {disk:,.0f} GB ({study.recorded_gb:,.0f} recordings, {study.prepared_gb:,.0f} prepared, "
        f"{study.results_gb:,.1f} results, MLflow's among them)",
        f"MLflow: {n_runs} runs, {store * n_runs / 1e6:,.1f} MB in the store and {artefacts:,.1f} GB of artefacts; "
        f"10,000 such runs would be {store * 1e4 / 1e9:,.1f} GB in the store",
        *aligned(("Training on", "Hours", "Days"), rows, left=1),
        *([f"Signals for each GPU: {study.asked_bytes_s(bytes_an_epoch) / 1e9:.1f} GB a second"] if gpus else []),
        "What breaks first, as subjects grow:",
        *(
            f"  {'REACHED' if limit.subjects < study.subjects else 'not yet'}: {limit.name}, at about "
            f"{_rounded(limit.subjects):,} subjects: {limit.what}"
            for limit in limits(study, directory)
        ),
        "Where the figures are from:",
        *(f"  {line}" for line in sources(study, bytes_an_epoch)),
    ]


def _rounded(subjects: float) -> int:
    """To two digits: no figure is known to more."""
    return int(float(f"{subjects:.1e}"))


def _counted() -> float:
    from sleepbench.benchmarks.stack import traffic  # PyTorch

    config = load_known()
    return traffic(config, N_CHANNELS, N_FOLDS).n_bytes / (N_FOLDS * config.recipes[RECIPE].batch_size)


def sources(study: Study, bytes_an_epoch: float) -> list[str]:
    """Each figure with how it was had."""
    return [
        f"{study.night_epochs:,.0f} epochs a night: known total of Sleep-EDF-78, standard trimming",
        f"{1e3 * RECORDED_GB_OF_24_H:.1f} MB a recording: size of Sleep-EDF Expanded, by its nights",
        f"{FILES_A_RECORDING} files a recording, {FILES_A_TRAINING} a training, {FILES_A_RUN} a run in MLflow: counted "
        "after `make demo`",
        f"{RESULT_BYTES_A_TEST_EPOCH} bytes a test epoch and {RESULT_BYTES_A_TRAINING:,} a training: as in `estimate`, "
        f"from files of `make demo`; {PREDICTION_BYTES} bytes an epoch of one selection: docs/real-5s",
        f"{study.mlflow_bytes_a_run / 1e3:,.0f} kB a run in MLflow: rows of its tables after `make demo`, at "
        f"{study.training_epochs} training epochs",
        f"{CPU_TRAINED_S:.0f} epochs trained a second on a core: half of what two threads did (docs/speed.md); an "
        f"evaluated epoch at {EVALUATION_SHARE} of a trained one: timing in docs/real-5s",
        f"{bytes_an_epoch / 1e6:.1f} MB that a GPU passes over for a trained epoch: counted, as by `benchmark stack`",
        f"{GPU_BYTES_S / 1e12:.1f} TB a second on a GPU: ASSUMED, a little under half of what an H200 is sold with; "
        "hours on GPUs are of memory traffic alone, with signals at hand",
    ]

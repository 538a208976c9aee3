"""Kinds of damage to finished files: a bit that flips in one, and one that is deleted.

A flip changes neither size nor time stamp of the file, as a disk that rots does. Something that is made from the file
is then asked for again.
"""

import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trials import (
    DATA,
    FOLDS,
    HOME,
    SMOOTHED,
    STACK_SEED,
    TRAINING,
    Kind,
    Project,
    Result,
    Workshop,
)

FOLDS_FILE = f"{HOME}/folds/{FOLDS['clean']}.json"
TOTALS_FILE = f"{HOME}/totals/{FOLDS['clean']}-standard.json"
RUNS = f"{HOME}/runs.csv"
LOGGED = f"{HOME}/logged_runs.json"
STORE = "results/mlflow.db"
STATISTICS = f"{HOME}/statistics/*.csv"
TABLES = f"{HOME}/tables/*.csv"
MAIN_TABLE = f"{HOME}/tables/main_results.*"
REPORT = f"{HOME}/report.html"
FOLD_FILES = [f"{TRAINING}/{name}" for name in ("weights.pt", "history.csv", "*/predictions.parquet", "*/metrics.json")]


@dataclass(frozen=True)
class Finished:
    """A kind of finished file, and what is made from it.

    files : those of the kind
    asked : lists of products; those of one, chosen at random, are removed and asked for again
    compared : what must then be the same, if not these products
    deletable : whether what is missing is to be made again
    """

    name: str
    files: tuple[str, ...]
    asked: tuple[tuple[str, ...], ...]
    compared: tuple[str, ...] = ()
    deletable: bool = True
    short: bool = False


RETRAINED = ((TRAINING,),)
FROM_RUNS = (STATISTICS, MAIN_TABLE)

KINDS = (
    Finished("downloaded EDF file", (f"{DATA}/raw/*.edf",), ((f"{DATA}/prepared/{{stem}}*",),), deletable=False),
    Finished("receipt of a recording", (f"{DATA}/verified/*.json",), ((f"{DATA}/prepared/{{stem}}*",),)),
    Finished("prepared signals", (f"{DATA}/prepared/*.npy",), RETRAINED, short=True),
    Finished("epochs of a recording", (f"{DATA}/prepared/*.epochs.csv",), RETRAINED),
    Finished("description of a recording", (f"{DATA}/prepared/SC????.json",), RETRAINED),
    Finished("quality of a recording", (f"{DATA}/prepared/*.quality.json",), ((RUNS, f"{HOME}/tables/quality.*"),)),
    Finished("index of recordings", (f"{HOME}/recordings.json",), RETRAINED, short=True),
    Finished("folds", (FOLDS_FILE,), (*RETRAINED, (f"{HOME}/tables/audit.json",))),
    Finished("totals", (TOTALS_FILE,), ((f"{HOME}/tables/audit.json",),)),
    Finished("weights", (f"{TRAINING}/weights.pt",), ((SMOOTHED,), (LOGGED, STORE, RUNS))),
    Finished(
        "predictions",
        (f"{TRAINING}/best_validation/predictions.parquet",),
        ((RUNS, *FROM_RUNS), FROM_RUNS),
    ),
    Finished("metrics", (f"{TRAINING}/best_validation/metrics.json",), ((RUNS,), (LOGGED, STORE, RUNS))),
    Finished("history", (f"{TRAINING}/history.csv",), ((f"{HOME}/figures/training_curves.*",), (LOGGED, STORE, RUNS))),
    Finished("record of a training", (f"{TRAINING}/training.json",), ((RUNS,), (LOGGED, STORE, RUNS), (SMOOTHED,))),
    Finished(
        "smoothed predictions", (f"{SMOOTHED}/predictions.parquet", f"{SMOOTHED}/hmm.json"),
        ((f"{HOME}/tables/postprocessing.*",),),
    ),
    Finished(
        "profile", ("results/profile/*.json",), ((f"{HOME}/tables/complexity.*",),), (f"{HOME}/tables/complexity.csv",)
    ),
    Finished("parity", ("results/parity/*.json",), ((f"{HOME}/tables/parity.*",),)),
    Finished("list of logged runs", (LOGGED,), ((RUNS,),)),
    Finished("MLflow store", (STORE,), ((RUNS,), (LOGGED, RUNS))),
    Finished("table of runs", (RUNS,), (FROM_RUNS,)),
    Finished("statistics", (STATISTICS,), (("{readers}",),)),
    Finished("tables", (TABLES,), ((REPORT,),)),
)  # fmt: skip


def kinds() -> list[Kind]:
    """Flips and deletions of every kind of finished file."""
    flips = [Kind("flips", f"a bit of: {one.name}", 20, _flipping(one), int(one.short)) for one in KINDS]
    flips += [
        Kind("flips", "a bit of: checkpoint", 20, _of_checkpoint("checkpoint")),
        Kind("flips", "a bit of: checkpoint of a stack", 20, _of_checkpoint("stack")),
        Kind("flips", "a bit of: receipt of a stack", 20, _of_receipt),
        Kind("flips", "a bit of: compiled kernel", 20, _of_kernel),
    ]
    deletions = [Kind("deletions", f"deleted: {one.name}", 2, _deleting(one)) for one in KINDS if one.deletable]
    return flips + deletions


def flip(path: Path, source: random.Random) -> str:
    """Flip one bit of a file, which keeps its time stamp; where."""
    status = path.stat()
    content = bytearray(path.read_bytes())
    byte, bit = source.randrange(len(content)), source.randrange(8)
    content[byte] ^= 1 << bit
    folder = path.parent.stat()
    path.unlink()  # it may be linked from the finished run
    path.write_bytes(content)
    path.chmod(status.st_mode)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.utime(path.parent, ns=(folder.st_atime_ns, folder.st_mtime_ns))
    return f"bit {bit} of byte {byte} of {len(content)} in {path.name}"


def _flipping(one: Finished) -> Callable[[Workshop, random.Random, int], Result]:
    def attempt(workshop: Workshop, source: random.Random, number: int) -> Result:
        project = workshop.copy()
        name = source.choice(project.files(*one.files))
        where = flip(project.directory / name, source)
        stem = Path(name).name.split(".")[0]
        asked = [pattern.replace("{stem}", stem[:6]) for pattern in source.choice(one.asked)]
        if asked == ["{readers}"]:
            asked = readers_of(stem)
        targets = ask_again(project, asked)
        return _told(project.judge(targets, one.compared or files_of(targets)), where)

    return attempt


def readers_of(statistics: str) -> list[str]:
    """Tables and figures that are made from a file of statistics."""
    from sleepbench.reporting.declared import STATISTICS as PREFIX
    from sleepbench.reporting.declared import declared

    return [
        f"{HOME}/{room}/{name}.*"
        for room in ("tables", "figures")
        for name, one in declared(room).items()
        if f"{PREFIX}{statistics}" in one.inputs
    ]


def files_of(targets: list[str]) -> list[str]:
    """Patterns of the files of some targets, without the MLflow store, which is no result."""
    directories = {TRAINING: FOLD_FILES, SMOOTHED: [f"{SMOOTHED}/*.*"]}
    return [name for one in targets if one != STORE for name in directories.get(one, [one])]


def ask_again(project: Project, patterns: list[str]) -> list[str]:
    """Remove products; the paths by which they are asked for."""
    directories = [one for one in patterns if one in (TRAINING, SMOOTHED)]
    targets = directories + project.files(*[one for one in patterns if one not in directories])
    for target in targets:
        project.remove(target)
    return [target for target in targets if target != STORE]  # which no rule makes by itself


def _told(result: Result, where: str) -> Result:
    return Result(result.outcome, f"{where}: {result.said}" if result.said else where)


def _of_checkpoint(variant: str) -> Callable[[Workshop, random.Random, int], Result]:
    """A training that was killed behind its second training epoch finds a checkpoint that is damaged."""

    def attempt(workshop: Workshop, source: random.Random, number: int) -> Result:
        project = workshop.copy(variant)
        target = TRAINING if variant == "checkpoint" else f"{STACK_SEED}/stack-0-1.json"
        folds = [TRAINING] if variant == "checkpoint" else [f"{STACK_SEED}/fold-{fold}" for fold in (0, 1)]
        project.remove(target, *folds)
        name = (project.directory / "checkpoint.name").read_text()
        path = (project.directory / target).with_name(name)
        shutil.copy2(project.directory / "checkpoint", path)
        where = flip(path, source)
        names = ("weights.pt", "history.csv", "*/predictions.parquet", "*/metrics.json")
        return _told(project.judge([target], [f"{fold}/{name}" for fold in folds for name in names]), where)

    return attempt


def _of_receipt(workshop: Workshop, source: random.Random, number: int) -> Result:
    project = workshop.copy("stack")
    where = flip(project.directory / STACK_SEED / "stack-0-1.json", source)
    return _told(project.judge(ask_again(project, [LOGGED, RUNS]), [RUNS]), where)


def _of_kernel(workshop: Workshop, source: random.Random, number: int) -> Result:
    project = workshop.copy()
    workshop.finished()
    cache = project.directory / "cache"
    shutil.copytree(os.environ["XDG_CACHE_HOME"], cache)
    libraries = sorted(cache.rglob("*.so"))
    if not libraries:
        return Result("skipped", "no compiler made a kernel here")
    where = flip(source.choice(libraries), source)
    project.environment["XDG_CACHE_HOME"] = str(cache)
    return _told(project.judge(ask_again(project, [TRAINING]), FOLD_FILES), where)


def _deleting(one: Finished) -> Callable[[Workshop, random.Random, int], Result]:
    """A file is missing when everything but pictures is asked for."""

    def attempt(workshop: Workshop, source: random.Random, number: int) -> Result:
        project = workshop.copy()
        name = source.choice(project.files(*one.files))
        project.remove(name)
        statistics, tables = project.files(STATISTICS), project.files(TABLES)
        if one.name == "tables":
            tables.append(name)
        elif one.name == "statistics":
            statistics.append(name)
        targets = [TRAINING, SMOOTHED, RUNS, *statistics, *tables]
        products = ["results/*/trainings/**/predictions.parquet", RUNS, STATISTICS, TABLES]
        return _told(project.judge(targets, products, there=[name]), name)

    return attempt

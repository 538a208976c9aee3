"""Archives of results by whoever made them: read, and every number of them computed again from the predictions.

What an archive says of itself is held against what is computed here: its metrics, its table of runs, its main table and
its intervals, and against what is known here: the folds, how many epochs of each stage a recording has, the benchmark.
"""

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sleepbench.config import paths, plan
from sleepbench.config.benchmarks import version_of
from sleepbench.config.models import Config
from sleepbench.core.errors import BenchmarkError, printable
from sleepbench.core.files import sha256_of_file
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import DataLabel
from sleepbench.evaluation.bootstrap import COLUMNS, bootstrap_intervals, subject_confusions
from sleepbench.evaluation.scores import F1
from sleepbench.models import describe, model_names
from sleepbench.runs.results import Results, read_results, row_scores
from sleepbench.runs.run import RowKey
from sleepbench.runs.schema import INTERVALS, MAIN_TABLE
from sleepbench.runs.text import SHORT
from sleepbench.runs.unpack import LISTED, unpack
from sleepbench.runs.verify import Expected

UNREADABLE = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, TypeError, ValueError)

METRICS = ("accuracy", "macro_f1", "cohen_kappa")
SCORES = ("accuracy_mean_of_folds", "accuracy_sd_of_folds", *METRICS, *F1, "n_epochs")
"""Numbers of a row that its archive's main table must have."""
TOLERANCE = 1e-6
OF_BOUNDS = 0.5
"""Points that bounds of intervals may differ by: another version of NumPy may resample other subjects."""


@dataclass(frozen=True)
class Row:
    """A measured row of an archive, computed again from its predictions.

    numbers : accuracies, macro-F1 and F1 in percent, kappa; with _low and _high for METRICS, 95 % over subjects
    version : the benchmark that it is of; empty where it is of none
    """

    key: RowKey
    title: str
    runs: pd.DataFrame
    numbers: Mapping[str, float]
    n_subjects: int
    version: str

    @property
    def folds(self) -> str:
        """How many folds of how many it is of."""
        return f"{self.runs.fold.nunique()} of {self.runs.n_folds.iloc[0]}"

    def recorded(self, name: str) -> list[str]:
        """The distinct values of what its trainings recorded, such as git_commit, in their order."""
        records = [run.record for run in self.runs.run]
        parts = [{**one, **one["provenance"], **one["settings"], **one["environment"]} for one in records]
        return list(dict.fromkeys(str(part.get(name, "not recorded")) for part in parts))


@dataclass(frozen=True)
class Archived:
    """An archive whose every number was computed again.

    name : what it is called where several stand side by side
    """

    name: str
    sha256: str
    manifest: Mapping[str, Any]
    results: Results
    rows: Mapping[RowKey, Row]

    @property
    def label(self) -> DataLabel:
        """Which data it is of, as it is known here."""
        return self.results.label


# ---------------------------------------------------------------------------------------------------------------- read


def read_archived(
    config: Config, archive: Path, directory: Path, dataset: str | None = None
) -> tuple[Mapping[str, Any], Results]:
    """Unpack an archive into a directory: its manifest, and its results, every file of its runs verified.

    BenchmarkError when it is damaged or no archive of results, is of another dataset than asked for, if one is, or of
    one that is not known here, is of simulated data where those here are real, or is not whole.
    """
    manifest = unpack(archive, directory, dataset)
    try:
        expected = Expected(config, manifest["dataset"], directory, archived=True)
        if bool(manifest["simulated"]) != expected.label.simulated:
            words = {True: "simulated", False: "real"}
            raise BenchmarkError(
                f"its {manifest['dataset']} is {words[bool(manifest['simulated'])]} data, here it is "
                f"{words[expected.label.simulated]}; results on simulated and on real data are not compared"
            )
        return manifest, read_results(expected)
    except BenchmarkError as error:
        raise BenchmarkError(f"{archive}: {str(error).replace(str(directory), archive.name)}") from error


@contextmanager
def explained(archive: Path) -> Iterator[None]:
    """What no check of an archive has foreseen is an error in words, and no traceback."""
    try:
        yield
    except UNREADABLE as error:
        said = printable(f"{type(error).__name__}: {error}".splitlines()[0][:200])
        raise BenchmarkError(f"{archive}: cannot be read as results ({said}); get it again") from error


def read_checked(config: Config, archive: Path, directory: Path, name: str = "") -> Archived:
    """An archive with all its rows computed again.

    BenchmarkError as `read_archived`, and where its tables or its scored stages are not what was computed or is known.
    """
    with explained(archive):
        manifest, results = read_archived(config, archive, directory)
        rows, problems = {}, []
        known = plan.dataset(config, results.label.dataset).known_epochs()
        for key, runs in results.rows().items():
            tables = _predictions(runs)
            problems += [f"{key}: {one}" for one in _other_stages(tables, runs, known)]
            rows[key] = _row(key, runs, tables)
        problems += [*_wrong_tables(directory, results.label.dataset, rows)]
    if problems:
        more = [f"and {len(problems) - LISTED} more"] if len(problems) > LISTED else []
        lines = "\n  ".join([*problems[:LISTED], *more])
        raise BenchmarkError(
            f"{archive}: is not what its predictions give:\n  {lines}\nWhat to do: whoever made it runs "
            "`sleepbench results export` again where its runs are; tables are not to be edited"
        )
    return Archived(name or archive.stem, sha256_of_file(archive), manifest, results, rows)


@contextmanager
def checked(config: Config, archives: Sequence[Path]) -> Iterator[list[Archived]]:
    """Archives of several people, each with all its rows computed again, unpacked for as long as the context lasts.

    BenchmarkError says all that is wrong with any of them, and where one is there twice.
    """
    found, wrong = [], []
    with ExitStack() as stack:
        for archive, name in zip(archives, names_of(archives), strict=True):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            try:
                found.append(read_checked(config, archive, directory, name))
            except BenchmarkError as error:
                wrong.append(str(error))
        for number, one in enumerate(found):
            if same := next((other for other in found[:number] if other.sha256 == one.sha256), None):
                wrong.append(f"{one.name} is the same archive as {same.name}; give it once")
        if wrong:
            raise BenchmarkError("\n".join(wrong))
        yield found


def names_of(archives: Sequence[Path]) -> list[str]:
    """What archives are called: their files' names, with the folder before it where a name is there twice."""
    stems = [archive.stem for archive in archives]
    return [
        f"{archive.resolve().parent.name}/{archive.stem}" if stems.count(archive.stem) > 1 else archive.stem
        for archive in archives
    ]


# ----------------------------------------------------------------------------------------------------------- computing


def _predictions(runs: pd.DataFrame) -> list[pd.DataFrame]:
    """The predictions of a row: a table by seed, in ascending order of seeds."""
    return [
        pd.concat([run.predictions(COLUMNS) for run in mine.sort_values("fold").run], ignore_index=True)
        for _, mine in runs.groupby("seed")
    ]


def _row(key: RowKey, runs: pd.DataFrame, tables: Sequence[pd.DataFrame]) -> Row:
    numbers = row_scores(runs)
    subjects, matrices = subject_confusions(tables, check=False)
    intervals = bootstrap_intervals(matrices)
    for metric in METRICS:
        scale = 1 if metric == "cohen_kappa" else 100
        numbers |= {f"{metric}_{bound}": scale * float(intervals.loc[metric, bound]) for bound in ("low", "high")}
    first = runs.run.iloc[0]
    whole = runs.fold.nunique() == runs.n_folds.iloc[0]
    version = version_of(first.training.dataset, key.protocol, first.settings, first.selection) if whole else ""
    title = describe(key.model).title if key.model in model_names() else first.title
    return Row(key, title, runs, numbers, len(subjects), version)


def _other_stages(
    tables: Sequence[pd.DataFrame], runs: pd.DataFrame, known: Mapping[tuple[str, str], Sequence[int]]
) -> Iterator[str]:
    """Recordings that have other scored stages than are known of them; those of which nothing is known are left out."""
    trimming = runs.trimming.iloc[0]
    for recording, mine in tables[0].groupby("recording"):
        counts = np.bincount(mine.stage, minlength=len(STAGES)).tolist()
        expected = known.get((str(recording), trimming))
        if expected is not None and counts != list(expected):
            listed = [", ".join(f"{n} {stage}" for n, stage in zip(side, STAGES, strict=True))
                      for side in (counts, expected)]  # fmt: skip
            yield f"{recording} is scored {listed[0]}, but the hypnogram of the dataset has {listed[1]}"


# -------------------------------------------------------------------------------------------------------------- tables


def _wrong_tables(root: Path, dataset: str, rows: Mapping[RowKey, Row]) -> Iterator[str]:
    """Where the main table and the table of intervals are not what was computed."""
    main = _read(root / paths.table(dataset, "main_results"), MAIN_TABLE)
    if main is None:
        yield f"{paths.table(dataset, 'main_results')} is missing"
        return
    yield from _wrong(main[main["mark"] == "measured"], "model", rows, dict.fromkeys(SCORES, TOLERANCE), "main_results")
    intervals = _read(root / paths.table(dataset, "intervals"), INTERVALS)
    if intervals is not None:
        bounds = {f"{metric}_{bound}": OF_BOUNDS for metric in METRICS for bound in ("low", "high")}
        bounds |= {name: OF_BOUNDS / 100 for name in bounds if name.startswith("cohen_kappa")}
        exact = dict.fromkeys(METRICS, TOLERANCE)
        yield from _wrong(intervals[intervals["over"] == "pooled"], "title", rows, exact | bounds, "intervals")


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame | None:
    if not path.is_file():
        return None
    return pd.read_csv(path, usecols=list(columns), dtype=str, keep_default_na=False)


def _wrong(
    table: pd.DataFrame, title: str, rows: Mapping[RowKey, Row], tolerances: Mapping[str, float], name: str
) -> Iterator[str]:
    """Rows that a table has and there are no runs of, that it lacks or has twice, and numbers that are others."""
    asked = {(key.protocol, row.runs.run.iloc[0].title, key.input, key.recipe): row for key, row in rows.items()}
    found: dict[tuple, pd.Series] = {}
    for _, one in table.iterrows():
        key = (one["protocol"], one[title], one["input"], one["recipe"])
        if key not in asked or key in found:
            yield f"{name}.csv: the row {', '.join(key)} is {'there twice' if key in found else 'of no run'}"
        found[key] = one
    for key, row in asked.items():
        if key not in found:
            yield f"{name}.csv: the row {', '.join(key)} is missing, but its runs are there"
            continue
        for column, tolerance in tolerances.items():
            if not _is_near(found[key][column], row.numbers[column], tolerance):
                yield (
                    f"{name}.csv, {', '.join(key)}: {column} is {found[key][column][:30] or 'empty'}, but the "
                    f"predictions give {row.numbers[column]:.6g}"
                )


def _is_near(text: str, value: float, tolerance: float) -> bool:
    try:
        found = float(text) if text else math.nan
    except ValueError:
        return False
    return (math.isnan(found) and math.isnan(value)) or abs(found - value) <= tolerance


# --------------------------------------------------------------------------------------------------------------- check


def check(config: Config, archives: Sequence[Path]) -> Iterator[tuple[str, bool]]:
    """Compute the numbers of each archive again: what is said of it, and whether it is what it says."""
    for archive in archives:
        with tempfile.TemporaryDirectory() as directory:
            try:
                one = read_checked(config, archive, Path(directory))
            except BenchmarkError as error:
                yield str(error), False
                continue
        yield _passed(archive, one), True


def _passed(archive: Path, one: Archived) -> str:
    of = ", ".join(dict.fromkeys(row.version or "no benchmark version" for row in one.rows.values()))
    return (
        f"{archive}: as it says. {len(one.rows)} rows of {len(one.results.table)} runs on {one.label.dataset} "
        f"({one.label.warning or one.label.name}), every number computed again; of: {of}; SHA-256 "
        f"{one.sha256[:SHORT]}…"
    )

"""Whether runs are whole: asked once where they are collected, and by commands beside the workflow."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sleepbench.config import paths, plan
from sleepbench.config.code import code_sha256
from sleepbench.config.models import Config
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_file
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import DataLabel
from sleepbench.evaluation.bootstrap import COLUMNS, check_predictions
from sleepbench.evaluation.metrics import confusion_from_items, confusion_matrix
from sleepbench.preparation.quality import epochs_in_trimmings
from sleepbench.protocols.folds import Fold, folds_of, read_folds
from sleepbench.runs.run import WEIGHTS, Run, read_document, training_in
from sleepbench.runs.text import command_that_trains, shortened
from sleepbench.training.keys import run_key, training_settings

SAME, CHANGED, MISSING = "as written", "CHANGED", "MISSING"
OWN = ("fold", "seed")
"""Settings in which the runs of a row differ."""
SHARED = ("model", "input", "channels", "recipe", "code_sha256")
"""What all runs of a contender have in common, whatever the protocol: the ladder subtracts one from another."""
LISTED = 3
"""Runs that a message names; it counts the others."""

Epochs = Mapping[tuple[str, str], tuple[np.ndarray, np.ndarray]]
"""By recording and trimming, the epochs that are kept, as indices in the night, and their stages."""


@dataclass(frozen=True)
class Expected:
    """What the runs on a dataset of a configuration are checked against.

    Everything is read when it is first needed.

    root : below which the results are
    archived : whether they are those of an archive, without weights
    asked : whether runs must be of the settings and code that are asked for now
    """

    config: Config
    dataset: str
    root: Path = Path()
    archived: bool = False
    asked: bool = False
    _read: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def label(self) -> DataLabel:
        """What the data is called, and whether it is simulated."""
        return plan.dataset(self.config, self.dataset).label

    @cached_property
    def epochs(self) -> Epochs:
        """The epochs of the recordings, as far as they are prepared below the root: an archive has none."""
        source = plan.dataset(self.config, self.dataset).source
        ids = [recording.id for recording in plan.recordings(self.config, self.dataset)]
        files = paths.each([paths.prepared(source, id, "quality.json") for id in ids], self.root)
        return epochs_in_trimmings([path for path in files if path.exists()], self.label.simulated)

    def fold_file(self, name: str) -> tuple[dict[str, Any], list[Fold]]:
        """A fold file; BenchmarkError when it is missing, half-written or was edited."""
        return self._once(("folds", name), lambda: self._read_folds(name))

    def states(self, run: Run) -> dict[str, str]:
        """Whether each file of a run's training is as written, CHANGED or MISSING.

        Left out for an archive is what it has not: weights, and predictions by selection rules that no run asks for.
        """
        states = self._once(("states", run.directory), lambda: _states(run))
        return {n: s for n, s in states.items() if not self.archived or is_archived(run, n)}

    def code(self, model: str) -> str:
        """The code that a training of a model is made by now."""
        return code_sha256("train", self.config.datasets[self.dataset].reader, model)

    def settings(self, run: Run) -> dict[str, Any]:
        """The settings that are asked for of a run's training."""
        recipe = plan.recipe_on(self.config, run.training.recipe, self.dataset)
        document, _ = self.fold_file(run.training.folds)
        return training_settings(document, run.training, self.config.inputs[run.training.input], recipe)

    def _read_folds(self, name: str) -> tuple[dict[str, Any], list[Fold]]:
        path = self.root / paths.folds(self.dataset, name)
        document = read_document(path, "make the folds again") if self.archived else read_folds(path)
        try:
            return document, folds_of(document)
        except KeyError as error:
            raise BenchmarkError(f"{path}: lacks {error}; delete it and make the folds again") from error

    def _once(self, key: tuple, read: Callable[[], Any]) -> Any:
        if key not in self._read:
            self._read[key] = read()
        return self._read[key]


@dataclass(frozen=True)
class Checked:
    """What is wrong with a run, or what was read from it where nothing is.

    confusion : its confusion matrix (5, 5); None where something is wrong
    scored : by recording, the number of epochs of each scored stage; empty where something is wrong
    """

    problems: list[str]
    confusion: np.ndarray | None = None
    scored: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def verify(runs: Sequence[Run], expected: Expected, rows: Sequence[Mapping[str, Any]] | None = None) -> None:
    """BenchmarkError, listing all that is wrong, unless every run is whole and they can be compared.

    A run is whole when it is of its settings, folds and data, its files are as they were written, and its predictions
    cover the test epochs of its fold as they are prepared, once and without a gap, and give its metrics. The runs of a
    row of a table are of the same settings and code, and the contenders of a protocol are tested on the same epochs.

    rows : their numbers in the table of runs, in order, which must be those of their files; None: there is no table
    """
    checked = [check(run, expected, row) for run, row in zip(runs, rows or [None] * len(runs), strict=True)]
    wrong = [f"{run}: {problem}" for run, one in zip(runs, checked, strict=True) for problem in one.problems]
    wrong += [*_mixed(runs), *_different_epochs(runs, checked)]
    if wrong:
        raise BenchmarkError(not_whole(wrong, expected))


def not_whole(problems: Sequence[str], expected: Expected) -> str:
    """The message on results that are not whole, with what to do."""
    again = (
        f"What to do: {RUN_AGAIN}. To run again: `{command_that_trains(expected.config, expected.dataset)}`."
        if not expected.archived
        else "Have it exported again."
    )
    return f"the results on {expected.dataset} are not whole:\n  " + "\n  ".join(problems) + f"\n{again}"


RUN_AGAIN = (
    "delete the table of runs (runs.csv) if there is one, and of the folds named here the directories, with the "
    "receipts (stack-*.json) beside them, and run again: these folds are trained again, all others are kept"
)


def check(run: Run, expected: Expected, row: Mapping[str, Any] | None = None) -> Checked:
    """What is wrong with one run, by itself; `row` is its row of the table of runs, if there is one."""
    metrics = run.directory / run.selection / "metrics.json"
    try:
        document, folds = expected.fold_file(run.training.folds)
        if problems := [*_other_training(run, document), *_unasked(run, expected), *_changed(run, expected)]:
            return Checked(problems)
        table, printed = run.predictions(COLUMNS), confusion_from_items(run.metrics())
    except BenchmarkError as error:
        return Checked([str(error)])
    except KeyError as error:
        return Checked([f"{metrics}: lacks {error}; train this fold again"])
    fold, n_epochs = folds[run.training.fold], run.record["n_epochs"]["test"]
    problems = [
        *(_faults(table) or [*_uncovered(table, fold, n_epochs), *_other_people(table, document)]),
        *_other_epochs(table, run.training.trimming, expected.epochs),
    ]
    if problems:
        return Checked([f"{run.directory / run.predictions_name}: {problem}" for problem in problems])
    confusion = confusion_matrix(table.stage.to_numpy(), table.predicted.to_numpy())
    if not np.array_equal(confusion, printed):
        return Checked([f"{run.directory / run.predictions_name}: do not give the metrics.json beside them"])
    if row is not None and not np.array_equal(confusion, confusion_from_items(row)):
        return Checked([f"its metrics in runs.csv are not those of {metrics}"])
    return Checked([], confusion, _scored(table))


# ------------------------------------------------------------------------------------------------- settings and files


def _other_training(run: Run, document: Mapping[str, Any]) -> Iterator[str]:
    """Whether the directory holds another training, or one of other folds or data."""
    key = run.record["runs"][run.selection]["run_key"]
    if key != run.key or (found := training_in(run.record)) != run.training:
        what = f"run {key} for {run.selection}: runs.csv is of another training" if key != run.key else str(found)
        yield f"{run.directory} holds {what}"
    elif key != run_key(run.settings, run.selection):
        yield f"{run.directory / 'training.json'}: its run key is not that of its settings: it was edited"
    elif run.training.fold >= len(document["folds"]):
        yield f"the fold file {document['name']}.json has {len(document['folds'])} folds"
    else:
        for name, what in (("folds_sha256", "folds"), ("data_sha256", "files")):
            if run.settings[name] != document[name]:
                yield f"{run.directory} was trained on other {what} than the fold file {document['name']}.json is of"


def _unasked(run: Run, expected: Expected) -> list[str]:
    """Whether a training is of other data than is said now, or not the one that is asked for, if one is."""
    if run.record["provenance"]["simulated"] is not expected.label.simulated:
        return [f"{run.directory}: says simulated: {not expected.label.simulated} of {expected.dataset}"]
    return [f"stale: {reasons}"] if expected.asked and (reasons := stale(run, expected)) else []


def stale(run: Run, expected: Expected) -> str:
    """In what a training differs from the one that is asked for now; empty if in nothing."""
    for name, known in (("recipe", expected.config.recipes), ("input", expected.config.inputs)):
        if (used := getattr(run.training, name)) not in known:
            return f"{name} {used}, which is not defined now"
    found, wanted, changed = run.settings, expected.settings(run), []
    for name in differing([found, wanted]):
        sides = found.get(name), wanted.get(name)
        if name == "recipe":
            changed += [f"recipe.{part} {_instead(part, sides)}" for part in differing(sides)]
        else:
            changed.append(f"{name} {shortened(sides[0])} instead of {shortened(sides[1])}")
    if run.record["code_sha256"] != (code := expected.code(run.training.model)):
        changed.append(f"code {shortened(run.record['code_sha256'])} instead of {shortened(code)}")
    return ", ".join(changed)


def _instead(part: str, sides: Sequence[Mapping[str, Any]]) -> str:
    return " instead of ".join(str(side.get(part, "not set")) for side in sides)


def differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the settings in which some mappings differ."""
    names = dict.fromkeys(name for one in settings for name in one)
    return [name for name in names if any(one.get(name) != settings[0].get(name) for one in settings[1:])]


def _changed(run: Run, expected: Expected) -> list[str]:
    return [f"{run.directory / name} is {state}" for name, state in expected.states(run).items() if state != SAME]


def is_archived(run: Run, name: str) -> bool:
    """Whether an archive holds this file of a run's training."""
    return Path(name).suffix != WEIGHTS and run.is_of_selection(name)


def _states(run: Run) -> dict[str, str]:
    def state(path: Path, sha256: str) -> str:
        return MISSING if not path.is_file() else SAME if sha256_of_file(path) == sha256 else CHANGED

    return {name: state(run.directory / name, sha256) for name, sha256 in run.record["files"].items()}


# ------------------------------------------------------------------------------------------------------- predictions


def _faults(table: pd.DataFrame) -> list[str]:
    """Whether predictions cannot be used, such as where one is not a number."""
    try:
        check_predictions(table)
    except BenchmarkError as error:
        return [str(error)]
    return []


def _uncovered(table: pd.DataFrame, fold: Fold, n_epochs: int) -> Iterator[str]:
    """Recordings of the fold that are not tested, and others that are."""
    found, expected = set(table.recording.unique()), set(fold.test)
    parts = [f"lack {_listed(expected - found)}"] if expected - found else []
    parts += [f"hold also {_listed(found - expected)}"] if found - expected else []
    if parts:
        yield f"do not cover the fold: they {' and '.join(parts)}"
    elif len(table) != n_epochs:
        yield f"do not cover the fold: {len(table)} epochs of {n_epochs}"


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))


def _other_people(table: pd.DataFrame, document: Mapping[str, Any]) -> Iterator[str]:
    """Recordings of other people, or other nights, than the fold file says."""
    for recording, subject, night in table[["recording", "subject", "night"]].drop_duplicates().itertuples(index=False):
        found = str(subject), int(night)
        expected = document["subjects"].get(recording), document["nights"].get(recording)
        if found != expected:
            said = " and ".join(f"night {night} of subject {subject}" for subject, night in (found, expected))
            yield f"say that {recording} is {said.replace(' and ', ', but the fold file says ')}"


def _other_epochs(table: pd.DataFrame, trimming: str, epochs: Epochs) -> Iterator[str]:
    """Recordings whose tested epochs or scored stages differ from those prepared.

    The epochs must be those that the trimming keeps.

    Recordings that `epochs` does not know are passed over.
    """
    number, recordings = pd.factorize(table.recording, sort=True)
    epoch, stage = table.epoch.to_numpy(), table.stage.to_numpy()
    for position, recording in enumerate(recordings):
        if (recording, trimming) not in epochs:
            continue
        expected, scored = epochs[recording, trimming]
        places = np.flatnonzero(number == position)
        places = places[np.argsort(epoch[places], kind="stable")]
        if not np.array_equal(epoch[places], expected):
            yield (
                f"are of {_span(epoch[places])} of {recording}, but as prepared the trimming {trimming} keeps "
                f"{_span(expected)}"
            )
        elif not np.array_equal(stage[places], scored):
            n = np.count_nonzero(stage[places] != scored)
            yield f"score {n:,} of {len(scored):,} epochs of {recording} otherwise than it is prepared"


def _span(numbers: np.ndarray) -> str:
    """How many epochs, from which to which."""
    return f"{len(numbers):,} epochs ({numbers[0]} to {numbers[-1]})" if len(numbers) else "no epoch"


def _scored(table: pd.DataFrame) -> dict[str, tuple[int, ...]]:
    """By recording, the number of epochs of each scored stage."""
    number, recordings = pd.factorize(table.recording)
    cells = number * len(STAGES) + table.stage.to_numpy()
    counts = np.bincount(cells, minlength=len(recordings) * len(STAGES)).reshape(-1, len(STAGES))
    return dict(zip(recordings, map(tuple, counts.tolist()), strict=True))


# ------------------------------------------------------------------------------------------------- runs with each other


def row_settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """The settings and code that all runs of one row of a table must have in common.

    These are all settings but fold and seed, and the hash of the code.
    """
    settings = {name: value for name, value in record["settings"].items() if name not in OWN}
    return {**settings, "code_sha256": record["code_sha256"]}


def _mixed(runs: Sequence[Run]) -> Iterator[str]:
    """Contenders, and rows of a table, whose runs were not all made by the same settings and code."""
    for group in _grouped(runs, lambda run: run.training.contender).values():
        yield from _differences(", ".join(group[0].training.contender), group, lambda name: name in SHARED)
    for key, group in _grouped(runs, lambda run: run.row).items():
        yield from _differences(str(key), group, lambda name: name not in SHARED)


def _grouped(runs: Sequence[Run], key: Callable[[Run], Any]) -> dict[Any, list[Run]]:
    groups: dict[Any, list[Run]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups


def _differences(who: str, runs: Sequence[Run], among: Callable[[str], bool]) -> Iterator[str]:
    settings = [row_settings(run.record) for run in runs]
    for name in filter(among, differing(settings)):
        by_value: dict[str, list[str]] = {}
        for run, one in zip(runs, settings, strict=True):
            where = f"{run.protocol} seed {run.training.seed} fold {run.training.fold}"
            by_value.setdefault(str(one.get(name)), []).append(where)
        listed = "; ".join(f"{value[:60]} in {_first(where)}" for value, where in by_value.items())
        yield f"{who}: {name} differs between its runs: {listed}"


def _first(names: Sequence[str]) -> str:
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _different_epochs(runs: Sequence[Run], checked: Sequence[Checked]) -> Iterator[str]:
    """Contenders tested on other epochs than the first of their protocol: they could not be compared.

    Runs with problems of their own are passed over.
    """
    scored: dict[tuple[str, str], dict[str, tuple[int, ...]]] = {}
    for run, one in zip(runs, checked, strict=True):
        who = f"{', '.join(run.training.contender)}, seed {run.training.seed}"
        scored.setdefault((run.protocol, who), {}).update(one.scored)
    first: dict[str, str] = {}
    for (protocol, who), mine in scored.items():
        theirs = scored[protocol, first.setdefault(protocol, who)]
        other = {recording for recording in {*mine} & {*theirs} if mine[recording] != theirs[recording]}
        if other:
            yield f"{protocol}: {who} was tested on other epochs than {first[protocol]}, of {_listed(other)}"

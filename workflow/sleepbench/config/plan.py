"""The plan: every training that a configuration asks for, and the runs that read them."""

import functools
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sleepbench.config.keys import Contender, PlannedRun, TrainingKey
from sleepbench.config.models import ALL, LADDER, OWN, Config, Experiment, Protocol
from sleepbench.config.recipe import Recipe
from sleepbench.core.errors import BenchmarkError, nearest
from sleepbench.core.stages import SAMPLES_PER_EPOCH
from sleepbench.datasets import open_dataset
from sleepbench.datasets.base import Dataset, Recording
from sleepbench.models import describe, model_names, model_source

OWN_AT_MOST = 500
"""Training epochs; a model's own recipe with more takes days a fold, and is run where it is named."""
SHORT_FOLDS = 5
"""Of a job on a CPU where epochs are short: two cores have work from ten folds on."""
NO_RECIPE = "no recipe of the paper is known; there are common and tuned"


@dataclass(frozen=True)
class Skipped:
    """What is asked for and not there: of a model its `recipe` or `input`, or a `protocol` of a dataset."""

    who: str
    what: str
    reason: str
    model: str | None = None
    input: str | None = None

    def __str__(self) -> str:
        return f"{self.who}, {self.what}: {self.reason}"


@dataclass(frozen=True)
class DatasetPlan:
    """What is asked for on one dataset: its protocols, and its trainings and runs in order.

    The protocols are as they apply to this dataset.
    """

    dataset: str
    protocols: dict[str, Protocol]
    trainings: tuple[TrainingKey, ...]
    runs: tuple[PlannedRun, ...]

    @property
    def contenders(self) -> list[Contender]:
        """The contenders, in the order of the configuration."""
        return list(dict.fromkeys(key.contender for key in self.trainings))

    def using(self, folds: str) -> list[str]:
        """The protocols whose folds have this name."""
        return [name for name, protocol in self.protocols.items() if protocol.folds.name == folds]


@dataclass(frozen=True)
class Plan:
    """What a configuration asks for, by dataset, and what of it is skipped, each with a reason."""

    datasets: dict[str, DatasetPlan]
    skipped: tuple[Skipped, ...] = field(default=())

    @property
    def trainings(self) -> list[TrainingKey]:
        """All trainings."""
        return [key for one in self.datasets.values() for key in one.trainings]

    @property
    def contenders(self) -> list[Contender]:
        """The contenders on any dataset, in the order of the configuration."""
        return list(dict.fromkeys(contender for one in self.datasets.values() for contender in one.contenders))

    def not_trained(self) -> list[str]:
        """What is skipped as sentences, one for each thing that was asked for and reason."""
        who: dict[tuple[str, str], list[str]] = {}
        for one in self.skipped:
            title = describe(one.model).title if one.model else one.who
            who.setdefault((one.what, one.reason), []).append(title)
        return [
            f"{what[0].upper()}{what[1:]}: {why} ({'; '.join(dict.fromkeys(t))})." for (what, why), t in who.items()
        ]


def plan(config: Config) -> Plan:
    """Every training that `run` asks for.

    BenchmarkError where there is none on a dataset, or where something cannot be trained.
    """
    entries = entries_of(config)
    skipped: dict[Skipped, None] = {}
    asked: dict[str, list[tuple[str, Contender, int]]] = {}
    for entry in entries:
        contenders = _contenders(config, entry, skipped)
        for dataset in entry.datasets:
            protocols = _protocols(config, dataset, entry, skipped)
            there = _with_channels(config, dataset, contenders, skipped)
            there = _of_length(config, dataset, there, skipped)
            there = _not_too_long(config, dataset, entry, there, skipped)
            asked.setdefault(dataset, []).extend(itertools.product(protocols, there, entry.seeds))
    planned = {dataset: _dataset_plan(config, dataset, rows) for dataset, rows in asked.items()}
    for dataset, one in planned.items():
        if not one.trainings:
            reasons = "; ".join(map(str, skipped)) or "its lists leave nothing"
            raise BenchmarkError(
                f"run: nothing is trained on {dataset}: {reasons}. Ask for models, inputs, recipes and protocols that "
                "go together there"
            )
    problems = [problem for one in planned.values() for problem in _wrong_trainings(config, one)]
    if problems:
        raise BenchmarkError("the configuration asks for what cannot be done:\n  " + "\n  ".join(problems))
    return Plan(planned, tuple(skipped))


def dataset(config: Config, name: str) -> Dataset:
    """A dataset of the configuration, opened.

    BenchmarkError with the nearest known name where there is none of this name.
    """
    if name not in config.datasets:
        raise BenchmarkError(f"datasets: unknown dataset '{name}'; {nearest(name, config.datasets)}")
    return _opened(_Definition(name, config))


def recordings(config: Config, name: str) -> list[Recording]:
    """The recordings of a dataset in ascending order, but for those that the configuration leaves out."""
    return _recordings(_Definition(name, config))


def recipe_on(config: Config, recipe: str, dataset: str) -> Recipe:
    """A recipe as it is applied on a dataset, which may have a number of training epochs of its own."""
    return config.recipes[recipe].at_most(config.datasets[dataset].training_epochs)


def protocol_on(config: Config, protocol: str, dataset: str) -> Protocol:
    """A protocol as it is on a dataset, which may have a number of folds of its own."""
    own = config.datasets[dataset].n_folds
    return config.protocols[protocol].model_copy(update={"n_folds": own}) if own else config.protocols[protocol]


def ladder_on(config: Config, dataset: str) -> list[str]:
    """The protocols of the ladder of a dataset, which may have one of its own."""
    return list(config.datasets[dataset].ladder or config.ladder)


def folds_per_job(config: Config, dataset: str, trained: int, on_gpu: bool) -> int:
    """How many of the folds that are `trained` one job trains.

    "auto" is all on a GPU, else one, or some where epochs are so short that most of a step of one fold is overhead.
    """
    if (size := config.training.folds_per_job) != "auto":
        return size
    is_short = _opened(_Definition(dataset, config)).samples_per_epoch < SAMPLES_PER_EPOCH
    return trained if on_gpu else SHORT_FOLDS if is_short else 1


def folds_trained(config: Config, dataset: str, n_folds: int) -> list[int]:
    """The numbers of the folds that are trained on a dataset."""
    return sorted(config.datasets[dataset].only_folds or range(n_folds))


class _Definition:
    """A dataset's name and configuration as the key of a cache: two are one if the same is said of them."""

    def __init__(self, name: str, config: Config):
        self.name, self.definition, self.sources = name, config.datasets[name], config.data
        self.said = (name, repr(self.definition), repr(self.sources))

    def __hash__(self) -> int:
        return hash(self.said)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Definition) and self.said == other.said


@functools.cache
def _opened(one: _Definition) -> Dataset:
    opened = open_dataset(one.name, {"reader": one.definition.reader, **one.definition.settings}, one.sources)
    opened.training_epochs, opened.only_folds = one.definition.training_epochs, one.definition.only_folds
    return opened


@functools.cache
def _recordings(one: _Definition) -> list[Recording]:
    return _opened(one).used()


def entries_of(config: Config) -> list[Experiment]:
    """The entries of the experiment that is run, with the lists that `run` replaces."""
    run = config.run
    replaced: dict[str, Any] = {
        name: value
        for name in ("datasets", "protocols", "models", "inputs", "recipes", "seeds", "test_on")
        if (value := getattr(run, name)) is not None
    }
    return [e.model_copy(update=replaced) for e in config.experiments if e.name == run.experiment]


def _protocols(config: Config, dataset: str, entry: Experiment, skipped: dict[Skipped, None]) -> list[str]:
    """The protocols of an entry that can be followed on a dataset, and say something of their own there.

    A dataset with a number of folds of its own has no rung that only changes this number.
    """
    names = ladder_on(config, dataset) if entry.protocols == LADDER else entry.protocols
    trimmings = _opened(_Definition(dataset, config)).trimmings
    kept: dict[Protocol, str] = {}
    for name in names:
        protocol = protocol_on(config, name, dataset)
        if protocol.trimming not in trimmings:
            reason = f"its nights can be trimmed by {', '.join(trimmings)}, not by {protocol.trimming}"
            skipped[Skipped(dataset, f"protocol {name}", reason)] = None
        elif (twin := next((other for known, other in kept.items() if known == protocol), None)) is None:
            kept[protocol] = name
        else:
            reason = f"with the {protocol.n_folds} folds of this dataset it is the protocol {twin}"
            skipped[Skipped(dataset, f"protocol {name}", reason)] = None
    return list(kept.values())


def _contenders(config: Config, entry: Experiment, skipped: dict[Skipped, None]) -> list[Contender]:
    """The contenders of an entry, models first, and what of them is not defined."""
    models = list(model_names()) if entry.models == ALL else entry.models
    found: dict[Contender, None] = {}
    for model, name, recipe in itertools.product(models, entry.inputs, entry.recipes):
        info, n_channels = describe(model), len(config.inputs[name])
        own = info.published_recipe if recipe == OWN else recipe
        if not info.takes(n_channels):
            reason = f"the architecture is not defined for {n_channels} channel(s), only for {info.channels}"
            skipped[Skipped(model, f"input {name}", reason, model, name)] = None
        elif own is None:
            skipped[Skipped(model, f"recipe {recipe}", NO_RECIPE, model)] = None
        elif own not in config.recipes:
            raise BenchmarkError(
                f"recipes: the own recipe of the model {model} is '{own}', which is not there; "
                f"{nearest(own, config.recipes)}"
            )
        elif info.kind == "estimator" and config.recipes[own].learning_rates:
            reason = "it is fitted in one go and has no learning rate to tune"
            skipped[Skipped(model, f"recipe {recipe}", reason, model)] = None
        else:
            found[Contender(model, name, own)] = None  # a model's own recipe may be named as well
    return list(found)


def _with_channels(
    config: Config, dataset: str, contenders: Sequence[Contender], skipped: dict[Skipped, None]
) -> list[Contender]:
    """The contenders whose channels a dataset has."""
    montage = _opened(_Definition(dataset, config)).montage
    lacking = {
        name: [role for role in config.inputs[name] if role not in montage]
        for name in dict.fromkeys(contender.input for contender in contenders)
    }
    for name, roles in lacking.items():
        if roles:
            reason = f"its montage has no {' and no '.join(roles)}, only {', '.join(montage)}"
            skipped[Skipped(dataset, f"input {name}", reason)] = None
    return [contender for contender in contenders if not lacking[contender.input]]


def _of_length(
    config: Config, dataset: str, contenders: Sequence[Contender], skipped: dict[Skipped, None]
) -> list[Contender]:
    """The contenders that are defined for epochs as long as a dataset's."""
    n_samples, kept = _opened(_Definition(dataset, config)).samples_per_epoch, []
    for contender in contenders:
        if why := describe(contender.model).lacks_length(n_samples):
            skipped[Skipped(contender.model, f"epochs of {n_samples} samples", why, contender.model)] = None
        else:
            kept.append(contender)
    return kept


def _not_too_long(
    config: Config, dataset: str, entry: Experiment, contenders: Sequence[Contender], skipped: dict[Skipped, None]
) -> list[Contender]:
    """The contenders but those whose own recipe is very long on a dataset and is not asked for by its name."""
    kept = []
    for contender in contenders:
        n = recipe_on(config, contender.recipe, dataset).training_epochs
        if n <= OWN_AT_MOST or contender.recipe in entry.recipes:
            kept.append(contender)
        else:
            reason = (
                f"it has up to {n:,} training epochs, days for a fold; to run it, name it: --recipes {contender.recipe}"
            )
            skipped[Skipped(contender.model, f"own recipe {contender.recipe}", reason, contender.model)] = None
    return kept


def _dataset_plan(config: Config, dataset: str, asked: Sequence[tuple[str, Contender, int]]) -> DatasetPlan:
    protocols = {name: protocol_on(config, name, dataset) for name in dict.fromkeys(name for name, _, _ in asked)}
    order = {contender: i for i, contender in enumerate(dict.fromkeys(contender for _, contender, _ in asked))}
    trainings: dict[TrainingKey, None] = {}
    for name, contender, seed in asked:
        protocol = protocols[name]
        for fold in folds_trained(config, dataset, protocol.n_folds):
            key = TrainingKey(dataset, protocol.folds.name, protocol.trimming, *contender, seed, fold)
            trainings[key] = None
    by_reading: dict[tuple[str, str], list[TrainingKey]] = {}
    for key in sorted(trainings, key=lambda key: (order[key.contender], key.seed, key.fold)):
        by_reading.setdefault((key.folds, key.trimming), []).append(key)
    runs = [
        PlannedRun(key, name, protocol.selection)
        for name, protocol in protocols.items()
        for key in by_reading.get((protocol.folds.name, protocol.trimming), ())
    ]
    return DatasetPlan(dataset, protocols, tuple(dict.fromkeys(run.training for run in runs)), tuple(runs))


def _wrong_trainings(config: Config, planned: DatasetPlan) -> Iterable[str]:
    """What the recipes, protocols and folds of a dataset's trainings cannot do."""
    people = recordings(config, planned.dataset)
    n_subjects, only = len({r.subject for r in people}), config.datasets[planned.dataset].only_folds or []
    for name, protocol in planned.protocols.items():
        if protocol.unit == "subject" and protocol.n_folds > n_subjects:
            yield f"protocols.{name}: {protocol.n_folds} folds by subject of {n_subjects} subjects of {planned.dataset}"
        elif protocol.n_folds > len(people):
            yield f"protocols.{name}: {protocol.n_folds} folds of {len(people)} recordings of {planned.dataset}"
        if unknown := [fold for fold in only if fold >= protocol.n_folds]:
            yield (
                f"datasets.{planned.dataset}.only_folds: {unknown}, but the protocol '{name}' has the folds 0 to "
                f"{protocol.n_folds - 1}"
            )
        if protocol.selection == "cycle_end":
            without = {c.recipe for c in planned.contenders if config.recipes[c.recipe].schedule != "cosine_restarts"}
            for recipe in sorted(without):
                yield f"protocols.{name}: selection 'cycle_end' needs cycles; the recipe '{recipe}' has none"
        if not protocol.validation_subjects:
            for recipe in sorted({c.recipe for c in planned.contenders if config.recipes[c.recipe].learning_rates}):
                yield (
                    f"protocols.{name}: holds out no validation subjects, on which the recipe '{recipe}' chooses its "
                    "learning rate; take a protocol that does, such as clean, or the recipe common"
                )
    for model, _, recipe in planned.contenders:
        first = config.recipes[recipe].pretrain
        if first and model_source(first.model) != model_source(model):
            yield (
                f"recipes.{recipe}.pretrain.model: {first.model} and {model}, which is to be trained by this recipe, "
                "are in different files; take another recipe for it"
            )

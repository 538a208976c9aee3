"""Which networks are tested on which other dataset, on whom there, and what of that cannot be done.

A pair is left out with a reason, never silently: shared people, channels that are not there, epochs of another length.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sleepbench.config.keys import Contender, CrossKey, TrainingKey
from sleepbench.config.models import Config
from sleepbench.config.plan import Plan, dataset, entries_of, recordings

PROTOCOL = "clean"
"""The protocol whose networks are tested elsewhere: subjects of its own chose their training epoch."""


@dataclass(frozen=True)
class NotTested:
    """A pair of datasets that is asked for and not tested; `contender` where it is of one alone."""

    trained: str
    tested: str
    reason: str
    contender: Contender | None = None

    def is_of(self, key: CrossKey) -> bool:
        """Whether it says why this is not tested."""
        return (self.trained, self.tested) == (key.trained, key.tested) and self.contender in (None, key.contender)

    def __str__(self) -> str:
        who = f", {', '.join(self.contender)}" if self.contender else ""
        return f"{self.trained} on {self.tested}{who}: {self.reason}"


@dataclass(frozen=True)
class Crosses:
    """What is tested on another dataset, by the networks that test it, and what is not."""

    networks: Mapping[CrossKey, tuple[TrainingKey, ...]]
    not_tested: tuple[NotTested, ...]

    def __bool__(self) -> bool:
        """Whether anything was asked for."""
        return bool(self.networks or self.not_tested)

    @property
    def tested(self) -> list[str]:
        """The datasets that are tested on."""
        return list(dict.fromkeys(key.tested for key in self.networks))

    @property
    def datasets(self) -> list[str]:
        """All datasets that are trained or tested on."""
        return list(dict.fromkeys([*(key.trained for key in self.networks), *self.tested]))


def crosses(config: Config, planned: Plan) -> Crosses:
    """What the experiment that is run asks for by `test_on`."""
    asked: dict[tuple[str, str], None] = {}
    for entry in entries_of(config):
        asked |= dict.fromkeys((trained, tested) for trained in entry.datasets for tested in entry.test_on)
    networks: dict[CrossKey, tuple[TrainingKey, ...]] = {}
    not_tested: dict[NotTested, None] = {}
    for trained, tested in asked:
        if trained == tested:
            continue  # its own protocol tests that
        if reason := _cannot(config, planned, trained, tested):
            not_tested[NotTested(trained, tested, reason)] = None
            continue
        for contender, by_seed in _trainings(planned, trained).items():
            if reason := _lacks_channels(config, contender, tested):
                not_tested[NotTested(trained, tested, reason, contender)] = None
                continue
            networks |= {CrossKey(trained, tested, *contender, seed): tuple(t) for seed, t in by_seed.items()}
    return Crosses(networks, tuple(not_tested))


def never_seen(config: Config, trained: str, tested: str) -> tuple[list[str], dict[str, list[str]]]:
    """The recordings of a dataset of people who are not in another, and those of the others by person.

    Who is in it at all counts as seen, in whatever part of a fold.
    """
    seen = {dataset(config, trained).person(one) for one in recordings(config, trained)}
    there = dataset(config, tested)
    left, shared = [], {}
    for one in recordings(config, tested):
        person = there.person(one)
        if person in seen:
            shared.setdefault(person, []).append(one.id)
        else:
            left.append(one.id)
    return left, shared


def montages(config: Config, trained: str, tested: str, input: str) -> dict[str, tuple[str, str]]:
    """By role of an input, the channels of the two datasets."""
    one, other = dataset(config, trained).montage, dataset(config, tested).montage
    return {role: (one[role], other[role]) for role in config.inputs[input]}


def _cannot(config: Config, planned: Plan, trained: str, tested: str) -> str:
    """Why no network of a dataset can be tested on another; empty where it can."""
    one, other = dataset(config, trained), dataset(config, tested)
    protocol = planned.datasets[trained].protocols.get(PROTOCOL)
    if protocol is None:
        return f"the protocol {PROTOCOL} is not run on {trained}"
    if protocol.trimming not in other.trimmings:
        return f"nights of {tested} can be trimmed by {', '.join(other.trimmings)}, not by {protocol.trimming}"
    if one.samples_per_epoch != other.samples_per_epoch:
        return (
            f"networks of {trained} see {one.samples_per_epoch:,} samples of an epoch, {tested} has "
            f"{other.samples_per_epoch:,}"
        )
    left, shared = never_seen(config, trained, tested)
    if not left:
        return f"all {len(shared)} people of {tested} are in {trained} too ({one.subjects_from})"
    return ""


def _lacks_channels(config: Config, contender: Contender, tested: str) -> str:
    montage = dataset(config, tested).montage
    missing = [role for role in config.inputs[contender.input] if role not in montage]
    return f"the montage of {tested} has no {' and no '.join(missing)}, only {', '.join(montage)}" if missing else ""


def _trainings(planned: Plan, trained: str) -> dict[Contender, dict[int, list[TrainingKey]]]:
    """The trainings of the protocol by contender and seed, in the order of their folds."""
    found: dict[Contender, dict[int, list[TrainingKey]]] = {}
    for key in _of_protocol(planned, trained):
        found.setdefault(key.contender, {}).setdefault(key.seed, []).append(key)
    return found


def _of_protocol(planned: Plan, trained: str) -> Iterator[TrainingKey]:
    return (run.training for run in planned.datasets[trained].runs if run.protocol == PROTOCOL)

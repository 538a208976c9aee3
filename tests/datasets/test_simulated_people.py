"""Who is who across databases: nobody of one is taken for somebody of another, simulated people by seed and number."""

from itertools import combinations
from pathlib import Path

import pytest

from sleepbench.config.load import load
from sleepbench.config.plan import dataset, recordings

CONFIG = load(Path(__file__).parents[2] / "config.yaml")
REAL = ("sleep-edf-78", "sleep-edf-st", "hmc", "dod-h", "dod-o", "isruc-s3")


def people(name: str) -> set[str]:
    return {dataset(CONFIG, name).person(one) for one in recordings(CONFIG, name)}


@pytest.mark.parametrize("names", [REAL, ("simulated", *(f"simulated-{name}" for name in REAL[1:]))])
def test_no_two_databases_share_a_person(names: tuple[str, ...]) -> None:
    for one, other in combinations(names, 2):
        assert not people(one) & people(other), (one, other)


def test_simulated_nights_are_of_one_person_in_whatever_files() -> None:
    files = {name: dataset(CONFIG, f"simulated-{name}") for name in ("hmc", "dod-h")}
    for one in files.values():
        one.settings = one.settings.model_copy(update={"seed": 9})
    named = {frozenset(one.person(recording) for recording in one.recordings()) for one in files.values()}
    assert len(named) == 1


def test_whole_databases_of_healthy_people_and_of_people_with_apnoea_say_so() -> None:
    groups = {name: {one.group for one in recordings(CONFIG, name)} for name in ("dod-h", "dod-o")}
    assert groups == {"dod-h": {"healthy"}, "dod-o": {"sleep apnoea"}}

"""Simulated cohorts: known without being written, written where they are wanted, the same bytes every time."""

from collections import Counter
from pathlib import Path

import pytest

from sleepbench.core.files import sha256_of_file, write_json
from sleepbench.datasets import open_dataset, simulated
from sleepbench.datasets.base import SIMULATED, Dataset

DEMO_FILES = {
    "SC4001E0-PSG.edf": "fe068c88f717e6acbf2f50b9ceb16c051015dc3f169855ca1fbccba20ae53a74",
    "SC4001EJ-Hypnogram.edf": "9b933286be56dfe4ead27fc0049c0bfb58bcd4bc4543aa0b25f247fb3662d724",
    "SC4002E0-PSG.edf": "47a126f288c0a5956017fb584ff9d44994d49c526a6dd375d35409094b7680ae",
    "SC4002EP-Hypnogram.edf": "c8c4511e49053ff598d10826b54197bde5192275f0de0ac8ee508cc6435b90bb",
}
"""The first nights of the demo, as they always were."""


def cohort(
    subjects: int | None = 6, single: list[int] | None = None, hours: float = 2, seed: int = 1, **more
) -> Dataset:
    shape = {} if subjects is None else {"subjects": subjects, "single_night_subjects": single or []}
    return open_dataset("cohort", {"reader": "simulated", "psg_hours": hours, "seed": seed, **shape, **more}, {})


def ids(dataset: Dataset) -> list[str]:
    return [recording.id for recording in dataset.recordings()]


def test_recordings_are_two_nights_a_subject_but_for_those_with_one() -> None:
    dataset = cohort(3, [1])
    assert ids(dataset) == ["SC4001", "SC4002", "SC4011", "SC4021", "SC4022"]
    first, second, *_ = dataset.recordings()
    assert (first.subject, first.night, second.subject, second.night) == ("00", 1, "00", 2)
    assert (first.age, first.sex) == (second.age, second.sex) and 25 <= first.age <= 101
    assert first.file("psg").name == "SC4001E0-PSG.edf" and first.file("psg").sha256 is None
    assert (dataset.label.name, dataset.label.warning) == ("simulated", SIMULATED) and dataset.label.simulated


@pytest.mark.parametrize("subjects, last", [(100, "SC4992"), (101, "SC41002"), (1500, "SC414992")])
def test_a_cohort_may_have_any_number_of_subjects(subjects: int, last: str) -> None:
    dataset = cohort(subjects)
    recordings = dataset.recordings()
    assert len(recordings) == 2 * subjects == len({one.id for one in recordings}) and recordings == sorted(recordings)
    assert recordings[-1].id == last and len({len(one.id) for one in recordings}) == 1
    assert set(Counter(one.subject for one in recordings).values()) == {2}
    assert [int(one.subject) for one in recordings[::2]] == list(range(subjects))


def test_shapes_have_the_subjects_and_nights_of_the_real_data() -> None:
    demo, twenty, whole = (cohort(None, shape=shape) for shape in ("demo", "sleep-edf-20", "sleep-edf-78"))
    assert ids(demo) == ids(cohort(6, [5]))
    assert ids(twenty) == ids(cohort(20, [13])) == ids(whole)[:39]
    assert len(ids(whole)) == 153 and len({one.subject for one in whole.recordings()}) == 78
    # Subject 36 lost the first night; there is no subject 39.
    assert "SC4362" in ids(whole) and "SC4361" not in ids(whole) and "SC4391" not in ids(whole)


def test_the_bytes_of_the_demo_are_what_they_were(tmp_path: Path) -> None:
    dataset = cohort(6, [5])
    for recording in dataset.recordings()[:2]:
        receipt = dataset.fetch(recording, tmp_path)
        for file in recording.files:
            path = tmp_path / file.name
            said = {"path": str(path), "bytes": path.stat().st_size, "sha256": DEMO_FILES[file.name]}
            assert receipt[file.role] == said and sha256_of_file(path) == DEMO_FILES[file.name]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Dataset, Path, list[str]]:
    """A cohort that was fetched, its folder, and the list of recordings that are written from now on."""
    dataset = cohort(1, [0], hours=1.75)
    dataset.fetch(dataset.recordings()[0], tmp_path)
    again: list[str] = []
    write = simulated.SimulatedCohort._write
    monkeypatch.setattr(
        simulated.SimulatedCohort, "_write", lambda self, one, paths: (again.append(one.id), write(self, one, paths))
    )
    return dataset, tmp_path, again


def test_what_is_there_and_right_is_not_written_again(written: tuple[Dataset, Path, list[str]]) -> None:
    dataset, folder, again = written
    (recording,) = dataset.recordings()
    first = {file.role: sha256_of_file(folder / file.name) for file in recording.files}
    receipt = dataset.fetch(recording, folder)
    assert again == [] and {role: receipt[role]["sha256"] for role in first} == first


@pytest.mark.parametrize("damage", ["psg", "scoring", "memory", "missing", "another"])
def test_what_is_missing_wrong_or_of_another_cohort_is_written_again(
    written: tuple[Dataset, Path, list[str]], damage: str
) -> None:
    dataset, folder, again = written
    (recording,) = dataset.recordings()
    right = {file.role: sha256_of_file(folder / file.name) for file in recording.files}
    if damage in right:
        (folder / recording.file(damage).name).write_bytes(b"mine")
    elif damage == "memory":
        write_json(folder / "SC4001.json", {})
    elif damage == "missing":
        (folder / recording.file("psg").name).unlink()
    else:
        dataset = cohort(1, [0], hours=1.75, seed=2)
        (recording,) = dataset.recordings()
    receipt = dataset.fetch(recording, folder)
    assert again == ["SC4001"]
    same = {role: receipt[role]["sha256"] for role in right} == right
    assert same == (damage != "another")
    for file in recording.files:
        assert sha256_of_file(folder / file.name) == receipt[file.role]["sha256"]

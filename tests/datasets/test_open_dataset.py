"""Datasets as the configuration names them."""

import pickle

import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets import open_dataset, readers
from sleepbench.datasets.base import Recording, SourceFile, SourceSettings, with_checksums

SIMULATED = {"reader": "simulated", "subjects": 2, "single_night_subjects": [1], "psg_hours": 2, "seed": 1}


def test_the_readers_are_the_modules_that_hold_a_dataset() -> None:
    assert readers() == [
        *("dod_h", "dod_o", "hmc", "isruc_s3", "simulated", "simulated_excerpts"),
        *("sleep_edf_cassette", "sleep_edf_excerpts", "sleep_edf_telemetry"),
    ]


def test_a_source_is_shared_by_the_parts_of_a_database() -> None:
    sources = {"sleep-edf": SourceSettings(directory="~/edf", base_url="https://a.b/"), "mine": SourceSettings()}
    twenty, trial = (
        open_dataset(name, {"reader": "sleep_edf_cassette", "subjects": n}, sources)
        for name, n in (("x", 20), ("y", 2))
    )
    assert twenty.source == trial.source == "sleep-edf" and twenty.source_settings == sources["sleep-edf"]
    assert not str(twenty.directory("results/raw")).startswith(("~", "results"))
    cohort = open_dataset("mine", SIMULATED, sources)
    assert cohort.source == "mine" and str(cohort.directory("results/raw")) == "results/raw"


def test_datasets_can_be_sent_to_other_processes() -> None:
    for definition in (SIMULATED, {"reader": "sleep_edf_cassette", "subjects": 20}):
        dataset = open_dataset("d", definition, {})
        assert pickle.loads(pickle.dumps(dataset)).recordings() == dataset.recordings()


@pytest.mark.parametrize(
    "definition, message",
    [
        ({"reader": "simulate"}, "datasets.d.reader: unknown reader 'simulate'; the nearest known name is 'simulated'"),
        ({"reader": "base"}, "datasets.d.reader: unknown reader 'base'"),
        ({}, "datasets.d.reader: unknown reader 'None'"),
        (SIMULATED | {"psg_hour": 2}, "datasets.d.psg_hour: unknown key 'psg_hour'; .* 'psg_hours'"),
        (SIMULATED | {"psg_hours": 1}, "datasets.d.psg_hours: found 1"),
        (SIMULATED | {"psg_hours": 24.5}, "datasets.d.psg_hours: found 24.5"),
        (SIMULATED | {"subjects": "2"}, "datasets.d.subjects: found '2', expected a whole number"),
        (SIMULATED | {"single_night_subjects": [2]}, r"datasets.d: .*single_night_subjects: \[2\], expected 0 to 1"),
        (SIMULATED | {"shape": "demo"}, "datasets.d: .*give either 'shape', or both 'subjects' and"),
        ({"reader": "simulated", "psg_hours": 2, "seed": 1, "subjects": 3}, "give either 'shape', or both"),
        ({"reader": "simulated", "psg_hours": 2, "seed": 1}, "give either 'shape', or both"),
        (
            {"reader": "simulated", "psg_hours": 2, "shape": "demo"},
            "datasets.d.seed: the key 'seed' is missing; add it",
        ),
        (
            {"reader": "simulated", "psg_hours": 2, "seed": 1, "shape": "sleep-edf-30"},
            "nearest known .* 'sleep-edf-20'",
        ),
        ({"reader": "sleep_edf_cassette"}, "datasets.d.subjects: the key 'subjects' is missing"),
        ({"reader": "sleep_edf_cassette", "subjects": 0}, "datasets.d.subjects: found 0"),
        ({"reader": "sleep_edf_cassette", "subjects": 2, "simulated": True}, "a rehearsal has a table of its own"),
        ({"reader": "sleep_edf_cassette", "subjects": 2, "table": "x.csv"}, "table x.csv with simulated: false"),
    ],
)
def test_wrong_definitions(definition: dict, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        open_dataset("d", definition, {})


def receipt(id: str, sha256: str) -> dict:
    return {"recording": id, "psg": {"path": "p", "bytes": 7, "sha256": sha256}}


def test_receipts_say_the_checksums_of_recordings() -> None:
    unknown, known = (
        Recording("a", "1", 1, (SourceFile("psg", "a"),)),
        Recording("b", "1", 2, (SourceFile("psg", "b", "2"),)),
    )
    found = with_checksums([unknown, known], {"a": receipt("a", "1"), "b": receipt("b", "2")})
    assert [one.files for one in found] == [(SourceFile("psg", "a", "1", 7),), (SourceFile("psg", "b", "2", 7),)]
    with pytest.raises(BenchmarkError, match="recording a: no receipt of its file a; fetch it again"):
        with_checksums([unknown], {})
    with pytest.raises(BenchmarkError, match="recording b: its receipt is of a file b with SHA-256 3, expected 2"):
        with_checksums([known], {"b": receipt("b", "3")})


def test_an_unknown_recording() -> None:
    with pytest.raises(BenchmarkError, match="d: recording SC4999 is not among its 3 recordings"):
        open_dataset("d", SIMULATED, {}).recording("SC4999")

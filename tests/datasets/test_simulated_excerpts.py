import numpy as np
import pytest

from sleepbench.datasets import open_dataset
from sleepbench.datasets.base import write_receipt
from sleepbench.preparation.prepare import prepare_recording

COHORT = {"subjects": 1, "single_night_subjects": [0], "psg_hours": 1.75, "seed": 4}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The same night whole and in excerpts, as prepared."""
    root, found = tmp_path_factory.mktemp("excerpts"), {}
    for reader in ("simulated", "simulated_excerpts"):
        dataset = open_dataset(reader, {"reader": reader, **COHORT}, {})
        (recording,) = dataset.recordings()
        receipt = dataset.fetch(recording, root / "raw")
        write_receipt(root / "receipt.json", receipt)
        (root / reader).mkdir()
        summary = prepare_recording(dataset, receipt, root / reader / "night.npy")
        found[reader] = summary, np.load(root / reader / "night.npy"), dataset
    return found


def test_excerpts_are_the_first_five_seconds_of_the_epochs(prepared):
    (whole, signals, _), (cut, excerpts, dataset) = prepared["simulated"], prepared["simulated_excerpts"]
    assert cut["epochs_in_night"] == whole["epochs_in_night"] and cut["samples_per_epoch"] == 500
    assert cut["trimmings"]["standard"] == whole["trimmings"]["standard"]
    n = cut["trimmings"]["standard"]["epochs"]
    assert excerpts.shape == (n, 1, 500) and cut["psg_seconds"] == whole["psg_seconds"]
    # Of the epochs that any trimming keeps of the whole night, those of the standard one.
    places = [i for i in range(len(signals)) if any(np.array_equal(signals[i, 0, :500], one[0]) for one in excerpts)]
    assert len(places) == n
    assert dataset.label.simulated and "first 5 s" in dataset.label.warning and "SIMULATED" in dataset.label.warning


def test_they_are_the_people_of_a_cohort_of_the_same_seed(prepared):
    people = [dataset.person(dataset.recordings()[0]) for _, _, dataset in prepared.values()]
    assert people == ["simulated person 0 of seed 4"] * 2

"""Both engines on simulated nights, with everything on: they differ by less than seeds do."""

import numpy as np
import pytest
import torch
from sleepbench.training.recipe import Recipe

from sleepbench.models import create_model, describe
from sleepbench.signals.prepare import load_prepared, prepare_recording
from sleepbench.simulation.cohort import simulate_cohort
from sleepbench.training.engines import ENGINES
from sleepbench.training.epochs import epoch_set
from sleepbench.training.loop import train

CHANNELS = ["EEG Fpz-Cz"]
FOLD = {"train": ["SC4001", "SC4011", "SC4021"], "validation": [], "test": ["SC4031"]}
RELEASED = Recipe(
    "r", learning_rate=1e-3, schedule="cosine_restarts", batch_size=32, training_epochs=5,
    amsgrad=True, epsilon=1e-7, first_cycle_steps=10, cycle_multiplier=2,
)  # fmt: skip
SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    raw, prepared = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("prepared")
    ids = [id for part in FOLD.values() for id in part]
    for recording in simulate_cohort(raw, raw / "recordings.csv", ids, 2, 5):
        files = (raw / recording.psg, raw / recording.hypnogram)
        prepare_recording(recording, *files, CHANNELS, prepared / f"{recording.id}.npy", simulated=True)
    return {
        name: epoch_set([load_prepared(prepared / f"{id}.npy") for id in part], CHANNELS, "standard")
        for name, part in FOLD.items()
    }


def test_engines_differ_by_less_than_seeds_do(sets):
    torch.set_num_threads(1)
    columns = ("train_loss", "train_accuracy")  # of the fifth training epoch; the test set is one short night
    found = {}
    for engine in ENGINES:
        for seed in SEEDS:
            torch.manual_seed(seed)
            model = create_model("ulw_sleepnet", len(CHANNELS))
            training = train(model, RELEASED, sets, seed, engine, describe("ulw_sleepnet"), lambda line: None)
            found[engine, seed] = [training.history[-1][column] for column in columns]
    values = np.array([[found[engine, seed] for seed in SEEDS] for engine in ENGINES])  # (engine, seed, column)
    # From the same initial weights. Half of what seeds do: an engine that forgot dropout would be at 0.8 of it.
    between_engines = np.abs(values[0] - values[1]).max(axis=0)
    between_seeds = np.ptp(values, axis=1).max(axis=0)
    assert (between_engines <= between_seeds / 2).all(), (between_engines, between_seeds)
    assert (values[..., 0] < np.log(5)).all() and (np.ptp(values, axis=1) > 0).all()

"""Both engines on simulated nights, with everything on: they differ by less than seeds do."""

import numpy as np
import pytest
import torch
from edf_files import files_of
from fake_models import ULW_RECIPE, recipe_of

from sleepbench.datasets import open_dataset
from sleepbench.models import create_model, describe
from sleepbench.preparation.prepare import prepare_recording
from sleepbench.protocols.folds import Fold
from sleepbench.training.engines import ENGINES
from sleepbench.training.epochs import fold_sets
from sleepbench.training.loop import train

FOLD = Fold(train=("SC4001", "SC4011", "SC4021"), validation=(), test=("SC4031",))
RECIPE = recipe_of(ULW_RECIPE | {"training_epochs": 5})
SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    raw, prepared = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("prepared")
    settings = {"subjects": 4, "single_night_subjects": [0, 1, 2, 3], "psg_hours": 2, "seed": 5}
    dataset = open_dataset("nights", {"reader": "simulated", **settings}, {})
    paths = {recording.id: prepared / f"{recording.id}.npy" for recording in dataset.recordings()}
    for recording in dataset.recordings():
        prepare_recording(dataset, dataset.fetch(recording, raw), paths[recording.id])
    info = describe("ulw_sleepnet")
    files = {id: files_of(path) for id, path in paths.items()}
    return fold_sets([FOLD], files, ["eeg1"], "standard", info.input_transformation)[0]


@pytest.mark.slow
def test_engines_differ_by_less_than_seeds_do(sets):
    torch.set_num_threads(1)
    columns = ("train_loss", "train_accuracy")  # of the fifth training epoch; the test set is one short night
    found = {}
    for engine in ENGINES:
        for seed in SEEDS:
            torch.manual_seed(seed)
            model = create_model("ulw_sleepnet", 1)
            training = train(model, RECIPE, sets, seed, engine, describe("ulw_sleepnet"), lambda line: None)
            found[engine, seed] = [training.history[-1][column] for column in columns]
    values = np.array([[found[engine, seed] for seed in SEEDS] for engine in ENGINES])  # (engine, seed, column)
    # From the same initial weights. Half of what seeds do: an engine that forgot dropout would be at 0.8 of it.
    between_engines = np.abs(values[0] - values[1]).max(axis=0)
    between_seeds = np.ptp(values, axis=1).max(axis=0)
    assert (between_engines <= between_seeds / 2).all(), (between_engines, between_seeds)
    assert (values[..., 0] < np.log(5)).all() and (np.ptp(values, axis=1) > 0).all()

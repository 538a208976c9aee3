"""Made-up results whose folds have weights, made once and copied."""

import contextlib
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "runs"))

import pytest
import torch
from fake_bundles import HMM
from fake_results import sign_again
from planned_results import CLEAN, FOLDS, PlannedResults

from sleepbench.config import paths
from sleepbench.core.files import sha256_of_file, write_document
from sleepbench.models import create_model


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """Whole results of the protocol clean with weights, smoothed; not to be changed."""
    root = tmp_path_factory.mktemp("trained")
    with contextlib.chdir(root), contextlib.redirect_stdout(None):
        results = PlannedResults(root)
        results.train_all([CLEAN])
        for fold in range(FOLDS):
            directory = results.directory(CLEAN, fold)
            torch.manual_seed(fold)
            torch.save({2: create_model("ulw_sleepnet", 4).state_dict()}, directory / "weights.pt")
            sign_again(directory)
            smoothed = Path(paths.smoothed(results.run(CLEAN, fold).training, "best_validation"))
            smoothed.mkdir(parents=True)
            record = sha256_of_file(directory / "training.json")
            write_document(smoothed / "hmm.json", {**HMM, "training_json_sha256": record})
    return results


@pytest.fixture
def trained(trained_once, tmp_path, monkeypatch):
    """The same, to be changed; the current directory is theirs."""
    shutil.copytree(trained_once.root, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return trained_once

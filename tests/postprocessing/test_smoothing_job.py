from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from edf_files import files_of
from fake_models import recipe_of
from scipy.signal import savgol_filter
from synthetic_night import ROLES, write_night

from sleepbench.config.keys import TrainingKey
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_file, sha256_of_json, write_document
from sleepbench.models import create_model
from sleepbench.postprocessing.hmm import HiddenMarkovModel, viterbi
from sleepbench.postprocessing.job import SmoothingJob, smooth
from sleepbench.training.job import TrainingJob, train

RECIPE = {
    **{"optimizer": "adam", "amsgrad": False, "epsilon": 1e-8, "learning_rate": 1e-2},
    **{"schedule": "cosine", "batch_size": 16, "training_epochs": 2},
}
LENGTHS = (9, 3, 12)
"""Epochs between the gaps of every night."""


def write_gaps(path):
    """Move the epochs of a night apart, so that there are gaps between LENGTHS."""
    table = pd.read_csv(path.with_suffix(".epochs.csv"))
    table["epoch"] += np.repeat(4 * np.arange(len(LENGTHS)), LENGTHS)
    table["onset_s"] = 30 * table.epoch
    table.to_csv(path.with_suffix(".epochs.csv"), index=False)


class Work:
    """Four nights with gaps, folds by subject, and one trained fold."""

    def __init__(self, root, model="ulw_sleepnet", trimming="standard"):
        ids = ["SC4001", "SC4002", "SC4011", "SC4021"]
        self.nights = {id: write_night(root, id, sum(LENGTHS), seed) for seed, id in enumerate(ids)}
        for path in self.nights.values():
            write_gaps(path)
        self.fold = {"train": ids[2:], "validation": [], "test": ids[:2]}
        self.folds, self.training, self.output = root / "folds.json", root / "out" / "fold-0", root / "smoothed"
        document = {"dataset": "d", "name": "f", "data_sha256": "0" * 64, "folds": [self.fold]}
        write_document(self.folds, document | {"folds_sha256": sha256_of_json([self.fold])})
        key = TrainingKey("d", "f", trimming, model, "some", "r", 7, 0)
        train(
            TrainingJob(
                {key: self.training}, self.folds, self.prepared, recipe_of(RECIPE), ROLES, engine="fast", device="cpu",
                threads=1, code_sha256="c", provenance={"simulated": True},
            )
        )  # fmt: skip
        self.predictions, self.parameters = self.output / "predictions.parquet", self.output / "hmm.json"

    @property
    def prepared(self):
        """The nights as an index of now lists them."""
        return {id: files_of(path) for id, path in self.nights.items()}

    def smooth(self, selection="last"):
        """The smoothed predictions and their parameters."""
        smooth(
            SmoothingJob(
                self.training, selection, self.folds, self.prepared, self.output, device="cpu", threads=1,
                code_sha256="s", provenance={"simulated": True, "git_commit": "unknown"},
            )
        )  # fmt: skip
        return pd.read_parquet(self.predictions), read_json(self.parameters)

    def plain(self):
        return pd.read_parquet(self.training / "last" / "predictions.parquet")


@pytest.fixture
def work(tmp_path):
    return Work(tmp_path)


def pieces(table: pd.DataFrame) -> list[pd.DataFrame]:
    """A table of epochs, cut where the recording changes or epochs are missing."""
    borders = (table.recording != table.recording.shift()) | (table.epoch != table.epoch.shift() + 1)
    return [piece for _, piece in table.groupby(borders.cumsum())]


def filtered_stages(probabilities: np.ndarray) -> np.ndarray:
    """Of one unbroken run of epochs."""
    if len(probabilities) >= 5:
        probabilities = savgol_filter(probabilities.astype(float), 5, 2, axis=0)
    return probabilities.argmax(axis=1)


def of_json(document: dict) -> HiddenMarkovModel:
    return HiddenMarkovModel(*(np.array(document[name]) for name in ("initial", "transition", "emission")))


def test_parameters_are_counted_on_the_training_recordings_alone(work):
    _, document = work.smooth()
    network = create_model("ulw_sleepnet", len(ROLES)).eval()
    network.load_state_dict(torch.load(work.training / "weights.pt", weights_only=True)[2])
    initial, transition, emission = np.ones(5), np.ones((5, 5)), np.ones((5, 5))
    for id in work.fold["train"]:
        table = pd.read_csv(work.nights[id].with_suffix(".epochs.csv")).assign(recording=id)
        with torch.inference_mode():
            probabilities = network(torch.from_numpy(np.load(work.nights[id]))).softmax(dim=1).numpy()
        assert [len(piece) for piece in pieces(table)] == list(LENGTHS)
        for piece in pieces(table):
            scored = piece.stage.tolist()
            initial[scored[0]] += 1
            for before, after in pairwise(scored):
                transition[before, after] += 1
            for true, seen in zip(scored, filtered_stages(probabilities[piece.index]), strict=True):
                emission[true, seen] += 1
    assert np.allclose(document["initial"], initial / initial.sum())
    assert np.allclose(document["transition"], transition / transition.sum(axis=1, keepdims=True))
    assert np.allclose(document["emission"], emission / emission.sum(axis=1, keepdims=True))
    assert document["estimated_on"] == {
        "recordings": work.fold["train"],
        "segments": len(LENGTHS) * len(work.fold["train"]),
        "epochs": sum(LENGTHS) * len(work.fold["train"]),
    }


def test_each_unbroken_run_of_epochs_is_decoded_by_itself(work):
    smoothed, document = work.smooth()
    plain = work.plain()
    expected = [
        viterbi(of_json(document), filtered_stages(piece.filter(like="p_").to_numpy())) for piece in pieces(plain)
    ]
    assert [len(stages) for stages in expected] == list(LENGTHS) * len(work.fold["test"])
    assert smoothed.predicted.tolist() == np.concatenate(expected).tolist()
    assert smoothed.drop(columns="predicted").equals(plain[smoothed.columns[:-1]])
    assert smoothed.attrs == {"simulated": True} and not [name for name in smoothed if name.startswith("p_")]


def test_epochs_without_neighbours_have_none(tmp_path):
    """The authors' trimming of these nights has every other epoch."""
    work = Work(tmp_path, trimming="authors")
    smoothed, document = work.smooth()
    model = of_json(document)
    assert np.allclose(model.transition, 0.2)
    one_by_one = [(model.initial * model.emission[:, seen]).argmax() for seen in work.plain().predicted]
    assert smoothed.predicted.tolist() == one_by_one


def test_test_recordings_decide_no_parameter(work):
    _, before = work.smooth()
    for id in work.fold["test"]:
        path = work.nights[id].with_suffix(".epochs.csv")
        table = pd.read_csv(path)
        table.assign(stage=4 - table.stage).to_csv(path, index=False)
        np.save(work.nights[id], -np.load(work.nights[id]))
    assert work.smooth()[1] == before


def test_the_run_and_the_files_are_named(work):
    _, document = work.smooth()
    record = read_json(work.training / "training.json")
    assert document["run_key"] == record["runs"]["last"]["run_key"]
    assert document["training_json_sha256"] == sha256_of_file(work.training / "training.json")
    assert document["files"] == {"predictions.parquet": sha256_of_file(work.predictions)}
    assert document["code_sha256"] == "s" and document["provenance"]["simulated"] is True
    assert sorted(path.name for path in work.predictions.parent.iterdir()) == ["hmm.json", "predictions.parquet"]
    assert {path.name for path in work.training.iterdir()} == {
        *("history.csv", "weights.pt", "training.json", "last", "best_test")
    }


def test_the_same_run_gives_the_same_bytes(work):
    work.smooth()
    before = work.predictions.read_bytes(), work.parameters.read_bytes()
    work.smooth()
    assert (work.predictions.read_bytes(), work.parameters.read_bytes()) == before


@pytest.mark.parametrize("model", ["of_windows", "of_nights", "centroids", "scaled"])
def test_models_of_sequences_and_estimators_are_smoothed_too(tmp_path, fake_models, model):
    work = Work(tmp_path, model=model)
    smoothed, _ = work.smooth()
    assert len(smoothed) == sum(LENGTHS) * len(work.fold["test"])


def test_runs_that_are_not_whole_are_refused(work):
    with pytest.raises(BenchmarkError, match="has no run of the selection 'best_validation': only"):
        work.smooth("best_validation")
    document = read_json(work.folds)
    write_document(work.folds, document | {"folds_sha256": "0" * 64})
    with pytest.raises(BenchmarkError, match="folds"):
        work.smooth()
    write_document(work.folds, document)
    night = work.nights[work.fold["test"][0]].with_suffix(".epochs.csv")
    table = pd.read_csv(night)
    table.assign(epoch=table.epoch + 1).to_csv(night, index=False)
    with pytest.raises(BenchmarkError, match="is not of the test epochs as they are prepared now"):
        work.smooth()
    (work.training / "weights.pt").write_bytes(b"")
    with pytest.raises(BenchmarkError, match=r"weights\.pt differs from what training\.json lists"):
        work.smooth()
    assert not work.parameters.exists() and not work.predictions.exists()

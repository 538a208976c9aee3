import itertools
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from edf_files import files_of
from fake_models import Centroids, recipe_of
from synthetic_night import PEOPLE, ROLES, write_night

from sleepbench.config.keys import TrainingKey
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_file, sha256_of_json, write_document
from sleepbench.evaluation.metrics import confusion_matrix, summary
from sleepbench.models import create_model
from sleepbench.models.kernels.fused import arrangement
from sleepbench.protocols.selection import SELECTION_RULES, SelectionRule
from sleepbench.training import job as module
from sleepbench.training import stack, timing
from sleepbench.training.estimators import from_state
from sleepbench.training.job import TrainingJob
from sleepbench.training.keys import is_finished, read_training, run_key, run_of, training_key
from sleepbench.training.loop import use_device

RECIPE = {
    "optimizer": "adam",
    "amsgrad": True,
    "epsilon": 1e-7,
    "learning_rate": 1e-3,
    "schedule": "cosine_restarts",
    "first_cycle_steps": 10,
    "cycle_multiplier": 2,
    "batch_size": 16,
    "training_epochs": 3,
}


def write_folds(path, assignment):
    """A fold file, as far as trainings read it, of (train, validation, test) for each fold."""
    names = ("train", "validation", "test")
    folds = [dict(zip(names, map(list, fold), strict=True)) for fold in assignment]
    document = {"dataset": "d", "name": "f", "data_sha256": "0" * 64, "folds_sha256": sha256_of_json(folds)}
    write_document(path, document | {"folds": folds})
    return path


@pytest.fixture
def folds(tmp_path):
    """Each of three subjects is tested once; one of the others validates."""
    first, second, third = ["SC4001", "SC4002"], ["SC4011"], ["SC4021"]
    assignment = [(third, second, first), (first, third, second), (second, first, third)]
    return write_folds(tmp_path / "folds.json", assignment)


def job_of(folds, nights, directory, numbers=(0,), **changes):
    """What a job is made of, as JSON, so that another process can be given it."""
    settings = {"trimming": "standard", "model": "ulw_sleepnet", "roles": list(ROLES), "seed": 7, "recipe": RECIPE}
    return {
        **{"folds": str(folds), "directory": str(directory), "numbers": list(numbers)},
        **{"nights": {id: str(path) for id, path in nights.items()}},
        **{"engine": "fast", "device": "cpu", "threads": 1, "code_sha256": "c", "receipt": None},
        **(settings | changes),
    }


def made(trimming, model, roles, seed, recipe, directory, numbers, folds, nights, receipt, **others):
    """The job that `job_of` says."""
    keys = [TrainingKey("d", "f", trimming, model, "some", "r", seed, number) for number in numbers]
    return TrainingJob(
        directories={key: Path(directory) / f"fold-{key.fold}" for key in keys},
        folds=Path(folds),
        prepared={id: files_of(Path(path)) for id, path in nights.items()},
        recipe=recipe_of(recipe),
        roles=tuple(roles),
        provenance={"simulated": True},
        receipt=Path(receipt) if receipt else None,
        **others,
    )


def train(folds, nights, directory, **changes):
    module.train(made(**job_of(folds, nights, directory, **changes)))


def test_a_fold_leaves_history_weights_predictions_and_metrics(folds, nights, tmp_path):
    train(folds, nights, tmp_path / "out", numbers=(0, 2), receipt=tmp_path / "out" / "stack-0-2.json")
    fold = tmp_path / "out" / "fold-0"
    record = read_training(fold)
    receipt = read_json(tmp_path / "out" / "stack-0-2.json")
    assert [training["fold"] for training in receipt["trainings"]] == [0, 2] and receipt["folds"] == "f"
    assert receipt["trainings"][0]["runs"] == {name: run["run_key"] for name, run in record["runs"].items()}
    test_recordings = read_json(folds)["folds"][0]["test"]
    history = pd.read_csv(fold / "history.csv")
    assert history["training_epoch"].tolist() == [1, 2, 3]
    assert record["n_epochs"]["test"] == 24 * len(test_recordings)
    assert set(record["runs"]) == {"best_test", "best_validation", "last"}
    assert record["environment"]["arrangement"] == arrangement()
    assert record["runs"]["best_validation"]["training_epoch"] == 1 + history["validation_accuracy"].argmax()
    weights = torch.load(fold / "weights.pt", weights_only=True)
    assert set(weights) == {run["training_epoch"] for run in record["runs"].values()}
    for selection, run in record["runs"].items():
        predictions = pd.read_parquet(fold / selection / "predictions.parquet")
        assert sorted(predictions["recording"].unique()) == test_recordings
        people = predictions[["recording", "subject", "night"]].drop_duplicates().itertuples(index=False)
        assert {id: (subject, night) for id, subject, night in people} == {id: PEOPLE[id] for id in test_recordings}
        assert (predictions["onset_s"] == 30 * predictions["epoch"]).all()
        probabilities = predictions.filter(like="p_")
        assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
        assert (probabilities.to_numpy().argmax(axis=1) == predictions["predicted"]).all()
        metrics = read_json(fold / selection / "metrics.json")
        expected = summary(confusion_matrix(predictions["stage"].to_numpy(), predictions["predicted"].to_numpy()))
        assert metrics["accuracy"] == expected["accuracy"] == history["test_accuracy"][run["training_epoch"] - 1]
        assert metrics["cohen_kappa"] == pytest.approx(expected["cohen_kappa"])


def test_the_record_says_where_the_time_went(folds, nights, tmp_path):
    train(folds, nights, tmp_path / "out", numbers=(0, 1))
    records = [read_json(tmp_path / "out" / f"fold-{fold}" / "training.json") for fold in (0, 1)]
    for record in records:
        timing, n = record["timing"], record["n_epochs"]
        assert timing["epochs_trained"] == 3 * n["train"]
        assert timing["epochs_evaluated"] == 3 * (n["validation"] + n["test"])
        seconds = [timing[kind] for kind in ("waiting_for_data_s", "training_s", "evaluation_s")]
        assert min(seconds) > 0 and sum(seconds) < record["duration_s"] + 0.05  # which has one decimal: none twice
        assert timing["to_first_step_s"] > 0
        assert 0 <= time.time() - datetime.fromisoformat(record["ended"]).timestamp() < 600


def test_time_is_counted_where_it_is_spent(folds, nights, tmp_path, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(timing, "time", SimpleNamespace(monotonic=lambda: next(ticks), time=lambda: 50.0))
    train(folds, nights, tmp_path / "out")
    counted = read_json(tmp_path / "out" / "fold-0" / "training.json")["timing"]
    # A second for each look at the clock: two batches and two sets to evaluate in each of three training epochs.
    assert [counted[kind] for kind in ("waiting_for_data_s", "training_s", "evaluation_s")] == [6, 6, 6]


def test_saved_weights_repeat_the_predictions(folds, nights, tmp_path):
    train(folds, nights, tmp_path / "out")
    fold = tmp_path / "out" / "fold-0"
    predictions = pd.read_parquet(fold / "last" / "predictions.parquet")
    model = create_model("ulw_sleepnet", len(ROLES)).eval()
    model.load_state_dict(torch.load(fold / "weights.pt", weights_only=True)[3])
    signals = np.concatenate([np.load(nights[id]) for id in predictions["recording"].unique()])
    with torch.inference_mode():
        probabilities = model(torch.from_numpy(signals)).softmax(dim=1).numpy()
    assert np.allclose(probabilities, predictions.filter(like="p_"), atol=1e-6)


def test_same_seed_same_bytes_and_another_seed_others(folds, nights, tmp_path):
    def predictions(name: str, seed: int) -> bytes:
        train(folds, nights, tmp_path / name, seed=seed)
        return (tmp_path / name / "fold-0" / "best_test" / "predictions.parquet").read_bytes()

    assert predictions("first", 1) == predictions("second", 1) != predictions("third", 2)


def test_finished_fold_is_kept_and_only_that(folds, nights, tmp_path, capsys):
    out = tmp_path / "out"
    train(folds, nights, out)
    before = (out / "fold-0" / "training.json").stat().st_mtime_ns
    train(folds, nights, out, numbers=(0, 1))  # a regrouping trains what is missing
    assert (out / "fold-0" / "training.json").stat().st_mtime_ns == before
    assert "fold 0: finished before" in capsys.readouterr().out
    record = read_json(out / "fold-0" / "training.json")
    assert is_finished(out / "fold-0", record["settings"], "c")
    assert not is_finished(out / "fold-0", record["settings"], "other code")
    assert not is_finished(out / "fold-0", {**record["settings"], "seed": 8}, "c")
    assert not is_finished(out / "fold-9", record["settings"], "c")
    (out / "fold-0" / "last" / "metrics.json").write_text("{}")
    assert not is_finished(out / "fold-0", record["settings"], "c")
    train(folds, nights, out)
    assert is_finished(out / "fold-0", record["settings"], "c")


def test_what_a_killed_job_left_is_replaced(folds, nights, tmp_path):
    partial = tmp_path / "out" / ".fold-0.partial"
    partial.mkdir(parents=True)
    (partial / "half.csv").write_text("x")
    train(folds, nights, tmp_path / "out")
    assert not partial.exists()
    assert not (tmp_path / "out" / "fold-0" / "half.csv").exists()


def test_failed_fold_leaves_neither_directory_nor_receipt(folds, nights, tmp_path):
    with pytest.raises(BenchmarkError, match="was prepared without eeg2, it has"):
        train(folds, nights, tmp_path / "out", roles=["eeg2"], receipt=tmp_path / "out" / "stack-0.json")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_keys_tell_runs_and_trainings_apart(folds, nights, tmp_path):
    train(folds, nights, tmp_path / "out", numbers=(0, 1))
    records = [read_json(tmp_path / "out" / f"fold-{fold}" / "training.json") for fold in (0, 1)]
    keys = {run["run_key"] for record in records for run in record["runs"].values()}
    assert len(keys) == 6
    settings = records[0]["settings"]
    assert records[0]["training_key"] == training_key(settings) != training_key({**settings, "seed": 8})
    assert records[0]["runs"]["last"]["run_key"] == run_key(settings, "last")


def test_a_network_that_can_learn_does(folds, nights, tmp_path):
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    train(folds, nights, tmp_path / "out", recipe={**RECIPE, "training_epochs": 15})
    history = pd.read_csv(tmp_path / "out" / "fold-0" / "history.csv")
    assert history["train_loss"].iloc[-1] < 0.6 * history["train_loss"].iloc[0]


COMMON = {"learning_rate": 1e-2, "schedule": "cosine", "batch_size": 16, "training_epochs": 2}


@pytest.mark.parametrize("model", ["of_windows", "of_nights", "centroids"])
def test_models_of_sequences_and_estimators_leave_the_same_files(folds, nights, tmp_path, fake_models, model):
    train(folds, nights, tmp_path / "first", model=model, recipe=COMMON)
    train(folds, nights, tmp_path / "second", model=model, recipe=COMMON)
    fold = tmp_path / "first" / "fold-0"
    record, history = read_json(fold / "training.json"), pd.read_csv(fold / "history.csv")
    assert set(record["runs"]) == {"best_test", "best_validation", "last"}
    for selection, run in record["runs"].items():
        predictions = pd.read_parquet(fold / selection / "predictions.parquet")
        test_recordings = read_json(folds)["folds"][0]["test"]
        assert predictions["recording"].tolist() == [id for id in test_recordings for _ in range(24)]
        assert predictions["epoch"].tolist() == [*range(10, 34)] * len(test_recordings)
        assert (predictions.filter(like="p_").dtypes == np.float32).all()
        accuracy = history["test_accuracy"][run["training_epoch"] - 1]
        assert read_json(fold / selection / "metrics.json")["accuracy"] == accuracy
    for name in ("history.csv", "last/predictions.parquet", "weights.pt"):
        assert (fold / name).read_bytes() == (tmp_path / "second" / "fold-0" / name).read_bytes()


def test_an_estimator_has_one_training_epoch_and_its_bytes_are_kept(folds, nights, tmp_path, fake_models):
    train(folds, nights, tmp_path / "out", model="centroids")  # a recipe with cycles
    fold = tmp_path / "out" / "fold-0"
    record, history = read_json(fold / "training.json"), pd.read_csv(fold / "history.csv")
    assert history["training_epoch"].tolist() == [1]
    assert history["learning_rate"].isna().all()
    assert history[["train_loss", "train_accuracy", "validation_loss", "test_loss"]].notna().all(axis=None)
    assert {name: run["training_epoch"] for name, run in record["runs"].items()} == dict.fromkeys(
        ("best_test", "best_validation", "last", "cycle_end"), 1
    )
    assert record["environment"]["device"].startswith("cpu")
    assert record["environment"]["arrangement"] == "PyTorch"
    assert record["remarks"] == ["centroids is fitted in one go: the recipe r sets nothing of it"]
    (state,) = torch.load(fold / "weights.pt", weights_only=True).values()
    estimator = from_state(state, Centroids(len(ROLES)))
    assert estimator.seed == 7
    predictions = pd.read_parquet(fold / "last" / "predictions.parquet")
    signals = np.concatenate([np.load(nights[id]) for id in predictions["recording"].unique()])
    assert np.allclose(estimator.predict_proba(signals), predictions.filter(like="p_"), atol=1e-6)


def test_an_estimator_that_does_not_repeat_its_predictions_is_an_error(
    folds, nights, tmp_path, fake_models, monkeypatch
):
    """As when not all that it learnt is part of its pickle."""
    monkeypatch.setattr(Centroids, "__getstate__", lambda self: {"n_classes": 5, "centroids": np.zeros(5)}, False)
    with pytest.raises(BenchmarkError, match="do not repeat its predictions"):
        train(folds, nights, tmp_path / "out", model="centroids")


def test_a_first_phase_leaves_its_history(folds, nights, tmp_path, fake_models):
    phase = {"model": "of_epochs", "submodule": "amplitudes", **COMMON, "training_epochs": 3}
    train(folds, nights, tmp_path / "out", model="of_windows", recipe=COMMON | {"pretrain": phase})
    fold = tmp_path / "out" / "fold-0"
    assert pd.read_csv(fold / "pretraining.csv")["training_epoch"].tolist() == [1, 2, 3]
    assert "pretraining.csv" in read_json(fold / "training.json")["files"]


def test_what_was_not_as_the_recipe_says_is_recorded(nights, tmp_path, fake_models, capsys):
    write_folds(tmp_path / "folds.json", [(["SC4011", "SC4021"], [], ["SC4001"])])
    train(tmp_path / "folds.json", nights, tmp_path / "out", model="of_windows", recipe=COMMON | {"patience": 1})
    (remark,) = read_json(tmp_path / "out" / "fold-0" / "training.json")["remarks"]
    assert "patience 1 of the recipe r is ignored: no validation subjects are held out" in remark
    assert remark in capsys.readouterr().out


@pytest.fixture
def stacks(monkeypatch):
    """This machine stacks folds, as a GPU does."""
    monkeypatch.setattr(stack, "SMALL_BATCH", math.inf)


def test_folds_of_a_stack_leave_the_same_files_as_alone(folds, nights, tmp_path, stacks, capsys):
    train(folds, nights, tmp_path / "stack", numbers=(0, 1, 2))
    assert "3 folds as one stack" in capsys.readouterr().out
    train(folds, nights, tmp_path / "alone", numbers=(1,))  # one fold is no stack
    assert "stack" not in capsys.readouterr().out
    fold, alone = (tmp_path / name / "fold-1" for name in ("stack", "alone"))
    assert contents(fold).keys() == contents(alone).keys()
    record, of_alone = read_json(fold / "training.json"), read_json(alone / "training.json")
    assert record["environment"].pop("stacked_folds") == [0, 1, 2]
    assert record["environment"] == of_alone["environment"]
    assert record.keys() == of_alone.keys() and record["training_key"] == of_alone["training_key"]
    history, of_alone = (pd.read_csv(path / "history.csv") for path in (fold, alone))
    assert history.columns.tolist() == of_alone.columns.tolist()
    assert history["learning_rate"].tolist() == of_alone["learning_rate"].tolist()
    for number in range(3):
        home = tmp_path / "stack" / f"fold-{number}"
        for selection, run in read_json(home / "training.json")["runs"].items():
            expected = pd.read_csv(home / "history.csv")["test_accuracy"][run["training_epoch"] - 1]
            assert read_json(home / selection / "metrics.json")["accuracy"] == expected


MISSING = NotImplementedError("Could not run 'aten::missing' with arguments from this backend\nmore")


def test_a_device_that_cannot_do_a_stack_trains_its_folds_one_by_one(
    folds, nights, tmp_path, stacks, capsys, monkeypatch
):
    """Also when a training epoch of the stack was kept already."""
    draw = stack.Stack.draw

    def failing(self):
        if self.completed == 1:
            raise MISSING
        return draw(self)

    train(folds, nights, tmp_path / "alone", numbers=(0,), engine="reference")
    capsys.readouterr()
    monkeypatch.setattr(stack.Stack, "draw", failing)
    train(folds, nights, tmp_path / "out", numbers=(0, 2))
    warnings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Warning")]
    assert warnings == [
        "Warning: no stack (Could not run 'aten::missing' with arguments from this backend): "
        "the folds are trained one after the other, slower"
    ]
    for number in (0, 2):
        environment = read_training(tmp_path / "out" / f"fold-{number}")["environment"]
        assert environment["engine"] == "reference" and environment["arrangement"] == "PyTorch"
        assert "stacked_folds" not in environment
    for name in ("history.csv", "weights.pt"):
        assert (tmp_path / "out/fold-0" / name).read_bytes() == (tmp_path / "alone/fold-0" / name).read_bytes()
    assert not list((tmp_path / "out").glob(".*checkpoint"))


def test_a_stack_without_memory_says_so(folds, nights, tmp_path, stacks, monkeypatch):
    def failing(self):
        raise torch.OutOfMemoryError("tried to allocate 3 GiB")

    monkeypatch.setattr(stack.Stack, "draw", failing)
    with pytest.raises(BenchmarkError, match="folds_per_job below 2"):
        train(folds, nights, tmp_path / "out", numbers=(0, 2))


def test_a_finished_fold_is_left_out_of_a_stack(folds, nights, tmp_path, stacks):
    train(folds, nights, tmp_path / "out", numbers=(1,))
    before = contents(tmp_path / "out" / "fold-1")
    train(folds, nights, tmp_path / "out", numbers=(0, 1, 2))
    assert contents(tmp_path / "out" / "fold-1") == before
    environment = read_json(tmp_path / "out" / "fold-2" / "training.json")["environment"]
    assert environment["stacked_folds"] == [0, 2]


def test_models_without_a_stacked_form_train_fold_by_fold(folds, nights, tmp_path, stacks, fake_models, capsys):
    train(folds, nights, tmp_path / "out", model="of_epochs", numbers=(0, 1), recipe=COMMON)
    assert "stack" not in capsys.readouterr().out
    assert (tmp_path / "out" / "fold-1" / "training.json").exists()


def test_a_stack_that_is_killed_is_resumed_and_ends_with_the_same_bytes(folds, nights, tmp_path, in_a_process):
    recipe = {**RECIPE, "training_epochs": 5}
    whole, killed = (job_of(folds, nights, tmp_path / name, (0, 1, 2), recipe=recipe) for name in ("whole", "killed"))
    in_a_process(whole, stacks=True)
    in_a_process(killed, kill_at=("lap", 12), stacks=True)  # five laps a training epoch, but six in the first
    assert (tmp_path / "killed" / ".stack-0-2.checkpoint").exists()
    output = in_a_process(killed, stacks=True)
    assert "resumes after training epoch 2," in output and "training epoch 1/5" not in output
    assert not list((tmp_path / "killed").glob(".*"))
    for fold in ("fold-0", "fold-1", "fold-2"):
        assert contents(tmp_path / "killed" / fold) == contents(tmp_path / "whole" / fold)


def test_a_stack_killed_between_its_finished_folds_trains_none_again(folds, nights, tmp_path, in_a_process):
    """Folds are put in their places one by one; here it is killed after the first, and again after the second."""
    whole, killed = (job_of(folds, nights, tmp_path / name, (0, 1, 2)) for name in ("whole", "killed"))
    in_a_process(whole, stacks=True)
    homes = [tmp_path / "killed" / f"fold-{fold}" for fold in range(3)]
    of_a_fold = len(read_json(tmp_path / "whole" / "fold-0" / "training.json")["runs"]) + 1  # metrics and a record
    in_a_process(killed, kill_at=("replace", RECIPE["training_epochs"] + 3 * of_a_fold + 2), stacks=True)
    for there, kill_at in ((1, ("replace", 2 * of_a_fold + 2)), (2, None)):
        assert [home.exists() for home in homes] == [True, there == 2, False]
        before = {path: path.stat().st_mtime_ns for home in homes for path in home.rglob("*")}
        output = in_a_process(killed, kill_at, stacks=True)
        assert "resumes after training epoch 3," in output and "training epoch 1/3" not in output
        assert output.count("finished before") == there
        assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not list((tmp_path / "killed").glob(".*"))
    for home in homes:
        assert contents(home) == contents(tmp_path / "whole" / home.name)
        assert read_json(home / "training.json")["environment"]["stacked_folds"] == [0, 1, 2]


def test_a_stack_killed_as_it_trained_leaves_out_what_was_finished_meanwhile(folds, nights, tmp_path, in_a_process):
    out = job_of(folds, nights, tmp_path / "out")
    in_a_process(out | {"numbers": [0, 1, 2]}, kill_at=("lap", 12), stacks=True)
    in_a_process(out | {"numbers": [1]})
    output = in_a_process(out | {"numbers": [0, 1, 2]}, stacks=True)
    assert "fold 1: finished before" in output and "2 folds as one stack" in output and "resumes" not in output


def test_a_checkpoint_of_other_folds_is_no_use_to_those_that_are_left(folds, nights, tmp_path, in_a_process):
    out = job_of(folds, nights, tmp_path / "out")
    in_a_process(out | {"numbers": [0, 1, 2]}, kill_at=("lap", 12), stacks=True)
    in_a_process(out | {"numbers": [1], "code_sha256": "d"})
    output = in_a_process(out | {"numbers": [0, 1, 2], "code_sha256": "d"}, stacks=True)
    assert "fold 1: finished before" in output and "2 folds as one stack" in output and "resumes" not in output
    assert not list((tmp_path / "out").glob(".*"))


def test_missing_gpu_is_an_error_that_says_what_to_set(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(BenchmarkError, match=r"training\.device is 'cuda', but torch finds no GPU"):
        use_device("cuda", 1)


TRAININGS = """
import itertools, json, math, os, signal, sys, traceback
import pyarrow.parquet, torch._dynamo  # which are imported when they are first used
from pathlib import Path
from types import SimpleNamespace
from test_job import made
from sleepbench.training import stack, timing
from sleepbench.training.job import train as train_job

def killing_at(n, function):
    calls = itertools.count(1)
    def replacement(*args, **kwargs):
        if next(calls) == n:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return replacement

def train(kill_at, stacks, environment, **job):
    os.environ.update(environment)
    if stacks:
        stack.SMALL_BATCH = math.inf
    if kill_at:
        what, n = kill_at
        of = {"lap": timing.Timing, "replace": Path}[what]
        setattr(of, what, killing_at(n, getattr(of, what)))
    ticks = itertools.count()
    timing.time = SimpleNamespace(monotonic=lambda: next(ticks), time=lambda: 0.0)
    train_job(made(**job))

for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(request.pop("output"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        try:
            train(**request)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def in_a_process(tmp_path_factory):
    """A function that runs a training whose clock advances by a second whenever it is read, and gives its output.

    kill_at : SIGKILL comes in the middle: when the clock is stopped ("lap") or a file is put in its place ("replace")
        for the n-th time

    Each training is a process of its own, forked from one that has imported PyTorch, which takes seconds.
    """
    path = tmp_path_factory.mktemp("outputs") / "output.txt"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    server = subprocess.Popen(
        [sys.executable, "-c", TRAININGS],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip

    def run(settings: dict, kill_at: tuple[str, int] | None = None, stacks: bool = False, **environment: str) -> str:
        request = {"kill_at": kill_at, "stacks": stacks, "environment": environment, "output": str(path)}
        server.stdin.write(json.dumps(settings | request) + "\n")
        server.stdin.flush()
        assert int(server.stdout.readline()) == (-signal.SIGKILL if kill_at else 0)
        return path.read_text()

    yield run
    server.stdin.close()
    assert server.wait() == 0


def contents(fold: Path) -> dict[str, bytes]:
    """The bytes of every file but training.json, which says how long it took."""
    return {
        str(path.relative_to(fold)): path.read_bytes()
        for path in fold.rglob("*")
        if path.is_file() and path.name != "training.json"
    }


# A training epoch of two batches has six laps, two of them evaluations; then its checkpoint is put in its place.
@pytest.mark.parametrize(
    ("kills", "resumes_after"),
    [
        pytest.param([("lap", 16), ("lap", 14)], [None, 2, 4], id="in an optimizer step, twice"),
        pytest.param([("lap", 6)], [None, None], id="before there is a checkpoint"),
        pytest.param([("replace", 3)], [None, 2], id="before the third checkpoint is in its place"),
        pytest.param([("replace", 8)], [None, 7], id="while results are written"),
    ],
)
def test_a_training_that_is_killed_is_resumed_and_ends_with_the_same_bytes(
    folds, nights, tmp_path, kills, resumes_after, in_a_process
):
    recipe = {"recipe": {**RECIPE, "training_epochs": 7, "augmentation": ["roll_10"]}}
    in_a_process(job_of(folds, nights, tmp_path / "whole", **recipe))
    settings = job_of(folds, nights, tmp_path / "killed", **recipe)
    for kill_at, completed in zip([*kills, None], resumes_after, strict=True):
        output = in_a_process(settings, kill_at)
        assert ("resumes after" in output) == (completed is not None)
        assert completed is None or f"resumes after training epoch {completed}," in output
        assert completed is None or "training epoch 1/7" not in output
        assert (tmp_path / "killed" / "fold-0").exists() == (kill_at is None)
    assert not list((tmp_path / "killed").glob(".*"))
    assert contents(tmp_path / "killed" / "fold-0") == contents(tmp_path / "whole" / "fold-0")
    killed, whole = (read_json(tmp_path / name / "fold-0/training.json") for name in ("killed", "whole"))
    assert killed["files"] == whole["files"] and killed["training_key"] == whole["training_key"]
    for record in (killed, whole):
        del record["timing"]["to_first_step_s"]  # of the process that ended it
    assert killed["timing"] == whole["timing"]  # each training epoch once, in whichever process


# With three learning rates the training epochs 1 to 3, 4 to 6 and 7 to 9 have checkpoints, and so has each end.
@pytest.mark.parametrize(
    ("kill_at", "lines"),
    [
        pytest.param(("replace", 6), ["rate 0.01, 2 of 3", "resumes after training epoch 1"], id="in the second"),
        pytest.param(("replace", 9), ["rate 1e-05, 3 of 3", "training epoch 1/3"], id="between two"),
    ],
)
def test_a_tuning_that_is_killed_is_resumed_and_ends_with_the_same_bytes(
    folds, nights, tmp_path, kill_at, lines, in_a_process
):
    recipe = {"recipe": {**RECIPE, "learning_rates": [1e-3, 1e-2, 1e-5]}}
    whole_output = in_a_process(job_of(folds, nights, tmp_path / "whole", **recipe))
    settings = job_of(folds, nights, tmp_path / "killed", **recipe)
    in_a_process(settings, kill_at)
    output = in_a_process(settings)
    assert all(line in output for line in lines)
    assert output.count("of 3\n") == 4 - int(lines[0][-6])
    assert output.splitlines()[-1] == whole_output.splitlines()[-1]
    assert contents(tmp_path / "killed" / "fold-0") == contents(tmp_path / "whole" / "fold-0")
    killed, whole = (read_json(tmp_path / name / "fold-0/training.json") for name in ("killed", "whole"))
    assert killed["tuning"] == whole["tuning"] and len(whole["tuning"]) == 3
    for record in (killed, whole):
        del record["timing"]["to_first_step_s"]
    assert killed["timing"] == whole["timing"]


@pytest.mark.parametrize("change", [{"code_sha256": "d"}, {"seed": 8}, {"threads": 2}, {"engine": "reference"}])
def test_a_checkpoint_of_something_else_is_no_use(folds, nights, tmp_path, change, in_a_process):
    in_a_process(job_of(folds, nights, tmp_path / "out"), kill_at=("lap", 15))
    output = in_a_process(job_of(folds, nights, tmp_path / "out", **change))
    assert "is of other settings, code, device, engine or threads: the training starts again" in output
    assert "training epoch 1/3" in output and not (tmp_path / "out" / ".fold-0.checkpoint").exists()


def test_a_checkpoint_of_the_kernel_is_no_use_to_pytorch(folds, nights, tmp_path, in_a_process):
    if arrangement() == "PyTorch":
        pytest.skip("there is no C compiler")
    in_a_process(job_of(folds, nights, tmp_path / "out"), kill_at=("lap", 15))
    output = in_a_process(job_of(folds, nights, tmp_path / "out"), CC="false")
    assert "the training starts again" in output and "training epoch 1/3" in output
    assert read_json(tmp_path / "out/fold-0/training.json")["environment"]["arrangement"] == "PyTorch"


TUNED = {**RECIPE, "learning_rates": [1e-3, 1e-2]}
PHASE = {"model": "ulw_sleepnet", "submodule": "output", **RECIPE}


@pytest.mark.parametrize(
    ("kind", "numbers", "recipe"),
    [
        ("alone", (0,), RECIPE),
        ("tuned", (0,), TUNED),
        ("pretrained", (0,), RECIPE | {"pretrain": PHASE | {"training_epochs": 2}}),
        ("stack", (0, 1, 2), RECIPE),
    ],
)
def test_a_damaged_checkpoint_of_any_kind_is_dropped_and_the_training_ends_with_the_same_bytes(
    folds, nights, tmp_path, kind, numbers, recipe, in_a_process
):
    whole, killed = (job_of(folds, nights, tmp_path / name, numbers, recipe=recipe) for name in ("whole", "killed"))
    in_a_process(whole, stacks=kind == "stack")
    in_a_process(killed, kill_at=("replace", 3), stacks=kind == "stack")  # as the third checkpoint is put in its place
    (checkpoint,) = (tmp_path / "killed").glob(".[fs]*-[0-2].checkpoint")
    content = bytearray(checkpoint.read_bytes())
    content[2 * len(content) // 3] ^= 16
    checkpoint.write_bytes(content)
    output = in_a_process(killed, stacks=kind == "stack")
    assert output.count("is damaged or no checkpoint, and is dropped: the training starts again") == 1
    assert "resumes" not in output and not list((tmp_path / "killed").glob(".*"))
    for number in numbers:
        assert contents(tmp_path / "killed" / f"fold-{number}") == contents(tmp_path / "whole" / f"fold-{number}")


# ------------------------------------------------------------------------------------ finished folds that are damaged


def test_a_damaged_fold_is_named_and_trained_again(folds, nights, tmp_path, capsys):
    """By running again; or by what the message says to delete first."""
    out = tmp_path / "out"
    train(folds, nights, out, receipt=out / "stack-0-0.json")
    fold, before = out / "fold-0", contents(out / "fold-0")
    random, whole = np.random.default_rng(3), (fold / "training.json").read_bytes()
    damaged = [("training.json", whole[: len(whole) // 2]), ("weights.pt", b""), ("history.csv", b"")]
    for bit in random.integers(8 * len(whole), size=20):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(("training.json", bytes(flipped)))
    record = read_json(fold / "training.json")
    remedy = f"delete {fold} and {out}/stack-0-0.json and run again: this fold is trained again"
    for name, content in damaged:
        kept = (fold / name).read_bytes()
        (fold / name).write_bytes(content)
        with pytest.raises(BenchmarkError) as refused:
            read_training(fold)
        assert str(fold) in str(refused.value) and str(refused.value).endswith(remedy)
        said = []
        assert not is_finished(fold, record["settings"], "c", said.append)
        assert len(said) == 1 and name in said[0]
        (fold / name).write_bytes(kept)
    (fold / "training.json").write_bytes(damaged[-1][1])
    train(folds, nights, out)
    assert "fold 0: is trained again, for" in capsys.readouterr().out
    assert contents(fold) == before and read_training(fold)["runs"] == record["runs"]


def test_a_record_that_its_receipt_does_not_list_is_refused(folds, nights, tmp_path):
    """It is whole, but another than the job left: of another time, or of somebody else."""
    out = tmp_path / "out"
    train(folds, nights, out, numbers=(0, 1), receipt=out / "stack-0-1.json")
    record = out / "fold-1" / "training.json"
    whole = record.read_bytes()
    write_document(record, read_json(record) | {"duration_s": 1.0})
    with pytest.raises(BenchmarkError, match=r"is not the one that .*stack-0-1\.json lists: delete .*fold-1 and "):
        read_training(out / "fold-1")
    assert read_training(out / "fold-0")["settings"]["fold"] == 0
    record.write_bytes(whole)
    (out / "stack-0-1.json").write_text("{}")
    with pytest.raises(
        BenchmarkError, match=r"stack-0-1\.json: is no document.*; delete it and run again: it is written"
    ):
        read_training(out / "fold-1")
    (out / "stack-0-1.json").unlink()
    train(folds, nights, out, numbers=(0, 1), receipt=out / "stack-0-1.json")
    assert read_training(out / "fold-1") == read_training(out / "fold-1")


def test_a_fold_that_is_trained_in_another_group_leaves_no_receipt_that_it_contradicts(folds, nights, tmp_path):
    out = tmp_path / "out"
    train(folds, nights, out, numbers=(0, 1), receipt=out / "stack-0-1.json")
    train(folds, nights, out, numbers=(1,), seed=8)
    assert not (out / "stack-0-1.json").exists()
    assert read_training(out / "fold-1")["settings"]["seed"] == 8


def test_prepared_files_that_were_changed_are_not_trained_on(folds, nights, tmp_path):
    """All of them are noticed before anything is written; each is hashed once for all folds."""
    here = {id: shutil.copy(path, tmp_path) for id, path in nights.items()}
    for path in nights.values():
        for suffix in (".epochs.csv", ".json"):
            shutil.copy(path.with_suffix(suffix), tmp_path)
    job = made(**job_of(folds, here, tmp_path / "out", (0, 1, 2)))
    signals = np.load(here["SC4011"], mmap_mode="r+")
    signals[3, 0, 5] += 1e-3
    signals.flush()
    with pytest.raises(BenchmarkError, match=r"SC4011\.npy: was changed since it was written: .*; delete .* run again"):
        module.train(job)
    assert not list((tmp_path / "out").glob("*"))


# ------------------------------------------------------------------------------------------- numbers that are none


@pytest.fixture
def with_a_nan(nights, tmp_path):
    """Nights, of which SC4011 has samples that are no numbers: none are prepared, but a network may make them."""
    for path in nights.values():
        for suffix in (".npy", ".epochs.csv", ".json"):
            shutil.copy(path.with_suffix(suffix), tmp_path)
    signals = np.load(tmp_path / "SC4011.npy")
    signals[0, :, 7] = np.nan
    np.save(tmp_path / "SC4011.npy", signals)
    return {id: tmp_path / path.name for id, path in nights.items()}


LOSS = r"the training loss is nan in step \d of 2 of training epoch 1"
PROBABILITIES = r"1 of 24 epochs have probabilities that are not finite"
TRY = r"; nothing of it is written. What to try: a lower recipes\.r\.learning_rate, or recipes\.r\.clip_norm"


@pytest.mark.parametrize(
    ("model", "numbers", "message"),
    [
        ("ulw_sleepnet", (2,), rf"fold 2, recipe r: {LOSS}"),
        ("ulw_sleepnet", (0,), rf"fold 0, recipe r: {PROBABILITIES} after training epoch 1"),
        ("ulw_sleepnet", (0, 1, 2), rf"fold 2, recipe r: {LOSS}"),  # as a stack
        ("ulw_sleepnet", (1, 0), rf"fold 0, recipe r: {PROBABILITIES} after training epoch 1"),  # 0 validates on it
        (
            "of_windows",
            (0,),
            rf"fold 0, recipe r: {PROBABILITIES.replace('1', '5', 1)} after training epoch 1",
        ),
        ("centroids", (0,), rf"fold 0, recipe r: {PROBABILITIES}.*centroids has no learning rate to lower"),
    ],
)
def test_what_is_not_finite_ends_a_training_with_fold_and_recipe(
    folds, with_a_nan, tmp_path, stacks, fake_models, model, numbers, message
):
    recipe = RECIPE if model == "ulw_sleepnet" else COMMON
    with pytest.raises(BenchmarkError, match=message + (TRY if model != "centroids" else "")):
        train(folds, with_a_nan, tmp_path / "out", model=model, numbers=numbers, recipe=recipe)
    assert not [path for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")]


def test_a_lower_learning_rate_helps_as_the_message_says(folds, nights, tmp_path, fake_models):
    with pytest.raises(BenchmarkError, match=r"fold 0, recipe r: the training loss is .*" + TRY):
        train(folds, nights, tmp_path / "out", model="of_epochs", recipe=COMMON | {"learning_rate": 3e37})
    train(folds, nights, tmp_path / "out", model="of_epochs", recipe=COMMON)
    assert read_training(tmp_path / "out" / "fold-0")["runs"]


def test_people_are_told_apart_whatever_ids_look_like(tmp_path):
    people = {"SN0011": ("a", 1), "SN1011": ("b", 1), "ST7011": ("b", 12), "5f1e7c": ("c", 1)}
    nights = {
        id: write_night(tmp_path, id, 24, seed, subject, night)
        for seed, (id, (subject, night)) in enumerate(people.items())
    }
    folds = write_folds(tmp_path / "folds.json", [(["5f1e7c"], [], ["SN0011", "SN1011", "ST7011"])])
    train(folds, nights, tmp_path / "out")
    predictions = pd.read_parquet(tmp_path / "out" / "fold-0" / "last" / "predictions.parquet")
    found = predictions.groupby("recording")[["subject", "night"]].first()
    assert {id: (row.subject, row.night) for id, row in found.iterrows()} == {
        id: people[id] for id in ("SN0011", "SN1011", "ST7011")
    }


def test_a_model_sees_its_input_transformed(folds, nights, tmp_path, fake_models):
    for model in ("scaled", "of_epochs"):
        train(folds, nights, tmp_path / model, model=model, recipe=COMMON)
    scaled, plain = (pd.read_csv(tmp_path / model / "fold-0" / "history.csv") for model in ("scaled", "of_epochs"))
    assert (scaled.train_loss != plain.train_loss).all()


# ----------------------------------------------------------------------------------- selection rules that are added


@pytest.fixture
def rule(monkeypatch):
    """Registers a selection rule, in place of another of its name."""

    def register(name, choose):
        monkeypatch.setitem(SELECTION_RULES, name, SelectionRule(name, "training", "on training", choose))

    return register


@pytest.fixture
def no_training(monkeypatch):
    """Call it: from then on nothing is trained."""

    def forbid():
        monkeypatch.setattr(module.loop, "train", lambda *arguments: pytest.fail("a training is started"))
        monkeypatch.setattr(module.estimators, "fit", lambda *arguments: pytest.fail("an estimator is fitted"))

    return forbid


@pytest.mark.parametrize("model", ["ulw_sleepnet", "of_nights", "centroids"])
def test_a_rule_that_is_added_finds_its_run_in_a_finished_training(
    folds, nights, tmp_path, fake_models, rule, no_training, model, capsys
):
    """As if it had been there from the beginning; nothing is trained, and what was there stays as it was."""
    out, from_the_beginning = tmp_path / "out", tmp_path / "from the beginning"
    train(folds, nights, out, model=model, recipe=COMMON)
    before = {name: (out / "fold-0" / name).stat().st_mtime_ns for name in contents(out / "fold-0")}
    rule("mine", lambda history, ends: SELECTION_RULES["best_test"].choose(history, ends))
    train(folds, nights, from_the_beginning, model=model, recipe=COMMON)
    no_training()
    capsys.readouterr()
    train(folds, nights, out, model=model, recipe=COMMON)
    assert "fold 0: the selection 'mine' takes training epoch" in capsys.readouterr().out
    record, expected = read_training(out / "fold-0"), read_training(from_the_beginning / "fold-0")
    assert record["runs"] == expected["runs"] and record["files"] == expected["files"]
    assert run_of(record, "mine", out)["run_key"] == run_key(record["settings"], "mine")
    assert {name: (out / "fold-0" / name).stat().st_mtime_ns for name in before} == before
    assert contents(out / "fold-0") == contents(from_the_beginning / "fold-0")
    changed = (out / "fold-0" / "training.json").stat().st_mtime_ns
    train(folds, nights, out, model=model, recipe=COMMON)
    assert (out / "fold-0" / "training.json").stat().st_mtime_ns == changed


def test_a_rule_whose_weights_were_not_kept_is_named_with_a_remedy(folds, nights, tmp_path, rule, no_training, capsys):
    recipe = RECIPE | {"training_epochs": 5}
    train(folds, nights, tmp_path / "out", recipe=recipe)
    fold = tmp_path / "out" / "fold-0"
    kept = {run["training_epoch"] for run in read_training(fold)["runs"].values()}
    missing = min({1, 2, 3, 4, 5} - kept)
    rule("mine", lambda history, ends: missing)
    no_training()
    for _ in range(2):
        train(folds, nights, tmp_path / "out", recipe=recipe)
        said = f"it takes training epoch {missing}, whose weights were not kept"
        assert f"fold 0: no run of the selection 'mine': {said}" in capsys.readouterr().out
        assert "mine" not in read_training(fold)["runs"]
        with pytest.raises(BenchmarkError, match=f"selection 'mine': {said} .*: delete the fold's directory and run"):
            run_of(read_training(fold), "mine", fold)


def test_a_rule_that_looks_back_further_than_weights_are_kept_has_no_run(folds, nights, tmp_path, rule):
    """In a training as well: it takes what no rule had taken when it was the newest."""
    rule("mine", lambda history, ends: 2 if len(history) == 5 else None)
    for name in ("best_test", "best_validation"):
        rule(name, lambda history, ends: 1)
    train(folds, nights, tmp_path / "out", recipe=RECIPE | {"training_epochs": 5})
    record = read_training(tmp_path / "out" / "fold-0")
    assert set(record["runs"]) == {"best_test", "best_validation", "last", "cycle_end"}
    assert record["lacking"]["mine"].startswith("it takes training epoch 2, whose weights were not kept")


def test_a_rule_that_is_corrected_replaces_its_run(folds, nights, tmp_path, rule, no_training):
    rule("mine", lambda history, ends: 1)
    train(folds, nights, tmp_path / "out")
    fold = tmp_path / "out" / "fold-0"
    before = read_training(fold)
    assert before["runs"]["mine"]["training_epoch"] == 1
    rule("mine", lambda history, ends: len(history))
    no_training()
    train(folds, nights, tmp_path / "out")
    after = read_training(fold)
    assert after["runs"]["mine"]["training_epoch"] == 3
    assert {n: r for n, r in after["runs"].items() if n != "mine"} == {
        n: r for n, r in before["runs"].items() if n != "mine"
    }
    last, mine = (pd.read_parquet(fold / name / "predictions.parquet") for name in ("last", "mine"))
    assert last.equals(mine)


def test_weights_that_do_not_repeat_a_training_give_no_run(folds, nights, tmp_path, rule, no_training, capsys):
    train(folds, nights, tmp_path / "out")
    fold = tmp_path / "out" / "fold-0"
    record = read_training(fold)
    taken = {name: run["training_epoch"] for name, run in record["runs"].items()}
    for name in ("best_test", "best_validation"):
        rule(name, lambda history, ends, name=name: taken[name])
    rule("mine", lambda history, ends: len(history))
    pd.read_csv(fold / "history.csv").assign(test_accuracy=0.123).to_csv(fold / "history.csv", index=False)
    files = record["files"] | {"history.csv": sha256_of_file(fold / "history.csv")}
    write_document(fold / "training.json", record | {"files": files})
    no_training()
    train(folds, nights, tmp_path / "out")
    assert "do not repeat its predictions" in capsys.readouterr().out
    assert "do not repeat its predictions" in read_training(fold)["lacking"]["mine"]
    assert not (fold / "mine").exists()

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_results import sign_again
from planned_results import CLEAN, FOLDS, write_selection

from sleepbench.config import paths
from sleepbench.config.load import load
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, write_document
from sleepbench.deployment.bundle import read_bundle
from sleepbench.deployment.making import bundle_run

OUTPUT = Path("made.bundle")


def key_of(results, fold=0):
    return read_json(results.directory(CLEAN, fold) / "training.json")["runs"]["best_validation"]["run_key"]


def error_of(*arguments):
    with pytest.raises(BenchmarkError) as error:
        bundle_run(load(), *arguments)
    assert not OUTPUT.exists()
    return str(error.value)


def test_a_run_is_bundled_by_the_first_digits_of_its_key(trained):
    key = key_of(trained)
    bundle_run(load(), key[:8], OUTPUT)
    bundle = read_bundle(OUTPUT)
    told = bundle.description
    assert told.run_key == key and told.folds[0].training_epoch == 2 and told.roles == ("eeg1", "eeg2", "eog", "emg")
    assert told.data.kind == "simulated" and "SIMULATED SIGNALS" in told.trained_on
    weights = torch.load(trained.directory(CLEAN, 0) / "weights.pt", weights_only=True)[2]
    assert all(np.array_equal(bundle.members[0][name], tensor) for name, tensor in weights.items())
    document = read_json(paths.folds("simulated", told.protocols and trained.run(CLEAN, 0).training.folds))
    assert told.folds[0].test_subjects == sorted({document["subjects"][id] for id in document["folds"][0]["test"]})
    assert told.hmm is not None and np.allclose(np.sum(told.hmm.transition, axis=1), 1)


def test_a_fold_is_bundled_by_its_directory_from_anywhere(trained, monkeypatch, tmp_path):
    directory = trained.directory(CLEAN, 1).resolve()
    config = load()
    monkeypatch.chdir(tmp_path)
    told = bundle_run(config, str(directory), OUTPUT).description
    assert (told.folds[0].fold, told.folds[0].selection) == (1, "best_validation")
    OUTPUT.unlink()


def test_all_folds_are_one_bundle_whose_metrics_are_those_of_their_tests_together(trained):
    told = bundle_run(load(), key_of(trained), OUTPUT, all_folds=True).description
    assert [fold.fold for fold in told.folds] == list(range(FOLDS))
    tested = [read_json(trained.directory(CLEAN, fold) / "best_validation/metrics.json") for fold in range(FOLDS)]
    n = sum(one["n_epochs"] for one in tested)
    assert told.metrics.n_epochs == n
    assert told.metrics.accuracy == pytest.approx(sum(one["accuracy"] * one["n_epochs"] for one in tested) / n)
    assert sum(one.n_epochs for one in told.metrics.by_group if one.grouping == "sex") == n


def test_a_fold_that_was_not_smoothed_has_no_hmm(trained):
    Path(paths.smoothed(trained.run(CLEAN, 0).training, "best_validation"), "hmm.json").unlink()
    assert bundle_run(load(), key_of(trained), OUTPUT).description.hmm is None


def test_a_fold_whose_files_were_changed_is_refused(trained):
    (trained.directory(CLEAN, 0) / "weights.pt").write_bytes(b"w")
    assert "weights.pt is CHANGED" in error_of(key_of(trained), OUTPUT)


def test_predictions_that_were_changed_are_refused_whatever_their_hash_says(trained):

    table = trained.predictions(["SC4011"], 0.2, [1])
    write_selection(trained.directory(CLEAN, 0) / "best_validation", table)
    sign_again(trained.directory(CLEAN, 0))
    assert "do not cover the fold" in error_of(key_of(trained), OUTPUT)


def test_weights_that_are_not_the_models_are_refused(trained):

    shutil.rmtree("results/simulated/postprocessed")
    torch.save({2: {"a": torch.zeros(1)}}, trained.directory(CLEAN, 0) / "weights.pt")
    sign_again(trained.directory(CLEAN, 0))
    assert "do not fit the network ulw_sleepnet" in error_of(key_of(trained), OUTPUT)


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("0123", "no run has a key that begins with '0123'"),
        ("no/where", "no run"),
        ("results", "is no fold's directory"),
    ],
)
def test_what_is_no_run_is_named(trained, named, said):
    assert said in error_of(named, OUTPUT)


def test_a_fold_that_is_missing_is_named(trained):

    shutil.rmtree(trained.directory(CLEAN, 2))
    assert "fold-2 are not trained" in error_of(key_of(trained), OUTPUT, True)


def test_an_estimator_is_no_bundle(trained):
    directory = trained.directory(CLEAN, 0)
    record = read_json(directory / "training.json")
    record["settings"]["model"] = "band_power"

    write_document(directory / "training.json", record)
    assert "is an estimator" in error_of(str(directory), OUTPUT)


def test_a_key_of_two_runs_is_asked_for_again(trained):
    directories = [trained.directory(CLEAN, fold) for fold in (0, 1)]

    for directory, ending in zip(directories, "ab", strict=True):
        record = read_json(directory / "training.json")
        record["runs"]["best_validation"]["run_key"] = f"abcd{ending}" + "0" * 11
        write_document(directory / "training.json", record)
    assert "2 runs have keys" in error_of("abcd", OUTPUT)

import datetime
import subprocess
import sys

import numpy as np
import pytest
import torch
from edf_files import load_night, prepare_night, recording_of, write_hypnogram, write_psg
from fake_bundles import fake_bundle

import sleepbench
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import STAGES
from sleepbench.deployment.bundle import write_bundle
from sleepbench.deployment.scorer import Scorer
from sleepbench.models import describe
from sleepbench.postprocessing.hmm import decoded, filtered
from sleepbench.training.epochs import epoch_set
from sleepbench.training.loop import predict_probabilities

SIGNALS = np.random.default_rng(0).normal(0, 30, (5, 4, 3000)).astype(np.float32)


def test_three_lines_score_a_night(tmp_path):
    write_bundle(tmp_path / "a.bundle", fake_bundle())
    psg = write_psg(tmp_path / "psg.edf", 4)
    scorer = sleepbench.load(tmp_path / "a.bundle")
    night = scorer.score(psg)
    assert night.probabilities.shape == (4, 5) and len(night.hypnogram) == 4 and set(night.hypnogram) <= set(STAGES)
    assert night.measures["time_in_bed"] == 2 and night.agreement is None


def test_importing_the_package_imports_nothing_that_takes_seconds():
    code = "import sys, sleepbench; sleepbench.__version__; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        sleepbench.lode  # noqa: B018


def test_probabilities_are_the_networks():
    bundle = fake_bundle()
    with torch.inference_mode():
        logits = bundle.network()(torch.from_numpy(bundle.prepare(SIGNALS)))
    found = Scorer(bundle).predict(SIGNALS)
    assert found.dtype == np.float32 and np.allclose(found, logits.softmax(1).numpy(), atol=1e-6)


def test_those_of_an_ensemble_are_the_mean_of_its_members():
    bundle = fake_bundle(members=3)
    alone = [Scorer(type(bundle)(bundle.description, bundle.members[i : i + 1])).predict(SIGNALS) for i in range(3)]
    assert not np.allclose(alone[0], alone[1])
    assert np.allclose(Scorer(bundle).predict(SIGNALS), np.mean(alone, axis=0), atol=1e-7)


@pytest.mark.parametrize("model", ["u_time", "nano_sleepnet_tcn", "chambon2018"])
def test_a_file_is_scored_as_evaluation_scores_its_prepared_epochs(tmp_path, model):
    """Of networks of sequences, and of those that see a recording in units of its own spread."""
    psg = write_psg(tmp_path / "SC4001E0-PSG.edf", 14)
    hypnogram = write_hypnogram(tmp_path / "SC4001EC-Hypnogram.edf", [("W", 4), ("2", 10)])
    prepare_night(tmp_path, recording_of(psg, hypnogram))
    info = describe(model)
    prepared = load_night(tmp_path / "prepared" / "SC4001.npy")
    epochs = epoch_set([prepared], ["eeg1"], "standard", info.input_transformation)
    bundle = fake_bundle(model, roles=("eeg1",))
    expected = predict_probabilities(bundle.network(), epochs, "fast", info)
    assert np.allclose(Scorer(bundle).score(psg).probabilities, expected, atol=1e-5)


def test_smoothing_is_that_of_postprocessing(tmp_path):
    scorer = Scorer(fake_bundle())
    night = scorer.score(write_psg(tmp_path / "psg.edf", 20), smooth=True)
    segment = [np.arange(20)]
    assert np.array_equal(night.stages, decoded(scorer.hmm, filtered(night.probabilities, segment).argmax(1), segment))


def test_a_bundle_without_parameters_does_not_smooth(tmp_path):
    with pytest.raises(BenchmarkError, match="no parameters of a hidden Markov model"):
        Scorer(fake_bundle(hmm=None)).score(write_psg(tmp_path / "psg.edf", 2), smooth=True)


@pytest.mark.parametrize("texts", [("W", "2", "4", "R"), ("W", "N2", "N3", "R")])
def test_stages_are_compared_with_a_hypnogram_of_either_manual(tmp_path, texts):
    psg = write_psg(tmp_path / "psg.edf", 8)
    runs = [(text, 2) for text in texts[:3]]
    hypnogram = write_hypnogram(tmp_path / "hypnogram.edf", [*runs, ("?", 1), (texts[3], 5)])
    night = Scorer(fake_bundle()).score(psg, hypnogram=hypnogram)
    assert night.scored.tolist() == [0, 0, 2, 2, 3, 3, 6, 4]
    assert night.confusion.sum() == 7
    right = sum(stage == scored for stage, scored in zip(night.stages, night.scored, strict=True))
    assert night.agreement["accuracy"] == right / 7
    assert "1 epochs have no stage in the hypnogram, and are not compared" in night.handled
    assert "the hypnogram outlasts the signal by 4 epochs, which are cut" in night.handled


def test_a_hypnogram_of_another_night_is_refused(tmp_path):
    psg = write_psg(tmp_path / "psg.edf", 4)
    hypnogram = write_hypnogram(tmp_path / "hypnogram.edf", [("W", 4)], datetime.time(1, 2, 3))
    with pytest.raises(BenchmarkError, match="they must begin together"):
        Scorer(fake_bundle()).score(psg, hypnogram=hypnogram)


def test_a_role_that_is_not_the_models_is_named(tmp_path):
    with pytest.raises(BenchmarkError, match="the model has no role 'eeg3'; the nearest known name is 'eeg"):
        Scorer(fake_bundle()).score(write_psg(tmp_path / "psg.edf", 2), {"eeg3": "EEG Fpz-Cz"})

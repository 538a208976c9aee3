"""The comparison of a simulated cohort with the real statistics: its numbers against ones worked out here."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import N1, N2, N3, REM, STAGES, W
from sleepbench.signals.prepare import prepare_recording
from sleepbench.simulation import realism
from sleepbench.simulation.cohort import simulate_cohort, simulated_ids

FOUR = ("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal", "EMG submental")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Twelve nights of 3 h, prepared: (files, directory of the PSGs)."""
    raw, prepared = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("prepared")
    for recording in simulate_cohort(raw, raw / "recordings.csv", simulated_ids(6, []), 3, 3):
        output = prepared / f"{recording.id}.npy"
        prepare_recording(recording, raw / recording.psg, raw / recording.hypnogram, FOUR, output, simulated=True)
    return sorted(prepared.glob("*.npy")), raw


@pytest.fixture(scope="module")
def measured(cohort):
    return realism.measure_realism(*cohort, processes=1)


def night(recording, stage, seed=0):
    """A night whose band powers tell stages apart by about one standard deviation."""
    random = np.random.default_rng(seed)
    stage = np.array(stage, dtype=np.int8)
    return realism.Night(
        recording=recording,
        subject=recording[3:5],
        epoch=np.arange(len(stage)),
        stage=stage,
        log_powers=random.standard_normal((len(stage), 15)) + stage[:, None],
        deviation_uv=np.ones((len(stage), 3)),
        log_density=np.zeros((5, 3, realism.SHOWN.sum())),
    )


def test_stage_statistics_of_a_night_counted_by_hand():
    stages = [np.array([W, N1, N1, N2, N2, N2, W]), np.array([W, N2, N2, W])]
    transitions = realism.transition_probabilities(stages)
    np.testing.assert_allclose(transitions[W], [0, 0.5, 0.5, 0, 0])
    np.testing.assert_allclose(transitions[N1], [0, 0.5, 0.5, 0, 0])
    np.testing.assert_allclose(transitions[N2], [0.4, 0, 0.6, 0, 0])
    assert np.isnan(transitions[[N3, REM]]).all()
    np.testing.assert_allclose(realism.stage_shares(stages), np.array([4, 2, 5, 0, 0]) / 11)
    bouts = realism.bout_lengths(stages)
    np.testing.assert_allclose(bouts[:3, 0], [1, 2, 2.5])
    assert bouts[N2, 3] == 2.5 and np.isnan(bouts[REM]).all()


def test_tenths_of_the_sleep_period_leave_out_the_wake_around_it():
    stage = np.r_[np.full(7, W), np.repeat(N2, 50), np.repeat(REM, 50), np.full(9, W)]
    shares = realism.shares_by_decile([stage])
    assert (shares[:5, N2] == 1).all() and (shares[5:, REM] == 1).all()


def test_the_powers_of_a_sine_and_of_white_noise_are_what_they_should_be():
    time = np.arange(3000) / 100
    sine = realism.log_band_powers(realism.log_densities(np.sin(2 * np.pi * 10 * time)[None]))
    assert np.argmax(sine) == 2 and np.delete(sine, 2).max() < sine[0, 2] - 5
    noise = np.random.default_rng(0).standard_normal((300, 3000))
    powers = np.exp(realism.log_band_powers(realism.log_densities(noise))).mean(axis=0)
    # Variance one over 50 Hz; the bands are 3.5, 4, 4, 4 and 14 Hz wide.
    np.testing.assert_allclose(powers, np.array([3.5, 4, 4, 4, 14]) / 50, rtol=0.05)


def test_power_statistics_recover_how_the_powers_were_made():
    random = np.random.default_rng(1)
    nights = []
    for i in range(200):
        noise = random.standard_normal((300, 15))
        for t in range(1, 300):
            noise[t] = 0.8 * noise[t - 1] + 0.6 * noise[t]
        made = replace(
            night(f"SC4{i % 50:02d}1", np.full(300, N2)), log_powers=3 + noise + 0.5 * random.standard_normal(15)
        )
        nights.append(made)
    scores = dict.fromkeys(realism.SCORES, 0.5)
    statistics = realism.cohort_statistics(nights, scores)
    np.testing.assert_allclose(statistics.mean[N2], 3, atol=0.2)
    np.testing.assert_allclose(statistics.within_sd[N2], 1, atol=0.05)
    np.testing.assert_allclose(statistics.between_sd[N2], np.sqrt(0.25 + 9 / 300), atol=0.1)
    np.testing.assert_allclose(statistics.lag1[N2], 0.8, atol=0.03)
    assert np.isnan(statistics.mean[REM]).all()


def test_the_real_side_is_the_table():
    real = realism.real_statistics()
    assert real.transitions[N1, N2] == 0.15843 and real.shares[REM] == 0.1324
    assert real.scores["accuracy"] == 0.7542 and real.scores["f1_N1"] == 0.252
    assert real.mean.shape == real.between_sd.shape == real.lag1.shape == (5, 15)
    assert real.within_sd[W, 0] == pytest.approx(np.sqrt(1.30275))
    assert real.deviation_uv[W, 2, 2] == 71.26 and real.bouts[REM, -1] == pytest.approx(80.41)


def test_the_regression_predicts_other_subjects_only():
    random = np.random.default_rng(2)
    nights = [night(f"SC4{i // 2:02d}{i % 2 + 1}", random.integers(0, 5, 100), seed=i) for i in range(12)]
    predicted = realism.logistic_regression(nights)
    assert [len(p) for p in predicted] == [100] * 12
    assert np.mean(np.concatenate(predicted) == np.concatenate([n.stage for n in nights])) > 0.7
    # A subject whose stages are called otherwise than everybody else's is never learnt.
    odd = [replace(n, stage=(4 - n.stage).astype(np.int8)) if n.subject == "03" else n for n in nights]
    predicted = realism.logistic_regression(odd)
    of_subject = [np.mean(p == n.stage) for p, n in zip(predicted, odd, strict=True) if n.subject == "03"]
    assert max(of_subject) < 0.5


def test_one_subject_is_too_few():
    with pytest.raises(BenchmarkError, match="all of subject 00"):
        realism.logistic_regression([night("SC4001", [0, 1, 2]), night("SC4002", [0, 1, 2])])


def test_a_cohort_is_near_the_real_statistics(measured):
    simulated, real = measured.simulated, measured.real
    assert measured.recordings == 12 and measured.subjects == 6
    assert (simulated.shares > 0).all()
    # Six subjects, and 3 h of which the sleep period is 1.75: wide bounds. 39 nights are measured by `make realism`.
    assert 0.65 < simulated.scores["accuracy"] < 0.87
    assert np.argmin([simulated.scores[f"f1_{stage}"] for stage in STAGES]) == N1
    often = [W, N2]  # the others have few epochs in twelve short nights
    np.testing.assert_allclose(simulated.within_sd[often], real.within_sd[often], rtol=0.3)
    np.testing.assert_allclose(simulated.lag1[often], real.lag1[often], atol=0.3)
    assert np.abs(simulated.lag1[often] - real.lag1[often]).mean() < 0.1
    # Between stages, features differ as the table's do: the shift that all stages of a recording share is left out.
    contrast = [side.mean - side.mean.mean(axis=0) for side in (simulated, real)]
    assert np.abs(contrast[0] - contrast[1]).mean() < 0.25
    assert np.corrcoef(contrast[0].ravel(), contrast[1].ravel())[0, 1] > 0.95


def test_two_processes_measure_the_same(cohort):
    files, raw = cohort
    one, two = (realism.measure_realism(files[1:3], raw, processes=processes) for processes in (1, 2))
    assert one.checks == two.checks
    np.testing.assert_array_equal(one.simulated.mean, two.simulated.mean)


def test_a_small_cohort_is_held_to_its_stages_only(measured):
    assert [check.within for check in measured.checks] == [True, None, None, None, None]


def test_39_recordings_are_held_to_everything():
    real = realism.real_statistics()
    network = realism.NetworkComparison("net", 2, 100, 0, 0.8, 0.75)
    checks = realism.realism_checks(real, real, 39, [network])
    assert [check.within for check in checks] == [True] * 6
    off = real.transitions.copy()
    off[REM] = [0.05, 0, 0, 0, 0.95]
    scores = {**real.scores, "accuracy": 0.81, "f1_REM": 0.1}
    shares = real.shares + np.array([0.04, 0, -0.04, 0, 0])
    wrong = replace(real, transitions=off, shares=shares, scores=scores)
    checks = realism.realism_checks(wrong, real, 39, [replace(network, accuracy=0.7)])
    assert [check.within for check in checks] == [True, False, False, False, False, False]
    assert "REM to W" in checks[1].quantity and checks[4].simulated == "REM"


def predictions(path, nights, predicted):
    """Write predictions.parquet of some nights."""
    tables = [
        pd.DataFrame({"recording": n.recording, "epoch": n.epoch, "stage": n.stage, "predicted": p})
        for n, p in zip(nights, predicted, strict=True)
    ]
    pd.concat(tables).to_parquet(path)
    return path


def test_a_network_is_compared_on_exactly_its_epochs(tmp_path):
    nights = [night("SC4001", [0, 1, 2, 3]), night("SC4011", [0, 0, 0, 0]), night("SC4021", [2, 2])]
    regression = [np.array([0, 1, 0, 0]), np.array([0, 0, 0, 1]), np.array([2, 2])]
    file = predictions(tmp_path / "a.parquet", nights[:1], [np.array([0, 1, 2, 0])])
    # The second fold predicts an epoch outside of the window too.
    longer = replace(nights[1], epoch=np.arange(5), stage=np.zeros(5, dtype=np.int8))
    other = predictions(tmp_path / "b.parquet", [longer], [np.array([0, 0, 0, 0, 4])])
    found = realism.compare_network("net", [file, other], nights, regression)
    assert (found.recordings, found.epochs, found.left_out) == (2, 8, 1)
    assert (found.accuracy, found.regression_accuracy) == (7 / 8, 5 / 8)


def test_predictions_that_do_not_fit_are_refused(tmp_path):
    nights = [night("SC4001", [0, 1, 2, 3])]
    guess = [np.zeros(4, dtype=int)]
    with pytest.raises(BenchmarkError, match="do not exist"):
        realism.compare_network("net", [tmp_path / "none.parquet"], nights, guess)
    other = predictions(tmp_path / "other.parquet", [replace(nights[0], recording="SC4091")], guess)
    with pytest.raises(BenchmarkError, match="predicts recording SC4091"):
        realism.compare_network("net", [other], nights, guess)
    rescored = replace(nights[0], stage=np.array([0, 1, 2, 2]))
    with pytest.raises(BenchmarkError, match="1 epochs of SC4001 are scored otherwise"):
        realism.compare_network("net", [predictions(tmp_path / "r.parquet", [rescored], guess)], nights, guess)
    pd.DataFrame({"recording": ["SC4001"], "epoch": [0]}).to_parquet(tmp_path / "short.parquet")
    with pytest.raises(BenchmarkError, match="lack predicted, stage"):
        realism.compare_network("net", [tmp_path / "short.parquet"], nights, guess)


def test_what_is_missing_is_named(cohort, tmp_path):
    files, raw = cohort
    with pytest.raises(BenchmarkError, match="no prepared recordings"):
        realism.measure_realism([], raw)
    with pytest.raises(BenchmarkError, match=r"SC4001E0-PSG.edf: missing"):
        realism.read_night(files[0], tmp_path)


def test_channels_that_were_not_prepared_are_named(cohort, tmp_path):
    _, raw = cohort
    recording = simulate_cohort(tmp_path, tmp_path / "recordings.csv", ["SC4001"], 2, 3)[0]
    output = tmp_path / "SC4001.npy"
    psg, hypnogram = (Path(tmp_path) / name for name in (recording.psg, recording.hypnogram))
    prepare_recording(recording, psg, hypnogram, FOUR[:1], output, simulated=True)
    with pytest.raises(BenchmarkError, match="also needs EEG Pz-Oz, EOG horizontal"):
        realism.read_night(output, raw)

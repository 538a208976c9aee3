"""The comparison of a simulated cohort with the real statistics: its numbers against ones worked out here."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from edf_files import files_of
from simulated_cohort import prepared_cohort

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import N1, N2, N3, REM, STAGES, W
from sleepbench.datasets import open_dataset
from sleepbench.datasets.base import Dataset
from sleepbench.preparation.index import Index
from sleepbench.preparation.prepare import prepare_recording
from sleepbench.reporting.realism import measure as realism
from sleepbench.simulation.stages import simulated_stages

SEED = 2024


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> tuple[Dataset, Index]:
    """Twelve nights of 3 h, prepared."""
    return prepared_cohort(tmp_path_factory.mktemp("cohort"), 3, 3, 12, subjects=6, single_night_subjects=[])


@pytest.fixture(scope="module")
def measured(cohort):
    return realism.measure_realism(*cohort, processes=1)


def night(recording, stage, seed=0):
    """A night whose band powers tell stages apart by about one standard deviation."""
    random = np.random.default_rng(seed)
    stage = np.array(stage, dtype=np.int8)
    return realism.Night(
        recording=recording,
        subject=recording[:-1],
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
    odd = [replace(n, stage=(4 - n.stage).astype(np.int8)) if n.subject == "SC403" else n for n in nights]
    predicted = realism.logistic_regression(odd)
    of_subject = [np.mean(p == n.stage) for p, n in zip(predicted, odd, strict=True) if n.subject == "SC403"]
    assert max(of_subject) < 0.5


def test_one_subject_is_too_few():
    with pytest.raises(BenchmarkError, match="all of subject SC400"):
        realism.logistic_regression([night("SC4001", [0, 1, 2]), night("SC4002", [0, 1, 2])])


def test_a_cohort_is_near_the_real_statistics(measured):
    simulated, real = measured.simulated, measured.real
    assert measured.recordings == 12 and measured.subjects == 6
    assert (simulated.shares > 0).all()
    # Six subjects, and 3 h of which the sleep period is 1.75: wide bounds; `sleepbench data realism` has 39.
    assert 0.65 < simulated.scores["accuracy"] < 0.87
    assert np.argmin([simulated.scores[f"f1_{stage}"] for stage in STAGES]) == N1
    often = [W, N2]  # the others have few epochs in twelve short nights
    # Worst is the sigma power of N2, which varies a third more than in real epochs.
    np.testing.assert_allclose(simulated.within_sd[often], real.within_sd[often], rtol=0.35)
    # Least so the beta power of N2: what excerpts vary by more than whole epochs does not last into the next epoch.
    np.testing.assert_allclose(simulated.lag1[often], real.lag1[often], atol=0.4)
    assert np.abs(simulated.lag1[often] - real.lag1[often]).mean() < 0.13
    # Between stages, features differ as the table's do: the shift that all stages of a recording share is left out.
    contrast = [side.mean - side.mean.mean(axis=0) for side in (simulated, real)]
    assert np.abs(contrast[0] - contrast[1]).mean() < 0.25
    assert np.corrcoef(contrast[0].ravel(), contrast[1].ravel())[0, 1] > 0.95


def test_two_processes_measure_the_same(cohort):
    dataset, index = cohort
    some = replace(index, recordings=index.recordings[1:3])
    one, two = (realism.measure_realism(dataset, some, processes=processes) for processes in (1, 2))
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
    dataset, index = cohort
    elsewhere = {role: tmp_path / path.name for role, path in index.sources["SC4001"].items()}
    with pytest.raises(BenchmarkError, match=r"SC4001E0-PSG.edf: missing"):
        realism.read_night(dataset, replace(index, sources={"SC4001": elsewhere}), "SC4001")


def test_channels_that_were_not_prepared_are_named(cohort, tmp_path):
    dataset, index = cohort
    one = open_dataset("one", {"reader": "simulated", "psg_hours": 3, "seed": 3, "shape": "demo"}, {})
    one.montage = {"eeg1": "EEG Fpz-Cz"}
    prepare_recording(one, one.fetch(one.recordings()[0], tmp_path), tmp_path / "SC4001.npy")
    with pytest.raises(BenchmarkError, match="holds channels for eeg1, the comparison also needs eeg2, eog"):
        realism.read_night(dataset, replace(index, prepared={"SC4001": files_of(tmp_path / "SC4001.npy")}), "SC4001")


# ------------------------------------------------------------------------------------------------------- 39 whole days


@pytest.fixture(scope="module")
def standard_nights():
    """Stages as the standard trimming keeps them, of 39 nights of 24 h."""
    nights = []
    twenty = open_dataset("d", {"reader": "simulated", "shape": "sleep-edf-20", "psg_hours": 24, "seed": SEED}, {})
    for subject, night in twenty.nights.values():
        scored = simulated_stages(subject, night, 24, SEED)
        stages = scored[scored <= 4]
        asleep = np.flatnonzero(stages != W)
        nights.append(stages[asleep[0] - 60 : asleep[-1] + 61])
    return nights


def test_transitions_and_shares_of_39_nights_are_the_tables(standard_nights):
    real = realism.real_statistics()
    likely = real.transitions > realism.TRANSITIONS_ABOVE
    transitions = realism.transition_probabilities(standard_nights)
    np.testing.assert_allclose(transitions[likely], real.transitions[likely], atol=realism.TRANSITION_TOLERANCE)
    np.testing.assert_allclose(realism.stage_shares(standard_nights), real.shares, atol=realism.SHARE_TOLERANCE)
    lengths = [len(night) - 120 for night in standard_nights]
    assert min(lengths) > 820 and max(lengths) <= 1020


def test_bouts_of_39_nights_are_as_long_as_the_tables_on_average(standard_nights):
    mean, real = realism.bout_lengths(standard_nights)[:, 0], realism.real_statistics().bouts[:, 0]
    np.testing.assert_allclose(mean, real, rtol=0.15)


def test_n3_is_early_and_rem_late(standard_nights):
    shares = realism.shares_by_decile(standard_nights)
    np.testing.assert_allclose(shares, realism.real_statistics().shares_by_decile, atol=0.13)
    assert shares[:4, N3].sum() > 1.5 * shares[6:, N3].sum()
    assert shares[6:, REM].sum() > 1.5 * shares[:4, REM].sum()

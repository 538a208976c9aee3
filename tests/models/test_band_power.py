import pickle

import numpy as np
import pytest
from scipy import signal

from sleepbench.models.band_power import BANDS, CHUNK, FEATURES, BandPower, _welch, spectral_features

SECONDS = np.arange(3000) / 100


def column(features, name, channel=0):
    return features[:, channel * len(FEATURES) + FEATURES.index(name)]


@pytest.fixture(scope="module")
def epochs():
    """Signals (300, 2, 3000) and stages; a wave tells the stages 0, 2 and 3 apart."""
    random = np.random.default_rng(0)
    stage = np.repeat([0, 2, 3], 100)
    hertz = np.array([10.0, 0, 6.0, 1.5])[stage][:, None, None]
    waves = 30 * np.sin(2 * np.pi * (hertz * SECONDS + random.random((300, 2, 1))))
    return (waves + random.normal(0, 15, waves.shape)).astype(np.float32), stage


def fitted(epochs, seed=0):
    signals, stage = epochs
    return BandPower(2).fit(signals.__getitem__, stage, seed)


def test_spectrum_is_that_of_scipy(epochs):
    signals, _ = epochs
    frequencies, density = _welch(signals)
    expected_frequencies, expected = signal.welch(signals, 100, nperseg=400)
    np.testing.assert_allclose(frequencies, expected_frequencies)
    np.testing.assert_allclose(density, expected, rtol=1e-4)


@pytest.mark.parametrize(("hertz", "band"), [(2, "delta"), (6, "theta"), (10, "alpha"), (14, "sigma"), (20, "beta")])
def test_band_power_of_a_sine_is_half_its_amplitude_squared(hertz, band):
    wave = 30 * np.sin(2 * np.pi * hertz * SECONDS)
    features = spectral_features(wave[None, None])
    assert column(features, f"log_{band}")[0] == pytest.approx(np.log(30**2 / 2), abs=1e-3)
    for other in BANDS:
        assert column(features, f"relative_{other}")[0] == pytest.approx(float(other == band), abs=1e-3)
    assert column(features, "median_frequency")[0] == pytest.approx(hertz, abs=0.25)
    assert column(features, "edge_frequency")[0] == pytest.approx(hertz, abs=0.25)
    assert column(features, "spectral_entropy")[0] < 0.2
    assert column(features, "deviation")[0] == pytest.approx(30 / np.sqrt(2), rel=1e-3)
    assert column(features, "skewness")[0] == pytest.approx(0, abs=1e-3)
    assert column(features, "kurtosis")[0] == pytest.approx(1.5, abs=1e-3)
    assert column(features, "complexity")[0] == pytest.approx(1, abs=0.01)
    assert column(features, "crossings")[0] * 3000 == pytest.approx(2 * hertz * 30, abs=2)


def test_every_channel_has_its_features(epochs):
    signals, _ = epochs
    expected = np.concatenate([spectral_features(signals[:, i : i + 1]) for i in range(2)], axis=1)
    assert expected.shape == (300, 2 * len(FEATURES))
    np.testing.assert_allclose(spectral_features(signals), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("level", [0, 3.2, -1e4])
def test_a_dead_signal_has_finite_features(level):
    assert np.isfinite(spectral_features(np.full((2, 1, 3000), level, np.float32))).all()


def test_learns_stages_and_leaves_out_those_it_never_saw(epochs):
    signals, stage = epochs
    probabilities = fitted(epochs).predict_proba(signals)
    assert probabilities.shape == (300, 5)
    assert probabilities.dtype == np.float32
    assert (probabilities.argmax(axis=1) == stage).all()
    assert not probabilities[:, [1, 4]].any()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)


def test_a_single_stage_is_certain(epochs):
    signals, _ = epochs
    model = BandPower(2).fit(signals.__getitem__, np.full(300, 2), seed=0)
    np.testing.assert_array_equal(model.predict_proba(signals[:2]), [[0, 0, 1, 0, 0]] * 2)


def test_reads_the_training_set_once_in_chunks(epochs):
    signals, stage = epochs
    asked = []

    def read(indices):
        asked.append(indices)
        return signals[indices]

    BandPower(2).fit(read, stage, seed=0)
    assert max(map(len, asked)) <= CHUNK < len(stage)
    np.testing.assert_array_equal(np.concatenate(asked), np.arange(len(stage)))


def test_same_seed_same_predictions_and_pickling_keeps_them(epochs):
    signals, _ = epochs
    model = fitted(epochs, seed=3)
    expected = model.predict_proba(signals)
    np.testing.assert_array_equal(fitted(epochs, seed=3).predict_proba(signals), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(signals), expected)


def test_an_epoch_is_scored_by_itself(epochs):
    signals, _ = epochs
    model = fitted(epochs)
    np.testing.assert_array_equal(model.predict_proba(signals)[250:251], model.predict_proba(signals[250:251]))

"""Bursts within seconds: as strong as in real excerpts, without changing how much power there is."""

import numpy as np
import pytest

from sleepbench.core.stages import N2, N3, SAMPLES_PER_EPOCH, STAGES, W
from sleepbench.reporting.realism.excerpts import N_SAMPLES, fluctuation, powers_by_second
from sleepbench.simulation.bursts import WITH_EVENTS, burst_covariance, envelope_strengths, wax_and_wane
from sleepbench.simulation.calibration import SIGMA, excerpt_powers

N_EPOCHS = 80


@pytest.fixture(scope="module")
def noise():
    """Pink noise (n_epochs * 3000,) float32 of 10 uV."""
    random = np.random.default_rng(0)
    spectrum = np.fft.rfft(random.standard_normal(N_EPOCHS * SAMPLES_PER_EPOCH))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    samples = np.fft.irfft(spectrum)
    return (10 * samples / samples.std()).astype(np.float32)


def excerpts_of(samples):
    return samples.reshape(N_EPOCHS, SAMPLES_PER_EPOCH)[:, :2500].reshape(-1, N_SAMPLES).astype(float)


@pytest.mark.parametrize("stage", range(len(STAGES)))
def test_powers_vary_over_seconds_as_in_the_excerpts_and_keep_their_mean(noise, stage):
    stages = np.full(N_EPOCHS, stage, dtype=np.int8)
    result = wax_and_wane(noise, stages, np.random.default_rng(1))
    assert result.shape == noise.shape and result.dtype == np.float32
    assert result.std() == pytest.approx(noise.std(), rel=0.15)
    before, after = fluctuation(excerpts_of(noise)), fluctuation(excerpts_of(result))
    wanted, by_chance = excerpt_powers()[stage].fluctuation, excerpt_powers()[stage].fluctuation_by_chance
    assert (after > before).all()
    # Of bands with events of their own, a part is left to these.
    noise_alone = [band for band in range(6) if (stage, band) not in WITH_EVENTS]
    assert (np.abs(after - wanted) < 0.5 * (wanted - by_chance) + 0.03)[noise_alone].all()
    assert (after < wanted + 0.08).all()


def test_bands_wax_and_wane_together_as_far_as_in_the_excerpts(noise):
    """In wake alpha and sigma burst together, delta and gamma hardly."""
    result = wax_and_wane(noise, np.full(N_EPOCHS, W, dtype=np.int8), np.random.default_rng(1))

    def together(samples):
        power = np.log(powers_by_second(excerpts_of(samples)))
        deviation = power - power.mean(axis=2, keepdims=True)
        return np.cov(np.moveaxis(deviation, 1, 0).reshape(6, -1))

    added = together(result) - together(noise)
    found = added / np.sqrt(np.outer(np.diag(added), np.diag(added)))
    np.testing.assert_allclose(found, excerpt_powers()[W].burst_correlation, atol=0.25)


def test_real_excerpts_vary_more_than_noise_of_their_spectra():
    assert all((own.fluctuation > own.fluctuation_by_chance).all() for own in excerpt_powers())
    spindles = [own.fluctuation[SIGMA] for own in excerpt_powers()]
    assert np.argmax(spindles) == N2 and spindles[N3] > spindles[W]
    assert envelope_strengths().shape == (5, 6) and (envelope_strengths() > 0).all()
    assert (np.linalg.eigvalsh(burst_covariance()) > -1e-6).all()


def test_no_bursts_where_strengths_are_none(noise, monkeypatch):
    """The bands add up to the whole."""
    monkeypatch.setattr("sleepbench.simulation.bursts.envelope_strengths", lambda: np.zeros((5, 6)))
    result = wax_and_wane(noise, np.zeros(N_EPOCHS, dtype=np.int8), np.random.default_rng(1))
    np.testing.assert_allclose(result, noise, atol=1e-3)

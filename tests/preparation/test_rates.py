import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import resample_poly

from sleepbench.datasets.base import Signal
from sleepbench.preparation.rates import envelope, resampled

RATES = (64.0, 128.0, 200.0, 250.0, 256.0, 500.0, 512.0, 100.5, 1000 / 3)


def sine(hertz, rate, seconds=60):
    return Signal(np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate), rate)


def level_db(values):
    """Of the root mean square against that of a sine of amplitude 1, ends left out."""
    inner = values[100:-100]
    return 20 * np.log10(np.sqrt(2 * (inner**2).mean()) + 1e-12)


@pytest.mark.parametrize("rate", [128.0, 200.0, 256.0, 512.0, 1000 / 3])
@pytest.mark.parametrize("share", [1.001, 1.1, 1.27])
def test_what_the_lower_rate_cannot_hold_is_60_db_down(rate, share):
    assert level_db(resampled(sine(50 * share, rate), 100).microvolts[:]) < -60


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hertz", [0.5, 12.0, 25.0])
def test_what_both_rates_hold_is_the_same_sine(rate, hertz):
    found = resampled(sine(hertz, rate), 100).microvolts[:]
    expected = np.sin(2 * np.pi * hertz * np.arange(len(found)) / 100)
    assert abs(len(found) - 6000) <= 1
    assert np.abs(found - expected)[100:-100].max() < 0.003


@given(st.sampled_from([64.0, 256.0, 1000 / 3]), st.integers(0, 3000), st.integers(0, 3000))
def test_a_slice_is_the_same_whatever_else_is_asked_for(rate, start, stop):
    signal = resampled(Signal(np.random.default_rng(0).normal(size=round(rate * 30)), rate), 100)
    whole = signal.microvolts[:]
    part = signal.microvolts[start:stop]
    assert np.array_equal(part, whole[start:stop])


@given(st.sampled_from(RATES), st.integers(1, 30_000))
def test_it_is_scipy_s_resampling(rate, n):
    signal = resampled(Signal(np.random.default_rng(0).normal(size=n), rate), 100).microvolts
    expected = resample_poly(signal.samples, signal.up, signal.down, window=signal.filter, padtype="edge")
    assert np.allclose(signal[:], expected[: len(signal)], rtol=0, atol=1e-12)


def test_an_offset_stays_what_it_is_to_the_ends():
    assert np.allclose(resampled(Signal(np.full(7680, 40.0), 256.0), 100).microvolts[:], 40, atol=0.01)


def test_an_envelope_is_the_root_mean_square_of_each_second():
    loud = np.repeat([1.0, 10.0, 2.0], 256)
    muscle = Signal(loud * np.sqrt(2) * np.sin(2 * np.pi * 40 * np.arange(768) / 256), 256.0)
    found = envelope(muscle, 1.0)
    assert found.rate == 1 and np.allclose(found.microvolts, [1, 10, 2], rtol=0.05)


def test_movement_below_10_hz_is_not_in_an_envelope():
    sway = Signal(100 * np.sin(2 * np.pi * 0.5 * np.arange(2560) / 256), 256.0)
    assert envelope(sway, 1.0).microvolts[2:].max() < 1

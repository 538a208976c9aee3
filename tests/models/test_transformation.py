"""What is done to signals before a model sees them."""

import numpy as np
import pytest

from sleepbench.models.transformation import NONE, LowPass, Robust, Standard, StandardEpoch, Unit, transformation_from


@pytest.fixture
def signals():
    """Two channels of 40 epochs that differ in level and amplitude."""
    noise = np.random.default_rng(0).standard_normal((40, 2, 3000)).astype(np.float32)
    return noise * np.array([10, 300], np.float32)[:, None] + np.array([5, -80], np.float32)[:, None]


def transformed(transformation, signals):
    measured = transformation.measure(signals)
    return transformation(signals, np.repeat(measured[None], len(signals), axis=0))


def test_signals_are_left_as_they_are_by_none(signals):
    assert transformed(NONE, signals) is signals


def test_a_unit_divides(signals):
    assert np.allclose(transformed(Unit(20), signals), signals / 20)


def test_standard_has_mean_0_and_deviation_1_in_each_channel(signals):
    found = transformed(Standard(), signals)
    assert found.dtype == np.float32
    assert np.allclose(found.mean(axis=(0, 2)), 0, atol=1e-4) and np.allclose(found.std(axis=(0, 2)), 1, atol=1e-4)


def test_robust_has_median_0_and_quartiles_1_apart_whatever_the_outliers(signals):
    signals[3, 0, :100] = 1e6
    found = transformed(Robust(), signals)
    low, median, high = np.percentile(found, (25, 50, 75), axis=(0, 2))
    assert np.allclose(median, 0, atol=1e-4) and np.allclose(high - low, 1, atol=1e-4)
    assert found.max() > 1e4


def test_robust_cuts_off_around_0_microvolts_and_then_scales(signals):
    signals[3, 0, :100] = 1e6
    low, median, high = np.percentile(signals, (25, 50, 75), axis=(0, 2))[..., None]
    limit = 20 * (high - low)
    found = transformed(Robust(clip=20), signals)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, (signals.clip(-limit, limit) - median) / (high - low), rtol=1e-4, atol=1e-5)


def test_standard_epoch_has_mean_0_and_deviation_1_in_each_channel_of_each_epoch(signals):
    found = transformed(StandardEpoch(), signals)
    assert found.dtype == np.float32
    assert np.allclose(found.mean(axis=2), 0, atol=1e-4) and np.allclose(found.std(axis=2), 1, atol=1e-4)
    assert np.array_equal(found[:1], transformed(StandardEpoch(), signals[:1]))


def test_standard_epoch_may_have_a_filter_before_it(signals):
    filtered = transformed(LowPass(30), signals)
    expected = transformed(StandardEpoch(), filtered)
    np.testing.assert_allclose(transformed(StandardEpoch(30), signals), expected, atol=1e-6)


@pytest.mark.parametrize("transformation", [Standard(), StandardEpoch(), StandardEpoch(30), Robust(), Robust(20)])
def test_a_channel_that_never_changes_becomes_0(transformation):
    assert not transformed(transformation, np.full((3, 1, 3000), 7.0, np.float32)).any()


def test_low_pass_keeps_what_is_below_and_no_epoch_depends_on_another():
    seconds = np.arange(3000) / 100
    slow, fast = (np.sin(2 * np.pi * hertz * seconds).astype(np.float32) for hertz in (2, 45))
    signals = np.stack([slow + fast, slow])[:, None]
    found = transformed(LowPass(20), signals)
    assert found.dtype == np.float32
    assert np.abs(found[0, 0, 200:-200] - slow[200:-200]).max() < 0.01
    assert np.array_equal(found[:1], transformed(LowPass(20), signals[:1]))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("none", NONE),
        ("standard", Standard()),
        ("standard_epoch", StandardEpoch()),
        ({"standard_epoch": {"low_pass": 30}}, StandardEpoch(30)),
        ({"unit": {"microvolts": 20}}, Unit(20)),
        ({"robust": {"clip": 20}}, Robust(20)),
        ({"low_pass": {"hertz": 40}}, LowPass(40)),
    ],
)
def test_entries_and_settings_say_the_same(entry, expected):
    assert transformation_from(entry, "x") == expected
    assert transformation_from(expected.settings(), "x") == expected

"""The network in integers, against the folded one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleepbench.core.errors import BenchmarkError
from sleepbench.deployment.quantisation import (
    LOGITS_PER_UNIT,
    calibrate,
    calibration_epochs,
    constant_bytes,
    constants,
    product,
    quantise,
    rectified,
    rescaled,
    signed,
)
from sleepbench.models import create_model
from sleepbench.models.kernels.folded import fold


def network_and_epochs(n_samples=600):
    import torch

    torch.manual_seed(5)
    network = fold(create_model("ulw_sleepnet", 2).eval())
    noise = np.random.default_rng(0).normal(0, 40, (12, 2, n_samples + 20)).astype(np.float32)
    return network, np.cumsum(noise, axis=-1)[..., 20:] - np.cumsum(noise, axis=-1)[..., :-20]


@pytest.fixture(scope="module")
def made():
    network, x = network_and_epochs()
    return network, x, calibrate(network, x)


def test_16_bits_are_near_and_8_bits_further_off(made):
    network, x, ranges = made
    expected = network(x.astype(float))
    far = {bits: np.abs(quantise(network, ranges, bits, 600)(x) / LOGITS_PER_UNIT - expected).max() for bits in (16, 8)}
    assert far[16] < far[8]
    assert far[16] < 0.02 * np.abs(expected).max()


def test_constants_are_bytes_and_32_bits_and_a_quarter_of_single_precision(made):
    network, _, ranges = made
    integers = quantise(network, ranges, 16, 600)
    assert {str(array.dtype) for array in constants(integers)} == {"int8", "int32"}
    assert constant_bytes(integers) < 0.4 * constant_bytes(network.astype(np.float32))


def test_each_output_uses_all_of_its_bytes(made):
    network, _, ranges = made
    for block in quantise(network, ranges, 8, 600).blocks:
        for matrix in (block.main1.pointwise, block.main2.pointwise, block.shortcut):
            assert (np.abs(matrix.astype(int)).max(axis=1) == 127).all()


def test_what_is_beyond_the_range_is_the_range(made):
    network, x, ranges = made
    integers = quantise(network, ranges, 16, 600)
    assert np.array_equal(integers(1e6 * np.ones_like(x)), integers(1e9 * np.ones_like(x)))
    assert np.isfinite(integers(1e30 * x)).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_a_dead_network_can_be_quantised(made, bits):
    network, x, _ = made
    ranges = dict.fromkeys(calibrate(network, 0 * x), 0.0)
    assert np.isfinite(quantise(network.astype(np.float64), ranges, bits, 600)(x)).all()


def test_other_numbers_of_bits_are_refused(made):
    network, _, ranges = made
    with pytest.raises(BenchmarkError, match="12 bits, expected one of 16, 8"):
        quantise(network, ranges, 12, 600)


def test_ranges_are_the_largest_magnitude_or_a_percentile(made):
    network, x, ranges = made
    assert ranges["input"] == np.abs(x).max()
    assert calibrate(network, x, 99)["input"] == pytest.approx(np.percentile(np.abs(x), 99), rel=1e-6)
    assert all(calibrate(network, x, 99)[name] < most for name, most in ranges.items())


@given(st.integers(1, 2000))
def test_calibration_takes_epochs_evenly_over_all(n):
    found = calibration_epochs(n)
    assert len(found) == min(n, 200) and found[0] == 0 and found[-1] == n - 1
    assert n == 1 or np.ptp(np.diff(found)) <= 1


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**30))
def test_rescaling_rounds_half_up(number, multiplier):
    exact = number * multiplier  # in Python's integers
    assert rescaled(np.array([[number]]), np.array([multiplier]))[0, 0] == (2 * exact + 2**32) // 2**33


@given(st.integers(-(2**40), 2**40), st.sampled_from([8, 16]))
def test_activations_fit_their_bits(number, bits):
    assert -(2 ** (bits - 1)) <= signed(number, bits) < 2 ** (bits - 1)
    assert 0 <= rectified(number, bits) < 2**bits


def test_products_are_exact():
    matrix = np.full((1, 32), -128, np.int8)
    x = np.full((1, 32, 1), 2**16 - 1)
    assert product(matrix, x).item() == -128 * 32 * (2**16 - 1)

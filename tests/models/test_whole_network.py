"""ULW-SleepNet in C against the network itself."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_folded import random_network

from sleepbench.core.errors import BenchmarkError
from sleepbench.models import create_model
from sleepbench.models.kernels import whole_network as kernel
from sleepbench.models.kernels.whole_network import WholeNetwork, whole_network
from sleepbench.training.engines import SCORING, forward_of

pytestmark = pytest.mark.skipif(kernel._library() is None, reason="there is no C compiler")


def microvolts(*shape, seed=0):
    return 30 * np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def logits_of(network, signals):
    with torch.inference_mode():
        return network.double()(torch.from_numpy(signals).double()).numpy(), network.float()


@settings(max_examples=25, deadline=None)
@given(n_channels=st.integers(1, 4), n_samples=st.one_of(st.integers(1, 150), st.sampled_from([500, 777, 2999, 3000])))
def test_logits_are_those_of_the_network(n_channels, n_samples):
    network, signals = random_network(n_channels), microvolts(3, n_channels, n_samples)
    found, (expected, _) = WholeNetwork(network)(signals), logits_of(network, signals)
    assert found.dtype == np.float32 and found.shape == (3, 5)
    assert np.abs(found - expected).max() <= 3e-6 * max(1, np.abs(expected).max())


def test_other_numbers_of_stages():
    torch.manual_seed(0)
    network, signals = create_model("ulw_sleepnet", 2, n_classes=3).eval(), microvolts(2, 2, 3000)
    np.testing.assert_allclose(WholeNetwork(network)(signals), logits_of(network, signals)[0], atol=1e-6)


def test_an_epoch_knows_nothing_of_the_others_to_the_last_bit():
    compiled, signals = WholeNetwork(random_network(4)), microvolts(5, 4, 3000)
    assert np.array_equal(compiled(signals), np.concatenate([compiled(one[None]) for one in signals]))


def test_what_is_no_number_stays_none():
    signals = microvolts(3, 2, 3000)
    signals[1, 1, 1234] = np.nan
    found = WholeNetwork(random_network(2))(signals)
    assert np.isnan(found[1]).all() and np.isfinite(found[[0, 2]]).all()


def test_signals_may_lie_in_memory_in_any_way_and_have_any_precision():
    compiled, signals = WholeNetwork(random_network(2)), microvolts(4, 2, 600)
    expected = compiled(signals)
    assert np.array_equal(compiled(signals.astype(np.float64)), expected)
    assert np.array_equal(compiled(np.asfortranarray(signals)), expected)
    assert np.array_equal(compiled(np.repeat(signals, 2, axis=0)[::2]), expected)
    assert compiled(signals[:0]).shape == (0, 5)


@pytest.mark.parametrize("shape", [(2, 3, 3000), (2, 3000), (2, 2, 0)])
def test_signals_of_another_shape_are_refused(shape):
    with pytest.raises(BenchmarkError, match=r"signals are \(.*\), expected \(n, 2, time\)"):
        WholeNetwork(random_network(2))(np.zeros(shape, np.float32))


def test_weights_are_those_of_the_moment():
    network, signals = random_network(1), microvolts(1, 1, 3000)
    before = WholeNetwork(network)
    with torch.no_grad():
        network.output.bias.add_(1)
    np.testing.assert_allclose(WholeNetwork(network)(signals), before(signals) + 1, rtol=1e-5)


def test_who_has_no_such_form(monkeypatch):
    assert whole_network(create_model("ulw_no_skip", 1)) is None
    with pytest.raises(BenchmarkError, match="found ULWNoSkip, expected ULWSleepNet"):
        WholeNetwork(create_model("ulw_no_skip", 1))
    monkeypatch.setattr(kernel, "_library", lambda: None)
    assert whole_network(random_network(1)) is None
    with pytest.raises(BenchmarkError, match="install a C compiler"):
        WholeNetwork(random_network(1))


def test_scoring_takes_it_where_there_is_one():
    network, signals = random_network(2), torch.from_numpy(microvolts(2, 2, 3000))
    with torch.inference_mode():
        found = forward_of(network, SCORING)(signals)
        assert np.array_equal(found.numpy(), WholeNetwork(network)(signals.numpy()))
        assert torch.allclose(found, network(signals), rtol=1e-5, atol=1e-5)
    other = create_model("eegnet", 2).eval()
    assert torch.equal(forward_of(other, SCORING)(signals), other(signals))

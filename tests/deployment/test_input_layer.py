"""Input transformations as layers against what NumPy does."""

import dataclasses

import numpy as np
import pytest
import torch

from sleepbench.core.errors import BenchmarkError
from sleepbench.deployment.input_layer import STATISTICS, input_layer
from sleepbench.models.transformation import KINDS, NONE, InputTransformation, transformation_from

ENTRIES = [
    {"unit": {"microvolts": 20}},
    *({kind: {"clip": clip}} for kind in ("standard", "robust") for clip in (None, 2.0)),
    *({"standard_epoch": {"low_pass": hertz}} for hertz in (None, 30)),
    *({"low_pass": {"hertz": hertz}} for hertz in (10, 30, 40)),
]


def night(n_samples):
    """Epochs of one recording: noise on slow waves, a channel that never changes, one far from zero."""
    random = np.random.default_rng(0)
    slow = 80 * np.sin(2 * np.pi * np.arange(n_samples) / 100 + random.uniform(0, 6, (6, 4, 1)))
    signals = slow + 10 * random.standard_normal((6, 4, n_samples))
    signals[:, 1], signals[2, 2] = 250.3, 0
    signals[:, 3] += 500
    return signals.astype(np.float32)


@pytest.mark.parametrize("n_samples", [3000, 500, 100])
@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_a_layer_does_what_numpy_does(entry, n_samples):
    transformation, signals = transformation_from(entry, "a test"), night(n_samples)
    measured = np.broadcast_to(transformation.measure(signals), (6, 2, 4))
    expected = transformation(signals, measured)
    statistics = [torch.from_numpy(measured.copy())] if type(transformation) in STATISTICS else []
    found = input_layer(transformation, n_samples)(torch.from_numpy(signals), *statistics).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * max(1, np.abs(expected).max()))


def test_every_kind_has_a_layer():
    assert {name for entry in ENTRIES for name in entry} == set(KINDS) - {"none"}
    assert input_layer(NONE, 3000) is None


def test_a_kind_without_a_layer_is_refused(monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Another(InputTransformation):
        pass

    monkeypatch.setitem(KINDS, "another", Another)
    with pytest.raises(BenchmarkError, match=r"another.* has no layer"):
        input_layer(Another(), 3000)

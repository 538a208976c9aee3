"""Channels are measured exactly, whatever they were stored as."""

import numpy as np
import pytest

from sleepbench.datasets.base import Signal, Storage
from sleepbench.datasets.sleep_edf_cassette import storage_of
from sleepbench.preparation.measure import measure_channel
from sleepbench.signals.edf import MICROVOLTS, EdfSignal


def stored(unit: str = "uV", inverted: bool = False, digital: tuple[int, int] = (-2048, 2047)) -> Storage:
    low, high = (197, -196) if inverted else (-197, 196)
    return storage_of(EdfSignal("X", unit, low, high, *digital, samples_per_record=3000))


@pytest.mark.parametrize("unit", ["uV", "mV", "V"])
@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("rate", [1.0, 100.0])
def test_a_channel_is_measured_exactly(unit: str, inverted: bool, rate: float) -> None:
    storage, n_epochs, samples = stored(unit, inverted), 12, round(30 * rate)
    digital = np.random.default_rng(1).normal(0, 900, (n_epochs + 1, samples)).round().clip(-2048, 2047)
    digital[3] = 17
    digital[5] = -2048  # flat and clipped
    digital[6, 1:] = 4  # one sample differs: not flat
    digital[12] = 0  # beyond the last whole epoch of the night: left out
    microvolts = digital * storage.gain + storage.offset
    assert np.abs(microvolts).max() == pytest.approx(197 * MICROVOLTS[unit], rel=0.01)
    measured = measure_channel(Signal(microvolts.ravel()[:-1], rate, storage), n_epochs)
    assert measured["flat_share"] == 2 / 12
    inside = digital[:12]
    assert measured["clipped_share"] == ((inside == -2048) | (inside == 2047)).mean()
    ordered = np.sort(microvolts[:12].ravel())
    for percentage, amplitude in measured["quantiles_uv"].items():
        rank = -(-len(ordered) * int(10 * float(percentage)) // 1000)
        assert amplitude == pytest.approx(ordered[rank - 1], rel=1e-12, abs=1e-6)


def test_limits_of_an_extreme_scale_are_measured() -> None:
    storage = storage_of(EdfSignal("X", "V", 999999.9, 1000000, -32768, 32767, samples_per_record=3000))
    digital = np.tile([-32768, 32767, 0], 1000)
    measured = measure_channel(Signal(digital * storage.gain + storage.offset, 100, storage), 1)
    assert measured["flat_share"] == 0 and measured["clipped_share"] == pytest.approx(2 / 3)


def test_without_a_storage_values_are_measured_as_they_are() -> None:
    storage = stored()
    digital = np.random.default_rng(1).normal(0, 300, (5, 3000)).round()
    digital[2] = 17
    microvolts = (digital * storage.gain + storage.offset).ravel()
    known, unknown = measure_channel(Signal(microvolts, 100, storage), 5), measure_channel(Signal(microvolts, 100), 5)
    assert unknown == known | {"clipped_share": None, "samples_beyond_limits": None}
    assert known["clipped_share"] == known["samples_beyond_limits"] == 0

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import resample

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.base import Signal
from sleepbench.preparation.cut import cut_night

WHERE = Path("night.edf")
MONTAGE = {"eeg1": "EEG", "emg": "EMG"}
N = 7


def night(n_samples=3000, seconds=30 * N + 4):
    generator = np.random.default_rng(0)
    fast = Signal(generator.normal(0, 20, seconds * 100), 100.0)
    return cut_night(WHERE, MONTAGE, {"eeg1": fast, "emg": Signal(generator.normal(3, 1, seconds), 1.0)}, n_samples)


@pytest.mark.parametrize("chosen", [[0, 1, 2], [0, 2, 6], [5], range(N)])
def test_epochs_are_cut_wherever_they_are_chosen(chosen):
    cut = night()
    found = cut.epochs(np.array(chosen))
    assert found.dtype == np.float32 and found.shape == (len(chosen), 2, 3000)
    for epoch, i in zip(found, chosen, strict=True):
        fast = cut.signals["eeg1"].microvolts[i * 3000 : (i + 1) * 3000]
        slow = resample(cut.signals["emg"].microvolts[i * 30 : (i + 1) * 30], 3000)
        assert np.array_equal(epoch[0], fast.astype(np.float32)) and np.allclose(epoch[1], slow, atol=1e-5)


def test_of_no_epoch_there_is_nothing():
    assert night().epochs(np.empty(0, np.int64)).shape == (0, 2, 3000)


def test_what_is_left_over_and_which_rates_were_changed_is_said():
    cut = night()
    assert (cut.n_epochs, cut.seconds) == (N, 30 * N + 4)
    assert cut.remarks(cut.measure()) == ["the last 4 s of the signal fill no epoch and are left out"]
    assert cut.rate_remarks() == ["EMG is recorded at 1 Hz; each epoch is resampled to 3000 samples"]


def test_the_shortest_signal_decides_how_many_epochs_there_are():
    signals = {"eeg1": Signal(np.zeros(9000), 100.0), "emg": Signal(np.zeros(60), 1.0)}
    assert cut_night(WHERE, MONTAGE, signals, 3000).n_epochs == 2


@pytest.mark.parametrize(
    ("signal", "said"),
    [
        (Signal(np.zeros(9000), 100.01), "at 100.01 Hz an epoch has no whole number of samples"),
        (Signal(np.full(9000, np.inf), 100.0), "has samples that are no numbers"),
    ],
)
def test_a_signal_that_cannot_be_cut_is_named(signal, said):
    with pytest.raises(BenchmarkError, match=f"night.edf, channel 'EEG': {said}"):
        cut_night(WHERE, MONTAGE, {"eeg1": signal}, 3000)

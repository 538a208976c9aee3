"""The spectra that SeqSleepNet computes, and its filters."""

import numpy as np
import pytest
import torch
from scipy import signal

from sleepbench.models.seq_sleepnet import POWER_FLOOR, TYPICAL_POWER, FilterBank, LogSpectrogram


def test_spectra_are_those_of_scipy():
    epochs = np.random.default_rng(0).normal(0, 30, (3, 3000)).astype(np.float32)
    window = signal.get_window("hamming", 200, fftbins=False)
    frequencies, _, spectra = signal.stft(
        epochs.astype(np.float64), 100, window, nperseg=200, noverlap=100, nfft=256, boundary=None, padded=False
    )
    power = np.abs(spectra * window.sum()) ** 2  # scipy divides by the window's sum
    expected = np.log10((power + POWER_FLOOR) / TYPICAL_POWER).transpose(0, 2, 1)
    found = LogSpectrogram()(torch.from_numpy(epochs))
    assert found.shape == (3, 29, len(frequencies)) == (3, 29, 129)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


def test_a_dead_signal_has_a_spectrum():
    spectra = LogSpectrogram()(torch.zeros(1, 3000))
    torch.testing.assert_close(spectra, torch.full((1, 29, 129), -3.0))


def test_filters_are_triangles_evenly_spaced_up_to_50_hz():
    triangles = FilterBank(1).triangles.numpy()
    hertz = np.linspace(0, 50, 129)
    corners = np.linspace(0, 50, 34)
    for i, triangle in enumerate(triangles):
        np.testing.assert_allclose(triangle, np.interp(hertz, corners[i : i + 3], [0, 1, 0]), atol=1e-5)


@pytest.mark.parametrize("channel", [0, 1])
def test_every_channel_has_its_own_filters(channel):
    torch.manual_seed(0)
    bank, spectra = FilterBank(2), torch.randn(1, 2, 29, 129)
    with torch.no_grad():
        before = bank(spectra)
        bank.weight[channel] += 1
        changed = (bank(spectra) != before).any(dim=1)[0]
    assert changed.unflatten(0, (2, 32)).any(dim=1).tolist() == [channel == 0, channel == 1]

"""SeqSleepNet's spectra, what standardises them, and its triangles."""

import numpy as np
import torch
from scipy import signal

from sleepbench.models.seq_sleepnet import SeqSleepNet, triangles


def test_spectra_are_20_log10_of_matlabs_short_time_fourier_transform():
    torch.manual_seed(0)
    x = 20 * torch.randn(2, 1, 3000)
    frames = np.lib.stride_tricks.sliding_window_view(x[:, 0].double().numpy(), 200, axis=-1)[:, ::100]
    assert frames.shape == (2, 29, 200)
    spectra = np.fft.rfft(frames * signal.windows.hamming(200, sym=True), 256)  # zeros behind the window
    found = SeqSleepNet(1).spectrogram(x[:, 0])
    # In the weakest bin the floor tells.
    np.testing.assert_allclose(found, 20 * np.log10(np.abs(spectra)), rtol=0, atol=0.02)


def test_bins_are_standardised_with_the_training_set():
    torch.manual_seed(0)
    epochs = torch.randn(6, 2, 3000) * torch.tensor([20.0, 2.0])[:, None]
    model = SeqSleepNet(2)
    model.measure_input([epochs[:4], epochs[4:]])
    spectra = model.spectra(epochs)
    assert spectra.mean(dim=(0, 2)).abs().max() < 1e-4
    torch.testing.assert_close(spectra.std(dim=(0, 2), correction=0), torch.ones(2, 129), rtol=0, atol=1e-4)


def test_a_dead_signal_stays_finite():
    assert SeqSleepNet(1)(torch.zeros(1, 20, 1, 3000)).isfinite().all()


def test_corners_of_the_triangles_are_rounded_down_to_bins():
    peaks = triangles().argmax(dim=1)
    assert peaks.tolist() == [int(257 * 50 * i / 33 / 100) for i in range(1, 33)]
    assert (triangles().amax(dim=1) == 1).all()


def test_steps_beyond_training_use_the_last_steps_statistics():
    torch.manual_seed(0)
    model = SeqSleepNet(1).eval()
    epochs = torch.randn(1, 60, 128)
    with torch.no_grad():
        assert model.classify_encoded(epochs).shape == (1, 60, 5)
    before = model.sequence_lstm.norm_hh.running_mean.clone()
    model.train().classify_encoded(torch.randn(3, 25, 128))
    assert model.sequence_lstm.norm_hh.running_mean.shape == before.shape

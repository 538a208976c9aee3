import math

import torch
from torch import nn

from sleepbench.models.sleep_satelight import (
    POWER_FLOOR,
    MultitaperSpectrum,
    SleepSatelightFT,
    SleepSatelightFTC,
    SpatialConv,
)


def test_spectrum_of_a_sine_and_of_a_signal_that_stands_still():
    spectrum = MultitaperSpectrum()
    time = torch.arange(1500) / 50
    sine = 30 * (2 * torch.pi * 12 * time).sin() + 100
    decibels = spectrum(torch.stack((sine, torch.full((1500,), 5.0))))
    assert decibels.shape == (2, 750)
    assert abs(int(decibels[0].argmax()) - 12 * 30) <= 4  # bins are 1/30 Hz apart, the tapers' band 4 on either side
    power = (10 ** (decibels[0] / 10)).sum() / 30  # Parseval: the variance, 30 ** 2 / 2
    torch.testing.assert_close(power, torch.tensor(450.0), rtol=1e-3, atol=0)
    torch.testing.assert_close(decibels[1], torch.full((750,), 10 * math.log10(POWER_FLOOR)))


def test_an_epoch_is_scored_from_itself_and_seven_to_either_side():
    torch.manual_seed(0)
    model = SleepSatelightFTC(1).double().eval()
    night = 20 * torch.randn(1, 30, 1, 3000, dtype=torch.float64)
    changed = night.clone()
    changed[:, 15] *= 3
    with torch.inference_mode():
        difference = (model(changed) - model(night)).abs().amax(dim=(0, 2))
    assert (difference > 1e-12).nonzero().flatten().tolist() == list(range(8, 23))


def test_starts_as_keras_does():
    """Glorot-uniform, each about as far from 0 as its limit; the two streams' spatial filters within sqrt(6 / 18)."""
    torch.manual_seed(0)
    model = SleepSatelightFT(1)
    for module in model.modules():
        if isinstance(module, SpatialConv):
            limit = (6 / 18) ** 0.5
        elif isinstance(module, nn.Conv2d | nn.Linear):
            n_outputs, n_inputs = module.weight.flatten(1).shape
            of_one = module.weight[0, 0].numel()
            limit = (6 / (n_inputs + n_outputs * of_one)) ** 0.5
        else:
            continue
        largest = module.weight.abs().max().item()
        assert 0.85 * limit < largest <= limit
        assert abs(module.weight.std().item() / limit * 3**0.5 - 1) < 0.3
        assert module.bias is None or not module.bias.any()

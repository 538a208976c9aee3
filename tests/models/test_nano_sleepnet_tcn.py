"""NanoSleepNet-TCN sees seven epochs to either side."""

import torch

from sleepbench.models.nano_sleepnet_tcn import NanoSleepNetTCN


def test_an_epoch_is_scored_from_itself_and_seven_to_either_side():
    torch.manual_seed(0)
    model = NanoSleepNetTCN(1).double().eval()
    night = 20 * torch.randn(1, 30, 1, 3000, dtype=torch.float64)
    changed = night.clone()
    changed[:, 15] *= 3
    with torch.inference_mode():
        difference = (model(changed) - model(night)).abs().amax(dim=(0, 2))
    assert (difference > 1e-12).nonzero().flatten().tolist() == list(range(8, 23))

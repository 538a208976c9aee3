"""What an epoch's scores depend on."""

import pytest
import torch
from torch import Tensor

from sleepbench.models.nano_sleepnet_tcn import NanoSleepNetTCN, NanoSleepNetTCNCausal


@pytest.fixture
def night() -> Tensor:
    return 20 * torch.randn(1, 30, 1, 3000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def network(kind: type, seed: int = 0) -> NanoSleepNetTCN:
    torch.manual_seed(seed)
    return kind(1).double().eval()


def differing(model: NanoSleepNetTCN, night: Tensor, epoch: int) -> list[int]:
    changed = night.clone()
    changed[:, epoch] *= 3
    with torch.inference_mode():
        difference = (model(changed) - model(night)).abs().amax(dim=(0, 2))
    return (difference > 1e-12).nonzero().flatten().tolist()


def test_an_epoch_is_scored_from_itself_and_seven_to_either_side(night):
    assert differing(network(NanoSleepNetTCN), night, 15) == list(range(8, 23))


def test_causal_an_epoch_is_scored_from_itself_and_nine_before_it(night):
    model = network(NanoSleepNetTCNCausal)
    assert differing(model, night, 15) == list(range(15, 25))
    assert differing(model, night, 0) == list(range(10))


def test_causal_later_epochs_change_nothing_earlier(night):
    model = network(NanoSleepNetTCNCausal)
    with torch.inference_mode():
        scores = model(night)
        for n_epochs in (1, 9, 10, 11, 29):
            other = night.clone()
            other[:, n_epochs:] = torch.randn_like(other[:, n_epochs:])
            assert torch.equal(model(other)[:, :n_epochs], scores[:, :n_epochs])
            torch.testing.assert_close(model(night[:, :n_epochs]), scores[:, :n_epochs])


def test_causal_a_run_is_scored_as_online_from_ten_cached_epochs(night):
    model = network(NanoSleepNetTCNCausal)
    with torch.inference_mode():
        online = [model(night[:, max(0, t - 9) : t + 1])[:, -1] for t in range(night.shape[1])]
        torch.testing.assert_close(model(night), torch.stack(online, dim=1))

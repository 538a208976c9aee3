"""Epochs of other lengths: who takes them, who is built for them, and who says why not."""

import pytest
import torch

from sleepbench.core.errors import BenchmarkError
from sleepbench.models import create_model, describe, model_names
from sleepbench.models.registry import architecture_of

SHORTER = 500
TAKEN = [
    name for name in model_names() if describe(name).kind == "network" and not describe(name).lacks_length(SHORTER)
]


def epochs(name: str, n_samples: int) -> torch.Tensor:
    info = describe(name)
    length = () if info.sequence_length is None else (2,)
    n_channels = 1 if info.takes(1) else info.least_channels
    return 20 * torch.randn(3, *length, n_channels, n_samples, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", TAKEN)
@pytest.mark.parametrize("n_samples", [SHORTER, 777])
def test_shorter_epochs_are_staged(name: str, n_samples: int) -> None:
    x = epochs(name, n_samples)
    model = create_model(name, x.shape[-2], n_samples=n_samples).eval()
    with torch.no_grad():
        logits = model(x)
        assert logits.shape == (*x.shape[:-2], 5) and torch.isfinite(logits).all()
        if architecture_of(describe(name)).has_folds():
            assert torch.allclose(model.forward_fast(x), logits, atol=1e-5)


def test_all_that_average_over_time_take_shorter_epochs() -> None:
    assert {"ulw_sleepnet", "micro_sleepnet", "light_sleepnet", "sleepnet_lite", "nano_sleepnet"} <= set(TAKEN)
    assert {"nano_sleepnet_tcn", "nano_sleepnet_tcn_causal", "tiny_sleepnet", "ulw_flatten"} <= set(TAKEN)
    assert not describe("band_power").lacks_length(SHORTER)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("attn_sleep", "n_samples is 500, but the architecture is made for epochs of 3,000 samples"),
        ("u_time", "n_samples is 500, but the architecture reads a sequence as one unbroken signal"),
    ],
)
def test_who_does_not_says_why(name: str, reason: str) -> None:
    with pytest.raises(BenchmarkError, match=reason):
        create_model(name, 1, n_samples=SHORTER)
    assert not describe(name).lacks_length(3000)

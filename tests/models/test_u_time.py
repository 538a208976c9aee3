"""U-Time on runs that its pools do not divide."""

import pytest
import torch
from torch.nn import functional

from sleepbench.models.u_time import UTime


@pytest.mark.parametrize(("length", "n_classified"), [(1, 1920), (2, 5760), (35, 103_680), (16, 48_000)])
def test_what_the_pools_dropped_is_zeros_at_both_ends(length, n_classified):
    torch.manual_seed(0)
    model = UTime(1).eval()
    samples = []
    model.classify_samples.register_forward_hook(lambda module, inputs, output: samples.append(output))
    with torch.inference_mode():
        logits = model(20 * torch.randn(1, length, 1, 3000))
        assert samples[0].shape == (1, 5, n_classified)
        missing = 3000 * length - n_classified
        padded = functional.pad(samples[0], (missing // 2, missing - missing // 2))
        expected = model.classify_epochs[1:](padded.unflatten(-1, (length, 3000)).mean(dim=-1)).transpose(1, 2)
    assert logits.shape == (1, length, 5)
    torch.testing.assert_close(logits, expected)

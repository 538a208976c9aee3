"""U-Time on runs that its pools do not divide."""

import pytest
import torch

from sleepbench.models.u_time import UTime


@pytest.mark.parametrize(("length", "n_classified"), [(1, 1920), (2, 5760), (35, 103_680), (16, 48_000)])
def test_an_epoch_cut_short_is_averaged_over_what_is_left(length, n_classified):
    torch.manual_seed(0)
    model = UTime(1).eval()
    samples = []
    model.classify_samples.register_forward_hook(lambda module, inputs, output: samples.append(output))
    with torch.inference_mode():
        logits = model(20 * torch.randn(1, length, 1, 3000))
        assert samples[0].shape == (1, 5, n_classified)
        means = torch.stack([epoch.mean(dim=-1) for epoch in samples[0].split(3000, dim=-1)], dim=-1)
        expected = model.classify_epochs[1:](means).transpose(1, 2)
    assert logits.shape == (1, length, 5)
    torch.testing.assert_close(logits, expected)

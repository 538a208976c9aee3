"""The causal convolutions of AttnSleep see no later step."""

import torch

from sleepbench.models.attn_sleep import N_CHANNELS, N_STEPS, CausalConv


def test_causal_convolution_sees_itself_and_the_six_steps_before():
    torch.manual_seed(0)
    x = torch.randn(1, N_CHANNELS, N_STEPS)
    changed = x.clone()
    changed[..., 40] += 1
    with torch.inference_mode():
        convolution = CausalConv()
        difference = (convolution(changed) - convolution(x)).abs().amax(dim=(0, 1))
    assert difference.shape == (N_STEPS,)
    assert (difference > 1e-6).nonzero().flatten().tolist() == list(range(40, 47))

import torch
from torch import nn

from sleepbench.models.light_sleepnet import LightSleepNet


def test_shortcuts_carry_the_signal_past_the_convolutions():
    """With the last norm of each block silenced, the pooled features are those of the stem."""
    torch.manual_seed(0)
    model = LightSleepNet(1).eval()
    for block in (model.block1, model.block2):
        last_norm = [module for module in block.modules() if isinstance(module, nn.BatchNorm1d)][-1]
        nn.init.zeros_(last_norm.weight)  # and its offset is 0: nothing passes the ReLU behind it
    pooled = []
    model.classifier.register_forward_pre_hook(lambda module, inputs: pooled.append(inputs[0]))
    epochs = 30 * torch.randn(3, 1, 3000)
    with torch.inference_mode():
        model(epochs)
        stem = model.stem(epochs)
    assert stem.shape == (3, 64, 1504)
    torch.testing.assert_close(pooled[0][:, :64], stem[..., ::2].mean(dim=-1))
    assert not pooled[0][:, 64:].any()

import pytest
import torch
from torch.nn.functional import cross_entropy

from sleepbench.models.eegnet import EEGNet, SpatialConv


def spatial_conv(model):
    return next(module for module in model.modules() if isinstance(module, SpatialConv))


def test_only_norms_above_one_are_limited():
    torch.manual_seed(0)
    conv = SpatialConv(n_channels=4)
    with torch.no_grad():
        conv.weight[:8] *= 10 / torch.linalg.vector_norm(conv.weight[:8], dim=(1, 2, 3), keepdim=True)
        conv.weight[8:] *= 0.5 / torch.linalg.vector_norm(conv.weight[8:], dim=(1, 2, 3), keepdim=True)
    limited = conv.limited_weight()
    torch.testing.assert_close(limited[:8], conv.weight[:8] / 10)
    assert torch.equal(limited[8:], conv.weight[8:])


def test_the_limit_holds_in_training_and_leaves_the_weight_to_the_optimizer():
    torch.manual_seed(0)
    model = EEGNet(4)
    conv = spatial_conv(model)
    with torch.no_grad():
        conv.weight.mul_(10)
    before = conv.weight.detach().clone()
    logits = model(30 * torch.randn(5, 4, 3000))
    assert torch.equal(conv.weight, before)
    cross_entropy(logits, torch.arange(5)).backward()
    assert conv.weight.grad.any(dim=(1, 2, 3)).all()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    assert not torch.equal(conv.weight, before)
    assert torch.linalg.vector_norm(conv.limited_weight(), dim=(1, 2, 3)).max() <= 1 + 1e-6


@pytest.mark.parametrize("n_channels", [1, 4])
def test_a_larger_weight_changes_nothing_once_limited(n_channels):
    torch.manual_seed(0)
    model = EEGNet(n_channels).eval()
    conv = spatial_conv(model)
    epochs = 30 * torch.randn(2, n_channels, 3000)
    with torch.no_grad():
        conv.weight.mul_(1e3)
        expected = model(epochs)
        conv.weight.mul_(10)
        torch.testing.assert_close(model(epochs), expected)

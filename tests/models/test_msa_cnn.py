import pytest
import torch
from torch import nn

from sleepbench.models.msa_cnn import MSACNNLarge, MSACNNSmall, MultiScaleConv


def test_every_scale_leaves_every_eighth_sample():
    multi_scale = MultiScaleConv()
    signal = torch.randn(2, 1, 4, 3000)
    assert [tuple(scale(signal).shape) for scale in multi_scale.scales] == [(2, 8, 4, 375)] * 4
    assert multi_scale(signal).shape == (2, 32, 4, 375)


def test_scales_see_ever_longer_stretches():
    lengths = []
    for scale in MultiScaleConv().eval().scales:
        signal = torch.zeros(1, 1, 1, 3000, requires_grad=True)
        _, conv, *_ = scale
        nn.init.ones_(conv.weight)
        nn.init.ones_(conv.bias)  # above the ReLU's threshold
        scale(signal)[0, 0, 0, 187].backward()
        lengths.append(int(signal.grad.count_nonzero()))
    assert lengths == [15, 30, 60, 120]


@pytest.mark.parametrize(("n_channels", "n_steps"), [(1, 71), (2, 75), (4, 75)])
def test_transformer_sees_the_steps_left_by_the_spatial_filter(n_channels, n_steps):
    model = MSACNNSmall(n_channels)
    seen = []
    model.transformer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape))
    model(torch.randn(2, n_channels, 3000))
    assert seen == [(2, n_steps, 16)]


def test_positional_encoding_is_fixed_and_tells_steps_apart():
    model = MSACNNLarge(4)
    position = model.position
    assert "position" not in model.state_dict() | dict(model.named_parameters())
    assert position.shape == (75, 32)
    assert torch.equal(position[0], torch.tensor([0.0, 1.0] * 16))
    torch.testing.assert_close(position[:, 0], torch.arange(75.0).sin())
    torch.testing.assert_close(position[:, 3], (torch.arange(75) * 10_000 ** (-2 / 32)).cos())
    assert torch.cdist(position, position).fill_diagonal_(1).min() > 0.1


def test_layers_of_the_transformer_start_equal_and_are_two():
    first, second = MSACNNLarge(1).transformer
    for weight, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(weight, other) and weight is not other


def test_channel_scale_starts_as_the_identity():
    model = MSACNNSmall(4)
    channel_scale = model.temporal[0]
    signal = torch.randn(2, 1, 4, 10)
    assert torch.equal(channel_scale(signal), signal)
    with torch.no_grad():
        channel_scale.scale[2] = 3
        channel_scale.offset[1] = 5
    torch.testing.assert_close(channel_scale(signal)[:, :, 2], 3 * signal[:, :, 2])
    torch.testing.assert_close(channel_scale(signal)[:, :, 1], signal[:, :, 1] + 5)

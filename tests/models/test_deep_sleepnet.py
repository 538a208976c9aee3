"""DeepSleepNet: TensorFlow's padding, and two stages between which the trained convolutions are handed on."""

import math

import torch
from torch import nn
from torch.nn import functional

from sleepbench.models.deep_sleepnet import DeepSleepNet, DeepSleepNetCNN


def pad_as_tensorflow(x, kernel_size, stride, value):
    """TensorFlow's "SAME": time / stride outputs, rounded up; of an odd padding the greater half on the right."""
    length = x.shape[-1]
    total = max(0, (math.ceil(length / stride) - 1) * stride + kernel_size - length)
    return functional.pad(x, (total // 2, total - total // 2), value=value)


def test_convolutions_and_pools_are_padded_as_in_tensorflow():
    torch.manual_seed(0)
    extractor = DeepSleepNetCNN(1).eval().feature_extractor
    for branch in (extractor.short_filters, extractor.long_filters):
        x = 20 * torch.randn(2, 1, 3000)
        for layer in branch:
            with torch.inference_mode():
                found = layer(x)
                if isinstance(layer, nn.MaxPool1d):
                    x = pad_as_tensorflow(x, layer.kernel_size, layer.stride, -math.inf)
                    expected = functional.max_pool1d(x, layer.kernel_size, layer.stride)
                elif isinstance(layer, nn.Sequential):
                    _, convolution, norm, activation = layer
                    x = pad_as_tensorflow(x, convolution.kernel_size[0], convolution.stride[0], 0)
                    expected = activation(norm(functional.conv1d(x, convolution.weight, stride=convolution.stride)))
                else:
                    expected = x
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
            x = found


def test_trained_convolutions_go_into_the_whole():
    torch.manual_seed(0)
    first_stage, whole = DeepSleepNetCNN(1).eval(), DeepSleepNet(1).eval()
    whole.feature_extractor.load_state_dict(first_stage.feature_extractor.state_dict())
    epochs = 20 * torch.randn(2, 1, 3000)
    with torch.inference_mode():
        features = first_stage.feature_extractor(epochs)
        torch.testing.assert_close(whole.feature_extractor(epochs), features, rtol=0, atol=0)
    assert features.shape == (2, 3072)


def test_l2_falls_on_the_first_convolution_of_the_short_filters():
    for architecture in (DeepSleepNetCNN, DeepSleepNet):
        model = architecture(1)
        shapes = [tuple(model.get_parameter(name).shape) for name in model.l2_parameters()]
        assert shapes == [(64, 1, 50)]

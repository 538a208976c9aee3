import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from sleepbench.models.fused import conv_norm_relu_pool, dropout, pointwise


def plain(x, kernel, bias, norm):
    convolved = functional.conv1d(x.transpose(0, 1), kernel, bias, padding=1)
    return functional.max_pool1d(functional.relu(norm(convolved)), 2, ceil_mode=True).transpose(0, 1)


def leaves(n_inputs, n_outputs, n_signals, time, seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = ((n_inputs, n_signals, time), (n_outputs, n_inputs, 3), (n_outputs,), (n_outputs,), (n_outputs,))
    return [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]


def results(function, tensors, training):
    """Output, gradients of x, kernel, scale and shift, and the norm's running statistics."""
    x, kernel, bias, gamma, beta = tensors
    norm = nn.BatchNorm1d(len(gamma), eps=1e-3, momentum=0.1).double().train(training)
    norm.weight, norm.bias = nn.Parameter(gamma.detach().clone()), nn.Parameter(beta.detach().clone())
    norm.running_mean += 0.5
    output = function(x, kernel, bias, norm)
    weights = torch.arange(output.numel(), dtype=torch.float64).view(output.shape).sin()
    gradients = torch.autograd.grad((output * weights).sum(), [x, kernel, norm.weight, norm.bias])
    return output, *gradients, norm.running_mean, norm.running_var, norm.num_batches_tracked


@settings(max_examples=60, deadline=None)
@given(
    n_inputs=st.integers(1, 3),
    n_outputs=st.integers(1, 4),
    n_signals=st.integers(1, 3),
    time=st.integers(2, 13),
    training=st.booleans(),
    seed=st.integers(0, 100),
)
def test_output_gradients_and_statistics_are_those_of_the_plain_layers(
    n_inputs, n_outputs, n_signals, time, training, seed
):
    tensors = leaves(n_inputs, n_outputs, n_signals, time, seed)
    for found, expected in zip(
        results(conv_norm_relu_pool, tensors, training), results(plain, tensors, training), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_single_precision_survives_an_offset(offset):
    x, kernel, bias, gamma, beta = (tensor.detach() for tensor in leaves(1, 8, 64, 3000, seed=3))
    x = x * 10 + offset
    norm = nn.BatchNorm1d(8, eps=1e-3).double()
    norm.weight, norm.bias = nn.Parameter(gamma), nn.Parameter(beta)
    exact = plain(x, kernel, bias, norm)
    found = conv_norm_relu_pool(x.float(), kernel.float(), bias.float(), norm.float())
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-4)


def test_pointwise_is_a_convolution_of_one_sample():
    x, kernel, bias = torch.randn(3, 2, 10), torch.randn(4, 3), torch.randn(4)
    expected = functional.conv1d(x.transpose(0, 1), kernel[:, :, None], bias).transpose(0, 1)
    torch.testing.assert_close(pointwise(x, kernel, bias), expected)


def test_dropout_keeps_the_wanted_share_and_the_mean():
    x = torch.ones(1001, 999)
    module = nn.Dropout(0.3)
    torch.manual_seed(5)
    first = dropout(x, module)
    assert first.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert (first == 0).float().mean() == pytest.approx(0.3, abs=0.003)
    assert first.mean() == pytest.approx(1, abs=0.005)
    rows = (first == 0).float()
    assert abs(torch.corrcoef(torch.stack([rows[:, :-1].flatten(), rows[:, 1:].flatten()]))[0, 1]) < 0.01
    torch.manual_seed(5)
    assert torch.equal(dropout(x, module), first)
    assert torch.equal(dropout(x, module.eval()), x)
    assert torch.equal(dropout(x, nn.Dropout(0.0)), x)

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from sleepbench.models.fused import BatchNorm, conv_norm_relu_pool, dropout, pointwise


def batch_norm(weight, bias):
    return BatchNorm(weight, bias, torch.full_like(weight, 0.5), torch.ones_like(weight), epsilon=1e-3, momentum=0.1)


def plain(x, kernel, bias, norm, training):
    """The layers as PyTorch has them, fold by fold."""
    outputs = []
    for i in range(len(x)):
        y = functional.conv1d(x[i].transpose(0, 1), kernel[i], bias[i], padding=1)
        statistics = norm.running_mean[i], norm.running_var[i]
        y = functional.batch_norm(y, *statistics, norm.weight[i], norm.bias[i], training, norm.momentum, norm.epsilon)
        outputs.append(functional.max_pool1d(functional.relu(y), 2, ceil_mode=True).transpose(0, 1))
    return torch.stack(outputs)


def leaves(n_folds, n_inputs, n_outputs, n_signals, time, seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = (n_inputs, n_signals, time), (n_outputs, n_inputs, 3), (n_outputs,), (n_outputs,), (n_outputs,)
    return [torch.randn(n_folds, *shape, generator=generator, dtype=torch.float64) for shape in shapes]


def results(function, tensors, training):
    """Output, gradients of x, kernel, scale and shift, and the norm's running statistics."""
    x, kernel, bias, gamma, beta = (tensor.clone().requires_grad_() for tensor in tensors)
    norm = batch_norm(gamma, beta)
    norm.running_mean.detach_(), norm.running_var.detach_()
    output = function(x, kernel, bias, norm, training)
    weights = torch.arange(output.numel(), dtype=torch.float64).view(output.shape).sin()
    gradients = torch.autograd.grad((output * weights).sum(), [x, kernel, gamma, beta])
    return output, *gradients, norm.running_mean, norm.running_var


@settings(max_examples=60, deadline=None)
@given(
    n_folds=st.integers(1, 3),
    n_inputs=st.integers(1, 3),
    n_outputs=st.integers(1, 4),
    n_signals=st.integers(1, 3),
    time=st.integers(2, 13),
    training=st.booleans(),
    seed=st.integers(0, 100),
)
def test_output_gradients_and_statistics_are_those_of_the_plain_layers(
    n_folds, n_inputs, n_outputs, n_signals, time, training, seed
):
    tensors = leaves(n_folds, n_inputs, n_outputs, n_signals, time, seed)
    for found, expected in zip(
        results(conv_norm_relu_pool, tensors, training), results(plain, tensors, training), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_single_precision_survives_an_offset(offset):
    x, kernel, bias, gamma, beta = leaves(2, 1, 8, 64, 3000, seed=3)
    x = x * 10 + offset
    exact = plain(x, kernel, bias, batch_norm(gamma, beta), training=True)
    x, kernel, bias, gamma, beta = (tensor.float() for tensor in (x, kernel, bias, gamma, beta))
    found = conv_norm_relu_pool(x, kernel, bias, batch_norm(gamma, beta), training=True)
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-4)


def test_pointwise_is_a_convolution_of_one_sample():
    x, kernel, bias = torch.randn(2, 3, 2, 10), torch.randn(2, 4, 3), torch.randn(2, 4)
    for i in range(2):
        expected = functional.conv1d(x[i].transpose(0, 1), kernel[i, :, :, None], bias[i]).transpose(0, 1)
        torch.testing.assert_close(pointwise(x, kernel, bias)[i], expected)


def test_dropout_keeps_the_wanted_share_and_the_mean():
    x = torch.ones(1001, 999)
    torch.manual_seed(5)
    first = dropout(x, 0.3, training=True)
    assert first.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert (first == 0).float().mean() == pytest.approx(0.3, abs=0.003)
    assert first.mean() == pytest.approx(1, abs=0.005)
    rows = (first == 0).float()
    assert abs(torch.corrcoef(torch.stack([rows[:, :-1].flatten(), rows[:, 1:].flatten()]))[0, 1]) < 0.01
    torch.manual_seed(5)
    assert torch.equal(dropout(x, 0.3, training=True), first)
    assert torch.equal(dropout(x, 0.3, training=False), x)
    assert torch.equal(dropout(x, 0.0, training=True), x)

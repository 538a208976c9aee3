import shutil
from contextlib import nullcontext

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from sleepbench.models import create_model
from sleepbench.models.kernels.fused import BatchNorm, arrangement, conv_norm_relu_pool, dropout, join, pointwise
from sleepbench.models.kernels.fused_kernel import switched_off

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler for the kernel"
)


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


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
    weights = torch.arange(output.numel(), dtype=torch.float64).view(output.shape).sin().to(output.dtype)
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


@pytest.mark.parametrize("is_kernel", [pytest.param(True, marks=needs_compiler), False])
def test_flat_signals_have_no_negative_variance(is_kernel):
    kernel, one, zero = torch.tensor([[[[0.0, 1.0, 0.0]]]]), torch.ones(1, 1), torch.zeros(1, 1)
    with nullcontext() if is_kernel else switched_off():
        for offset in torch.linspace(100, 5000, 50):
            norm = batch_norm(one, zero)
            output = conv_norm_relu_pool(torch.full((1, 1, 3, 377), offset.item()), kernel, zero, norm, training=True)
            assert output.isfinite().all()
            assert norm.running_var >= 0.9 - 1e-6  # of 1, and a tenth of none


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


@needs_compiler
def test_single_precision_is_computed_by_the_kernel():
    assert arrangement() == "C kernel"
    x, kernel, bias, gamma, beta = (tensor.float() for tensor in leaves(1, 2, 3, 4, 50, seed=0))
    by_kernel = conv_norm_relu_pool(x, kernel, bias, batch_norm(gamma, beta), training=True)
    with switched_off():
        assert arrangement() == "PyTorch"
        assert not torch.equal(conv_norm_relu_pool(x, kernel, bias, batch_norm(gamma, beta), True), by_kernel)


def assert_near(found, expected):
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0, atol=1e-5 * (1 + other.abs().max().item()))


@needs_compiler
@settings(max_examples=100, deadline=None, derandomize=True)  # a near tie may fall to either side in single precision
@given(
    n_folds=st.integers(1, 3),
    n_inputs=st.integers(1, 9),
    n_outputs=st.integers(1, 9),
    n_signals=st.integers(1, 9),
    time=st.integers(2, 150),
    seed=st.integers(0, 1000),
)
def test_kernel_agrees_with_the_plain_layers(n_folds, n_inputs, n_outputs, n_signals, time, seed):
    n_signals = max(n_signals, 40 // time)  # the variance of a few values may be next to nothing
    tensors = leaves(n_folds, n_inputs, n_outputs, n_signals, time, seed)
    single = [tensor.float() for tensor in tensors]
    assert_near(results(conv_norm_relu_pool, single, True), results(plain, tensors, True))
    x, kernel, bias, gamma, beta = single
    with torch.no_grad():
        found = conv_norm_relu_pool(x, kernel, bias, batch_norm(gamma, beta), training=False)
    assert_near([found], [results(plain, tensors, False)[0]])


@needs_compiler
@pytest.mark.parametrize("time", [60, 61])
def test_kernel_gives_a_tie_to_the_first_and_bears_a_scale_of_zero(time):
    tensors = leaves(2, 2, 4, 5, time, seed=1)
    x, kernel, *_ = tensors
    x.round_(), kernel.round_()  # exact in single precision, with many ties
    found = results(conv_norm_relu_pool, [tensor.float() for tensor in tensors], True)
    tensors = [tensor.float().double() for tensor in tensors]
    assert_near(found, results(plain, tensors, True))
    tensors[3][:, 0] = 0
    found = results(conv_norm_relu_pool, [tensor.float() for tensor in tensors], True)
    assert_near(found, results(conv_norm_relu_pool, tensors, True))


@needs_compiler
def test_kernel_reads_strided_signals_and_gradients():
    tensors = leaves(1, 4, 3, 6, 40, seed=2)
    x, *others = (tensor.float() for tensor in tensors)

    def derived(x):
        x = x.clone().requires_grad_() if x.is_contiguous() else x.detach().requires_grad_()
        kernel, bias, gamma, beta = others
        output = conv_norm_relu_pool(x, kernel, bias, batch_norm(gamma, beta), True)
        output = join(output[..., ::2], x, kernel[..., 0], bias, 0.0, True)
        return torch.autograd.grad(output.mean(dim=-1).square().sum(), x)[0]  # the gradient of a mean has strides of 0

    expected = derived(x)
    for strided in (x.transpose(1, 2).contiguous().transpose(1, 2), x.mT.contiguous().mT):
        assert not strided.is_contiguous()
        assert torch.equal(derived(strided), expected)


def joined(tensors, p=0.0):
    """Output and gradients of `join`."""
    tensors = [tensor.clone().requires_grad_() for tensor in tensors]
    output = join(*tensors, p, training=True)
    weights = torch.arange(output.numel(), dtype=torch.float64).view(output.shape).sin().to(output.dtype)
    return output, *torch.autograd.grad((output * weights).sum(), tensors)


def join_leaves(n_folds, n_inputs, n_outputs, n_signals, time):
    generator = torch.Generator().manual_seed(time)
    quarter = (time + 3) // 4
    shapes = (n_outputs, n_signals, quarter), (n_inputs, n_signals, time), (n_outputs, n_inputs), (n_outputs,)
    return [torch.randn(n_folds, *shape, generator=generator, dtype=torch.float64) for shape in shapes]


@needs_compiler
@pytest.mark.parametrize("sizes", [(1, 1, 8, 5, 3000), (2, 3, 2, 7, 41), (3, 9, 4, 1, 3), (1, 2, 5, 300, 7)])
def test_kernel_joins_as_pytorch_does(sizes):
    tensors = join_leaves(*sizes)
    assert_near(joined([tensor.float() for tensor in tensors]), joined(tensors))


@needs_compiler
def test_join_drops_the_wanted_share_and_the_same_from_the_gradient():
    main, x, kernel, bias = (
        torch.ones(1, 8, 100, 1000),
        torch.zeros(1, 2, 100, 4000),
        torch.zeros(1, 8, 2),
        torch.zeros(1, 8),
    )
    main.requires_grad_()
    torch.manual_seed(5)
    first = join(main, x, kernel, bias, 0.3, training=True)
    kept = first > 0
    assert first.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert kept.float().mean() == pytest.approx(0.7, abs=0.002)
    second = join(main, x, kernel, bias, 0.3, training=True) > 0
    for one, other in (
        (kept[..., 1:], kept[..., :-1]),
        (kept[..., 2:], kept[..., :-2]),
        (kept[:, 1:], kept[:, :-1]),
        (kept, second),
    ):
        pair = torch.stack([one.flatten(), other.flatten()]).float()
        assert abs(torch.corrcoef(pair)[0, 1]) < 0.006
    assert torch.equal(torch.autograd.grad(first.sum(), main)[0], first)
    torch.manual_seed(5)
    assert torch.equal(join(main, x, kernel, bias, 0.3, training=True), first)
    assert torch.equal(join(main, x, kernel, bias, 0.3, training=False), main)


@needs_compiler
def test_number_of_threads_changes_no_bit(threads):
    tensors = [tensor.float() for tensor in leaves(2, 2, 8, 70, 3000, seed=4)]
    of_join = [tensor.float() for tensor in join_leaves(1, 8, 16, 128, 750)]
    found = []
    for n in (1, 2, 3):
        threads(n)
        torch.manual_seed(0)
        found.append([*results(conv_norm_relu_pool, tensors, True), *joined(of_join, p=0.1)])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@needs_compiler
@pytest.mark.parametrize("sample", [0, 1500, 2998, 2999])
def test_kernel_keeps_what_is_no_number(sample):
    model = create_model("ulw_sleepnet", 2)
    x = torch.randn(3, 2, 3000)
    x[1, 1, sample] = torch.nan
    with torch.no_grad():
        assert model.eval().forward_fast(x).isnan().any(dim=1).tolist() == [False, True, False]
    loss = functional.cross_entropy(model.train().forward_fast(x), torch.arange(3))
    assert loss.isnan()

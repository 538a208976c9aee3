"""Networks start as their authors' do, and their norms have the same epsilon and momentum."""

import math

import pytest
import torch
from torch import nn

from sleepbench.models.attn_sleep import AttnSleep
from sleepbench.models.deep_sleepnet import DeepSleepNet, DeepSleepNetCNN
from sleepbench.models.eegnet import EEGNet
from sleepbench.models.layers import PeepholeLSTM
from sleepbench.models.seq_sleepnet import SeqSleepNet
from sleepbench.models.tiny_sleepnet import TinySleepNet
from sleepbench.models.u_sleep import USleep
from sleepbench.models.u_time import UTime

CUT = 0.87962566103423978
"""Deviation of a standard normal distribution cut at 2."""


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def has_deviation(weight, expected, cut=math.inf):
    """Mean 0 and deviation as expected, within four standard errors and a little; nothing beyond `cut`."""
    n = weight.numel()
    assert abs(weight.mean()) < 4 * expected / math.sqrt(n) + 1e-7
    assert abs(weight.std() / expected - 1) < 4 / math.sqrt(2 * n)
    assert weight.abs().max() <= cut * (1 + 1e-5)


def kernels(model):
    return {
        name: module.weight
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear)
    }


def norms(model):
    found = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    return {(norm.eps, round(norm.momentum, 6)) for norm in found}


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        (UTime, (1e-3, 0.01)),
        (USleep, (1e-3, 0.01)),
        (EEGNet, (1e-3, 0.01)),
        (TinySleepNet, (1e-3, 0.01)),
        (DeepSleepNet, (1e-5, 0.001)),
        (DeepSleepNetCNN, (1e-5, 0.001)),
        (AttnSleep, (1e-5, 0.1)),
    ],
)
def test_norms(architecture, expected):
    assert norms(architecture(1)) == {expected}


@pytest.mark.parametrize("architecture", [UTime, USleep, EEGNet])
def test_keras_networks_start_glorot_uniform(architecture):
    model = architecture(2)
    for weight in kernels(model).values():
        fan_in, fan_out = nn.init._calculate_fan_in_and_fan_out(weight)
        limit = math.sqrt(6 / (fan_in + fan_out))
        assert weight.abs().max() <= limit
        if weight.numel() > 500:
            has_deviation(weight, limit / math.sqrt(3))
    biases = [m.bias for m in model.modules() if isinstance(m, nn.Conv1d | nn.Conv2d) and m.bias is not None]
    assert biases
    assert all((bias == 0).all() for bias in biases)


def test_deep_sleepnet_starts_with_hes_deviation_cut_at_two():
    model = DeepSleepNet(1)
    for weight in kernels(model).values():
        deviation = math.sqrt(2 / weight[0].numel())
        has_deviation(weight, CUT * deviation, cut=2 * deviation)
    assert model.classifier.bias.abs().max() == 0
    scales = torch.cat([m.weight for m in model.modules() if isinstance(m, nn.BatchNorm1d)])
    has_deviation(scales - 1, 0.002)


def test_tiny_sleepnet_starts_with_one_over_the_inputs_cut_at_two():
    model = TinySleepNet(1)
    for weight in kernels(model).values():
        deviation = 1 / math.sqrt(weight[0].numel())
        has_deviation(weight, deviation, cut=2 * deviation / CUT)
    assert model.classifier.bias.abs().max() == 0


def test_lstm_with_peepholes_starts_as_tensorflows():
    lstm = PeepholeLSTM(2048, 128)
    limit = math.sqrt(6 / (2048 + 128 + 512))  # TensorFlow keeps both matrices as one
    for weight in (lstm.weight_ih, lstm.weight_hh):
        has_deviation(weight, limit / math.sqrt(3), cut=limit)
    has_deviation(lstm.peephole, math.sqrt(3 / 128) / math.sqrt(3), cut=math.sqrt(3 / 128))
    assert lstm.bias.tolist() == [0] * 128 + [1] * 128 + [0] * 256


def test_lstm_without_peepholes_is_pytorchs():
    ours, theirs = PeepholeLSTM(6, 4), nn.LSTM(6, 4, batch_first=True)
    ours.peephole.data.zero_()
    theirs.load_state_dict(
        {"weight_ih_l0": ours.weight_ih, "weight_hh_l0": ours.weight_hh, "bias_ih_l0": ours.bias}
        | {"bias_hh_l0": torch.zeros(16)}
    )
    x = torch.randn(3, 7, 6)
    output, (last, cell) = ours(x)
    expected, (expected_last, expected_cell) = theirs(x)
    torch.testing.assert_close((output, last, cell), (expected, expected_last[0], expected_cell[0]))


def test_attn_sleep_starts_with_equal_layers_keys_and_values():
    model = AttnSleep(1)
    for name, weight in kernels(model).items():
        if "temporal_context" in name or name.startswith(("classifier", "recalibration.excitation")):
            limit = 1 / math.sqrt(weight[0].numel())  # PyTorch's default, the causal convolutions' too
            assert weight.abs().max() <= limit
            if weight.numel() > 500:
                has_deviation(weight, limit / math.sqrt(3))
        else:
            has_deviation(weight, 0.02)
    has_deviation(torch.cat([m.weight for m in model.modules() if isinstance(m, nn.BatchNorm1d)]) - 1, 0.02)
    first, second = model.temporal_context[0].state_dict(), model.temporal_context[1].state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(first["key.weight"], first["value.weight"])
    assert not torch.equal(first["key.weight"], first["query.weight"])
    assert model.temporal_context[0].key.weight is not model.temporal_context[0].value.weight


def test_seq_sleepnet():
    model = SeqSleepNet(2)
    has_deviation(model.filter_bank.weight, 1)
    has_deviation(model.attention.hidden.weight, 0.1)
    rest = torch.cat([model.attention.hidden.bias, model.attention.context.flatten()])
    has_deviation(rest, 0.1)
    for lstm in (model.epoch_lstm, model.sequence_lstm):
        for weight in (*lstm.weight_ih, *lstm.weight_hh):
            torch.testing.assert_close(weight.T @ weight, torch.eye(weight.shape[1]), rtol=0, atol=1e-5)
        for norm in (lstm.norm_ih, lstm.norm_hh, lstm.norm_cell):
            assert (norm.scale == 0.1).all()
        assert lstm.norm_hh.offset.tolist() == 2 * [[1] * 64 + [0] * 192]
    assert model.classifier.weight.abs().max() <= math.sqrt(6 / 133)
    assert model.classifier.bias.abs().max() <= math.sqrt(6 / 10)

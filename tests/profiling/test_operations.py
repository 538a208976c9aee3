import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from sleepbench.errors import BenchmarkError
from sleepbench.models import create_model, describe, model_names
from sleepbench.profiling.operations import count_operations


def macs_by_hooks(model, n_channels):
    """Multiply-accumulates of convolutions and linear layers from the shapes that pass through them."""
    total = 0

    def count(module, inputs, output):
        nonlocal total
        weights_of_an_output = module.weight[0].numel()
        total += output.numel() * weights_of_an_output

    hooks = [
        module.register_forward_hook(count) for module in model.modules() if isinstance(module, nn.Conv1d | nn.Linear)
    ]
    with torch.inference_mode():
        model.eval()(torch.zeros(1, n_channels, 3000))
    for hook in hooks:
        hook.remove()
    return total


@pytest.mark.parametrize(
    ("n_channels", "parameters", "macs", "flops_tensorflow", "flops_tensorflow_graph", "fvcore_flops"),
    [
        (1, 7_193, 874_828, 1_972_422, 1_972_387, 1_000_876),
        (4, 13_337, 3_498_352, 7_885_806, 7_885_771, 4_002_544),
    ],
)
def test_ulw_sleepnet(n_channels, parameters, macs, flops_tensorflow, flops_tensorflow_graph, fvcore_flops):
    counts = count_operations(create_model("ulw_sleepnet", n_channels), n_channels)
    assert counts["parameters"] == parameters
    assert counts["buffers"] == 224
    assert counts["macs"] == macs
    assert counts["flops_2x"] == 2 * macs
    assert counts["flops_tensorflow"] == flops_tensorflow
    assert counts["flops_tensorflow_graph"] == flops_tensorflow_graph
    assert counts["fvcore_flops"] == fvcore_flops


def test_ulw_sleepnet_by_kind_is_as_tensorflow_has_it():
    """What TensorFlow 2.21's profiler finds in the Keras network's graph, pruned to what its output needs."""
    counts = count_operations(create_model("ulw_sleepnet", 4), 4)
    assert counts["ledger"]["flops_tensorflow"] == {
        "conv": 6_055_168,  # Conv2D
        "depthwise_conv": 924_512,  # DepthwiseConv2dNative
        "bias": 378_245,  # BiasAdd
        "batch_norm_scale": 252_320,  # Mul
        "batch_norm_constants": 336,  # Rsqrt and Sub
        "max_pool1d": 252_160,  # MaxPool
        "linear": 17_024,  # MatMul
        "mean": 6_016,  # Mean
        "softmax": 25,  # Softmax
    }
    assert counts["ledger"]["without_tensorflow_rule"] == []


@pytest.mark.parametrize("name", model_names())
def test_macs_agree_with_an_independent_count(name):
    n_channels = len(describe(name).published_channels)
    model = create_model(name, n_channels)
    assert count_operations(model, n_channels)["macs"] == macs_by_hooks(model, n_channels)


class Padded(nn.Module):
    """Convolutions that fvcore counts as nothing: padding by name, strided, grouped."""

    def __init__(self):
        super().__init__()
        self.same = nn.Conv1d(2, 6, 5, padding="same")
        self.valid = nn.Conv1d(6, 6, 10, stride=10, groups=3, padding="valid")
        self.pool = nn.AvgPool1d(299)
        self.linear = nn.Linear(6, 5)

    def forward(self, x):
        return self.linear(self.pool(functional.relu(self.valid(self.same(x)))).flatten(1))


def test_padding_by_name_is_counted():
    model = Padded()
    counts = count_operations(model, 2)
    assert counts["macs"] == macs_by_hooks(model, 2) == 3000 * 6 * 2 * 5 + 300 * 6 * 2 * 10 + 30
    assert counts["fvcore_flops"] == 30
    bias, pool, softmax = 3000 * 6 + 300 * 6 + 5, 299 * 6, 25
    assert counts["flops_tensorflow"] == 2 * counts["macs"] + bias + pool + softmax


class Recurrent(nn.Module):
    """60 steps of 16 features through a transformer layer, a bidirectional LSTM and a GRU."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 16, 50, stride=50)
        self.transformer = nn.TransformerEncoderLayer(16, nhead=4, dim_feedforward=32, batch_first=True)
        self.lstm = nn.LSTM(16, 8, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(16, 8, batch_first=True)
        self.linear = nn.Linear(8, 5)

    def forward(self, x):
        x = self.transformer(self.conv(x).transpose(1, 2))
        return self.linear(self.gru(self.lstm(x)[0])[0].mean(dim=1))


def test_recurrent_layers_and_attention_are_counted():
    counts = count_operations(Recurrent(), 1)
    projections, feed_forward = 60 * (3 * 16 * 16 + 16 * 16), 60 * 2 * 16 * 32
    assert counts["ledger"]["macs"] == {
        "conv": 60 * 16 * 50,
        "linear": projections + feed_forward + 8 * 5,
        "scaled_dot_product_attention": 2 * 60 * 60 * 16,
        "lstm": 60 * 2 * (4 * 8 * (16 + 8) + 4 * 8 * (16 + 8)),
        "gru": 60 * 3 * 8 * (16 + 8),
    }


def test_without_a_tensorflow_rule_there_is_no_tensorflow_count():
    counts = count_operations(Recurrent(), 1)
    assert counts["flops_tensorflow"] is None
    assert {"aten::gru", "aten::lstm"} <= set(counts["ledger"]["without_tensorflow_rule"])


class Unknown(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1501, 5)

    def forward(self, x):
        return self.linear(torch.fft.rfft(x).abs().mean(dim=1))


def test_unknown_operator_is_named():
    with pytest.raises(BenchmarkError, match="Unknown: no rule for the multiply-accumulates of aten::fft_rfft"):
        count_operations(Unknown(), 1)


def test_model_and_random_numbers_are_left_alone():
    model = create_model("ulw_sleepnet", 2).train()
    model.block2.eval()
    modes = {name: module.training for name, module in model.named_modules()}
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random_state = torch.get_rng_state()
    count_operations(model, 2)
    assert {name: module.training for name, module in model.named_modules()} == modes
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_mode_is_restored_after_an_error():
    model = Unknown().train()
    with pytest.raises(BenchmarkError):
        count_operations(model, 1)
    assert model.training


def test_published_flops_are_the_tensorflow_convention():
    counts = count_operations(create_model("ulw_sleepnet", 4), 4)
    published = 7.89e6
    agreeing = [key for key, count in counts.items() if key != "ledger" and math.isclose(count, published, abs_tol=5e3)]
    assert agreeing == ["flops_tensorflow", "flops_tensorflow_graph"]

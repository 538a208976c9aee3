import pytest
import torch
from torch import nn
from torch.nn import functional

from sleepbench.core.errors import BenchmarkError
from sleepbench.models import create_model, describe, model_names
from sleepbench.models.base import Network
from sleepbench.models.layers import PeepholeLSTM
from sleepbench.models.seq_sleepnet import BatchNormLSTM
from sleepbench.profiling.operations import count_operations

NETWORKS = [name for name in model_names() if describe(name).kind == "network"]

PRODUCTS_OUTSIDE_LAYERS = {
    # Each of 2 layers, in each of 5 heads: 30 channels with 30, of 16 steps; the weights with the values.
    "attn_sleep": lambda n_channels: 2 * 5 * 2 * 30 * 30 * 16,
    # The filter bank of each channel on 29 spectra of 129 bins; the score of each, of 64 features; their mean, of 128.
    "seq_sleepnet": lambda n_channels: 29 * (n_channels * 129 * 32 + 64 + 128),
    # Each step with each, then the weights with the values: three times for the signal, as often for its spectrum.
    "sleep_satelight_ft": lambda n_channels: sum(
        2 * steps**2 * features for steps, features in [(375, 32), (93, 64), (23, 96), (187, 32), (46, 64), (11, 96)]
    ),
}
PRODUCTS_OUTSIDE_LAYERS["sleep_satelight_ftc"] = PRODUCTS_OUTSIDE_LAYERS["sleep_satelight_ft"]
"""Multiply-accumulates of an epoch that a network does without a layer of PyTorch's, by hand."""


def macs_by_hooks(model, n_channels, length=None):
    """Multiply-accumulates of PyTorch's layers, from their sizes and the shapes that pass through them."""
    total = 0

    def count(module, inputs, output):
        nonlocal total
        total += LAYERS[layer_of(module)](module, inputs[0].shape, output)

    transformers = [module for module in model.modules() if isinstance(module, nn.TransformerEncoderLayer)]
    counted_whole = {inner for layer in transformers for inner in layer.modules() if inner is not layer}
    hooks = [
        module.register_forward_hook(count)
        for module in model.modules()
        if layer_of(module) and module not in counted_whole
    ]
    with torch.inference_mode():
        model.eval()(torch.zeros((1, n_channels, 3000) if length is None else (1, length, n_channels, 3000)))
    for hook in hooks:
        hook.remove()
    return total


def layer_of(module):
    return next((layer for layer in LAYERS if isinstance(module, layer)), None)


def each_output(module, shape, output):
    return output.numel() * module.weight[0].numel()


def recurrent(gates):
    def macs(module, shape, output):
        directions = 2 if module.bidirectional else 1
        inputs = [module.input_size] + [directions * module.hidden_size] * (module.num_layers - 1)
        weights = sum(directions * gates * module.hidden_size * (n + module.hidden_size) for n in inputs)
        return shape[0] * shape[1] * weights

    return macs


def step_by_step(module, shape, output):
    """An LSTM written out: its two weights are of all gates, in all directions; peepholes act element by element."""
    return shape[0] * shape[1] * (module.weight_ih.numel() + module.weight_hh.numel())


def attention(module, shape, output):
    batch, steps, features = shape
    return batch * (4 * steps * features**2 + 2 * steps**2 * features)  # projections; scores and weighted values


def transformer(module, shape, output):
    feed_forward = 2 * module.linear1.in_features * module.linear1.out_features
    return attention(module.self_attn, shape, output) + shape[0] * shape[1] * feed_forward


LAYERS = {
    nn.TransformerEncoderLayer: transformer,
    nn.MultiheadAttention: attention,
    nn.LSTM: recurrent(gates=4),
    nn.GRU: recurrent(gates=3),
    PeepholeLSTM: step_by_step,
    BatchNormLSTM: step_by_step,
    nn.Conv1d: each_output,
    nn.Conv2d: each_output,
    nn.Linear: each_output,
}


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


@pytest.mark.parametrize("name", NETWORKS)
def test_macs_agree_with_an_independent_count(name):
    info = describe(name)
    length = 3 if info.sequence_length else None
    for n_channels in {min(info.supported_channels or [info.least_channels]), max(info.supported_channels or [10])}:
        model = create_model(name, n_channels)
        outside = (length or 1) * PRODUCTS_OUTSIDE_LAYERS.get(name, lambda n_channels: 0)(n_channels)
        found = count_operations(model, n_channels, length)["macs"]
        assert found == macs_by_hooks(model, n_channels, length) + outside


class Padded(Network):
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


class Recurrent(Network):
    """60 steps of 16 features through recurrent layers, one and both ways."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 16, 50, stride=50)
        self.lstm = nn.LSTM(16, 8, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(16, 8, num_layers=2, bidirectional=True, batch_first=True)
        self.one_way = nn.GRU(16, 4, batch_first=True)
        self.linear = nn.Linear(4, 5)

    def forward(self, x):
        x = self.gru(self.lstm(self.conv(x).transpose(1, 2))[0])[0]
        return self.linear(self.one_way(x)[0].mean(dim=1))


def test_recurrent_layers_are_counted():
    counts = count_operations(Recurrent(), 1)
    assert counts["ledger"]["macs"] == {
        "conv": 60 * 16 * 50,
        "lstm": 60 * 2 * (4 * 8 * (16 + 8) + 4 * 8 * (16 + 8)),
        "gru": 60 * 2 * (3 * 8 * (16 + 8) + 3 * 8 * (16 + 8)) + 60 * 3 * 4 * (16 + 4),
        "linear": 4 * 5,
    }
    assert counts["macs"] == macs_by_hooks(Recurrent(), 1)


class Attentive(Network):
    """60 steps of 16 features through a transformer's layer and attention with and without its weights returned."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 16, 50, stride=50)
        self.transformer = nn.TransformerEncoderLayer(16, nhead=4, dim_feedforward=32, batch_first=True)
        self.attention = nn.MultiheadAttention(16, num_heads=2, batch_first=True)
        self.linear = nn.Linear(16, 5)

    def forward(self, x):
        x = self.transformer(self.conv(x).transpose(1, 2))
        x, _ = self.attention(x, x, x, need_weights=False)
        x, _ = self.attention(x, x, x)
        return self.linear(x.mean(dim=1))


def test_attention_is_counted():
    counts = count_operations(Attentive(), 1)
    projections, products, feed_forward = 60 * 4 * 16 * 16, 2 * 60 * 60 * 16, 60 * 2 * 16 * 32
    assert counts["ledger"]["macs"] == {
        "conv": 60 * 16 * 50,
        "linear": 3 * projections + feed_forward + 16 * 5,
        "scaled_dot_product_attention": 2 * products,
        "bmm": products,
    }
    assert counts["macs"] == macs_by_hooks(Attentive(), 1)


def test_transformers_are_counted_however_gradients_and_the_fast_path_are_set():
    """In evaluation without gradients PyTorch makes one operator of a transformer's layer, which says nothing."""
    model = Attentive().requires_grad_(False)
    assert torch.backends.mha.get_fastpath_enabled()
    with torch.no_grad():
        assert count_operations(model, 1)["macs"] == macs_by_hooks(model, 1)
    assert torch.backends.mha.get_fastpath_enabled()


class Products(Network):
    """Matrix products written out, some of them broadcast: (1, 1, 3000) as 60 steps of 50 samples."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(7, 50))

    def forward(self, x):
        x = x.reshape(3, 20, 50).transpose(1, 2)  # (3, 50, 20)
        x = self.weight @ x  # one matrix, three times
        x = torch.bmm(x.transpose(1, 2), x)  # (3, 20, 20)
        x = torch.einsum("bij,jk->bik", x, self.weight[:, :20].T)  # (3, 20, 7)
        return (x @ self.weight[:, 0]).mean(dim=1)[:, None]


def test_products_are_counted():
    counts = count_operations(Products(), 1)
    assert counts["fvcore_flops"] is None  # its own rule knows no matrix times a vector
    assert counts["ledger"]["macs"] == {
        "matmul": 3 * 7 * 50 * 20 + 3 * 20 * 7,
        "bmm": 3 * 20 * 7 * 20,
        "einsum": 3 * 20 * 20 * 7,
    }


class Layers(Network):
    """What has no multiply-accumulates, and convolutions that are grouped, dilated, transposed or of two dimensions."""

    def __init__(self):
        super().__init__()
        self.register_buffer("window", torch.hamming_window(256))
        self.layers = nn.Sequential(
            nn.Conv1d(4, 8, 3, dilation=2, groups=4, padding="same"),
            nn.ELU(),
            nn.Upsample(scale_factor=2),
            nn.AvgPool1d(2),
            nn.LayerNorm(3000),
            nn.ConvTranspose1d(8, 2, 10, stride=10, bias=False),
            nn.MaxPool1d(10, ceil_mode=True),
            nn.Unflatten(1, (2, 1)),
            nn.Conv2d(2, 5, (1, 3000)),
            nn.Flatten(),
        )

    def forward(self, x):
        spectrum = torch.stft(x[:, 0], 256, window=self.window, return_complex=True).abs()
        return self.layers(x) + spectrum.mean()


def test_only_convolutions_are_counted():
    counts = count_operations(Layers(), 4)
    assert counts["ledger"]["macs"] == {"conv": 3000 * 8 * 3 + 3000 * 8 * 2 * 10 + 5 * 2 * 3000}


class OfSequences(Network):
    """(batch, length, 1, 3000) -> (batch, length, 5): each epoch by itself, then all epochs of a sequence together."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Linear(3000, 8)
        self.lstm = nn.LSTM(8, 8, batch_first=True)
        self.attention = nn.MultiheadAttention(8, num_heads=2, batch_first=True)
        self.linear = nn.Linear(8, 5)

    def forward(self, x):
        x, _ = self.lstm(self.encode(x).squeeze(2))
        return self.linear(self.attention(x, x, x, need_weights=False)[0])


@pytest.mark.parametrize("length", [1, 7])
def test_sequences_are_counted_whole_and_by_epoch(length):
    counts = count_operations(OfSequences(), 1, length)
    by_epoch = 3000 * 8 + 4 * 8 * (8 + 8) + 4 * 8 * 8 + 8 * 5
    assert counts["macs"] == length * by_epoch + 2 * length**2 * 8 == macs_by_hooks(OfSequences(), 1, length)
    assert counts["macs_per_epoch"] == by_epoch + 2 * length * 8
    assert counts["length"] == length


def test_a_single_epoch_is_a_length_of_one():
    counts = count_operations(create_model("ulw_sleepnet", 1), 1)
    assert (counts["length"], counts["macs_per_epoch"]) == (1, counts["macs"])


def test_without_a_tensorflow_rule_there_is_no_tensorflow_count():
    counts = count_operations(Recurrent(), 1)
    assert counts["flops_tensorflow"] is None
    assert {"aten::gru", "aten::lstm"} <= set(counts["ledger"]["without_tensorflow_rule"])


class Unknown(Network):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3000, 5)

    def forward(self, x):
        return self.linear(x.mean(dim=1)) + torch.cdist(x, x).mean()


def test_unknown_operator_is_named():
    with pytest.raises(BenchmarkError, match="Unknown: no rule for the multiply-accumulates of aten::cdist"):
        count_operations(Unknown(), 1)


@pytest.mark.parametrize("equation", ["...i,ij->...j", "bi,ij,jk->bk"])
def test_sums_that_are_not_understood_are_named(equation):
    class Sum(Network):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(5, 3000))

        def forward(self, x):
            operands = (x[:, 0], self.weight.T, self.weight @ self.weight.T)
            return torch.einsum(equation, operands[: equation.count(",") + 1])

    with pytest.raises(BenchmarkError, match=r"einsum .* expected two operands without an ellipsis"):
        count_operations(Sum(), 1)


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

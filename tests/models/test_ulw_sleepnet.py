"""The network against the released Keras network, run in float64 on fixed weights and inputs with four channels."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from sleepbench.core.errors import BenchmarkError
from sleepbench.models.ulw_sleepnet import ULWSleepNet, load_keras_weights

REFERENCE = Path(__file__).parents[1] / "reference" / "ulw_sleepnet_reference.npz"


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCE) as arrays:
        return dict(arrays)


def under(prefix, reference):
    return {name.removeprefix(prefix): array for name, array in reference.items() if name.startswith(prefix)}


def keras_network(weights):
    model = ULWSleepNet(n_channels=4)
    load_keras_weights(model, weights)
    return model


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


@pytest.fixture
def trained_one_step(reference):
    """The network after a forward and a backward pass in training mode without dropout, with its loss and logits."""
    model = without_dropout(keras_network(under("weight/", reference))).train()
    logits = model(torch.from_numpy(reference["input"]))
    loss = cross_entropy(logits, torch.from_numpy(reference["target"]))
    loss.backward()
    return model, loss.item(), logits.detach()


def test_probabilities_in_evaluation(reference):
    model = keras_network(under("weight/", reference)).eval()
    with torch.inference_mode():
        probabilities = model(torch.from_numpy(reference["input"])).softmax(dim=-1)
    np.testing.assert_allclose(probabilities, reference["eval_probabilities"], rtol=0, atol=1e-6)


def test_probabilities_and_loss_in_training(reference, trained_one_step):
    _, loss, logits = trained_one_step
    np.testing.assert_allclose(logits.softmax(dim=-1), reference["train_probabilities"], rtol=0, atol=1e-5)
    assert loss == pytest.approx(float(reference["train_loss"]), abs=1e-5)


def test_gradients(reference, trained_one_step):
    model, _, _ = trained_one_step
    gradients = under("grad/", reference)
    largest = max(np.abs(gradient).max() for gradient in gradients.values())
    # Loaded as if they were weights, the gradients of Keras lie where PyTorch has its own.
    expected = dict(keras_network({**under("weight/", reference), **gradients}).named_parameters())
    for name, parameter in model.named_parameters():
        if "main" in name and name.endswith("pointwise.bias"):
            continue  # the batch norm that follows takes the bias away again: nothing is left but rounding
        error = (parameter.grad - expected[name]).abs().max().item() / largest
        assert error < 5e-5, f"{name}: {error}"


def test_moving_statistics_after_one_step(reference, trained_one_step):
    model, _, _ = trained_one_step
    after = keras_network({**under("weight/", reference), **under("bn_after_1_step/", reference)})
    expected = {name: buffer for name, buffer in after.named_buffers() if "running" in name}
    found = dict(model.named_buffers())
    assert len(expected) == 12
    for name, statistics in expected.items():
        error = (found[name] - statistics).abs().max() / statistics.abs().max()
        assert error < 1e-4, f"{name}: {error}"


@pytest.mark.parametrize(("n_channels", "n_parameters"), [(1, 7193), (2, 9241), (3, 11289), (4, 13337)])
def test_size_and_shapes(n_channels, n_parameters):
    model = ULWSleepNet(n_channels)
    assert sum(parameter.numel() for parameter in model.parameters()) == n_parameters
    assert sum(buffer.numel() for name, buffer in model.named_buffers() if "running" in name) == 224
    assert model(torch.randn(2, n_channels, 3000)).shape == (2, 5)


def test_lengths_inside_a_block():
    block = ULWSleepNet(1).block1
    assert [block(torch.zeros(1, 1, length)).shape[-1] for length in (3000, 750, 188, 7, 4)] == [750, 188, 47, 2, 1]


def test_initial_weights_are_glorot_uniform():
    torch.manual_seed(0)
    model = ULWSleepNet(10)
    for module in model.modules():
        if isinstance(module, nn.Conv1d | nn.Linear):
            n_outputs, n_inputs, *kernel = module.weight.shape
            # A depthwise kernel (k, n, 1) has the fans n k and k in Keras.
            fans = n_inputs + n_outputs if not kernel else (n_inputs + n_outputs) * kernel[0]
            limit = (6 / fans) ** 0.5
            assert module.weight.abs().max() <= limit
            if module.weight.numel() > 500:
                assert module.weight.std().item() == pytest.approx(limit / 3**0.5, rel=0.1)
            assert module.bias is None or not module.bias.any()


def test_missing_and_unknown_weights_are_named(reference):
    weights = under("weight/", reference)
    weights["block4.bn1.gamma"] = weights.pop("block2.bn1.gamma")
    with pytest.raises(BenchmarkError, match=r"missing block2\.bn1\.gamma; unknown block4\.bn1\.gamma"):
        load_keras_weights(ULWSleepNet(4), weights)


def test_wrong_shape_is_named_and_nothing_is_loaded(reference):
    weights = under("weight/", reference)
    model = ULWSleepNet(3)
    before = [tensor.clone() for tensor in model.state_dict().values()]
    with pytest.raises(BenchmarkError, match=r"dense64\.kernel has shape \(128, 64\), expected \(96, 64\)"):
        load_keras_weights(model, weights)
    assert all(torch.equal(*pair) for pair in zip(before, model.state_dict().values(), strict=True))


def test_epochs_of_a_batch_do_not_mix_in_evaluation(reference):
    model = keras_network(under("weight/", reference)).eval()
    epochs = torch.from_numpy(reference["input"])
    with torch.inference_mode():
        together, alone = model(epochs), torch.cat([model(epoch[None]) for epoch in epochs])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_every_parameter_gets_a_gradient(reference):
    torch.manual_seed(0)
    model = ULWSleepNet(4)
    cross_entropy(model(torch.from_numpy(reference["input"])), torch.from_numpy(reference["target"])).backward()
    assert [name for name, parameter in model.named_parameters() if not parameter.grad.any()] == []


def test_overfits_a_small_batch():
    torch.manual_seed(0)
    seconds = torch.arange(3000) / 100
    target = torch.arange(10) % 5
    frequencies = torch.tensor([1.0, 3.0, 7.0, 12.0, 20.0])[target]
    epochs = 30 * torch.sin(2 * torch.pi * frequencies[:, None, None] * seconds) + torch.randn(10, 2, 3000)
    model = without_dropout(ULWSleepNet(2))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        loss = cross_entropy(model(epochs), target)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05

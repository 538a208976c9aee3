"""What every registered model must do. A new model is tested here by its entry in the registry alone.

Its size goes into tests/reference/model_sizes.csv: parameters and multiply-accumulates as published, as counted on an
independent build, or by hand; full or as printed. Macs are of an epoch or of a sequence of `length` epochs.
`leaves_out` names an operator that the source does not count.
"""

import inspect
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from sleepbench import models
from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.base import ROLES
from sleepbench.models.base import Network
from sleepbench.models.registry import ModelInfo, architecture_of, reference_files
from sleepbench.profiling.conventions import agrees
from sleepbench.profiling.operations import count_operations
from sleepbench.profiling.parity import read_reference

NETWORKS = [name for name in models.model_names() if models.describe(name).kind == "network"]
SEQUENCE_NETWORKS = [name for name in NETWORKS if models.describe(name).sequence_length]
ESTIMATORS = [name for name in models.model_names() if models.describe(name).kind == "estimator"]
SIZES = pd.read_csv(Path(__file__).parents[1] / "reference" / "model_sizes.csv", dtype={"parameters": str, "macs": str})
STEPS = 400
BATCHES = {"seq_sleepnet": 2}
"""Of the 64 epochs, otherwise 4: norms of every step over two sequences tell little of any."""
MANY_CHANNELS = 10
"""Of a model that is defined for any number: more than any dataset here has."""
ROUNDING = 1e-9
"""Of a gradient in float64, relative to the network's largest: what a norm takes away leaves about 1e-14."""


def numbers_of_channels(name: str) -> list[int]:
    """The smallest and the largest that a model supports, and that of its paper: the code may branch on it."""
    info = models.describe(name)
    supported = info.supported_channels or (info.least_channels, MANY_CHANNELS)
    return sorted({min(supported), len(info.published_roles), max(supported)})


def on_channels(
    names: Sequence[str], is_slow: Callable[[ModelInfo, int], bool] = lambda info, n_channels: False
) -> pytest.MarkDecorator:
    """A test's arguments `name` and `n_channels`, as in `msa_cnn_small-1`; which of them are marked slow."""

    def case(name: str, n_channels: int):
        marks = [pytest.mark.slow] if is_slow(models.describe(name), n_channels) else []
        return pytest.param(name, n_channels, marks=marks)

    cases = [case(name, n_channels) for name in names for n_channels in numbers_of_channels(name)]
    return pytest.mark.parametrize(("name", "n_channels"), cases)


def run(check: Callable[..., None], name: str) -> None:
    """`check` of this module on one model, on each of its numbers of channels where the check takes them."""
    if "n_channels" not in inspect.signature(check).parameters:
        return check(name)
    for n_channels in numbers_of_channels(name):
        check(name, n_channels)


every_model = pytest.mark.parametrize("name", models.model_names())
every_network = pytest.mark.parametrize("name", NETWORKS)
every_network_on_channels = on_channels(NETWORKS)
every_network_mostly_published = on_channels(NETWORKS, lambda info, n: n != len(info.published_roles))
every_sequence_network = pytest.mark.parametrize("name", SEQUENCE_NETWORKS)


def architecture(name: str) -> type:
    return architecture_of(models.describe(name))


def network(name: str, n_channels: int | None = None, seed: int = 0, dropout: bool = True) -> nn.Module:
    """A fresh network, with the channels of its paper unless told otherwise."""
    torch.manual_seed(seed)
    model = models.create_model(name, n_channels or len(models.describe(name).published_roles))
    return model if dropout else without_dropout(model)


def without_dropout(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        elif isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            module.dropout = 0.0
    return model


def settled(model: nn.Module, signals: Tensor) -> nn.Module:
    """In evaluation mode, the running statistics of every norm that has some those of `signals`."""
    norms = [module for module in model.modules() if hasattr(module, "running_mean")]
    momentum = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # the batch's alone
    with torch.no_grad():
        model.train()(signals)
    for norm, value in zip(norms, momentum, strict=True):
        norm.momentum = value
    return model.eval()


def transformed(signals: Tensor, info: ModelInfo) -> Tensor:
    """Epochs (n, n_channels, 3000) of one recording as the model is given them."""
    epochs = signals.numpy()
    measured = info.input_transformation.measure(epochs)
    return torch.from_numpy(info.input_transformation(epochs, np.repeat(measured[None], len(epochs), axis=0)))


def microvolts(name: str, n: int, length: int = 4, n_channels: int | None = None) -> Tensor:
    """Noise of the amplitude of an EEG: n epochs, or n sequences of `length` for a sequence model."""
    info = models.describe(name)
    axes = (n, length) if info.sequence_length else (n,)
    generator = torch.Generator().manual_seed(0)
    return 30 * torch.randn(*axes, n_channels or len(info.published_roles), 3000, generator=generator)


def epochs_to_learn(name: str, n_channels: int | None = None) -> tuple[Tensor, Tensor]:
    """64 epochs and their stages, told apart by the frequency of a wave in noise; sequences have 8 of them.

    Five kinds, not 64 epochs to be learnt by heart: stages drawn at random take most networks many times the steps.
    """
    info = models.describe(name)
    generator = torch.Generator().manual_seed(0)
    stages = torch.arange(64)[torch.randperm(64, generator=generator)] % 5
    hertz = torch.tensor([1.0, 3.0, 7.0, 13.0, 20.0])[stages][:, None, None]
    shape = (64, n_channels or len(info.published_roles))
    phases = 2 * torch.pi * torch.rand(*shape, 1, generator=generator)
    waves = 40 * torch.sin(2 * torch.pi * hertz * torch.arange(3000) / 100 + phases)
    signals = transformed(waves + 10 * torch.randn(*shape, 3000, generator=generator), info)
    return (signals.unflatten(0, (8, 8)), stages.unflatten(0, (8, 8))) if info.sequence_length else (signals, stages)


def loss_of(logits: Tensor, stages: Tensor) -> Tensor:
    return cross_entropy(logits.flatten(0, -2), stages.flatten())


# ---------------------------------------------------------------------------------------------------------- the entry


@every_model
def test_entry_fits_the_model(name):
    info = models.describe(name)
    assert info.title and info.paper
    assert set(info.published_roles) <= set(ROLES)
    assert info.takes(len(info.published_roles))
    assert info.kind in ("network", "estimator")
    assert (info.sequence_length, info.inference) == (None, None) or info.inference in ("night", "windows", "fused")
    model = models.create_model(name, len(info.published_roles))
    assert type(model).__name__ == info.architecture
    assert inspect.getsourcefile(type(model)) == str(models.model_source(name))
    assert inspect.getmodule(model).__doc__
    assert isinstance(model, Network) == (info.kind == "network")


@every_model
def test_other_numbers_of_channels_are_refused(name):
    info = models.describe(name)
    for n_channels in (n for n in range(1, 6) if not info.takes(n)):
        message = f"model {name}: n_channels is {n_channels}, but the architecture is defined for"
        with pytest.raises(BenchmarkError, match=message):
            models.create_model(name, n_channels)


@every_model
def test_docstring_says_what_is_verified(name):
    """Where outputs are, against which repository at which commit."""
    said = " ".join(inspect.getmodule(architecture(name)).__doc__.split()).replace("/ ", "/")
    module = models.describe(name).module
    verified = {info.verified for info in map(models.describe, models.model_names()) if info.module == module}
    assert ("Verified: " in said, "Size verified: " in said) == ("outputs" in verified, "size" in verified)
    assert ("fter the description" in said) == (None in verified)
    for path in reference_files(name):
        repository, _, commit = read_reference(path).source.partition(" at ")
        assert repository in said and commit in said and "float64" in said


# --------------------------------------------------------------------------------------------------------------- size


@every_network
def test_size_is_known(name):
    """Parameters and multiply-accumulates are those of the table."""
    rows = SIZES[SIZES.model == name]
    assert len(rows), f"tests/reference/model_sizes.csv has no row of {name}"
    for row in rows.itertuples():
        length = None if pd.isna(row.length) else int(row.length)
        counts = count_operations(network(name, row.n_channels), row.n_channels, length)
        macs = counts["macs"] - (0 if pd.isna(row.leaves_out) else counts["ledger"]["macs"][row.leaves_out])
        found = {"parameters": counts["parameters"], "macs": macs / (counts["length"] if row.per == "epoch" else 1)}
        for kind, printed in (("parameters", row.parameters), ("macs", row.macs)):
            assert agrees(found[kind], printed), f"{row.n_channels} channels: {found[kind]} {kind}, expected {printed}"
            assert printed.isdigit() or not row.exact


# --------------------------------------------------------------------------------------------------- input and output


@every_network
def test_shapes(name):
    info = models.describe(name)
    for n_channels in info.supported_channels or [n for n in (1, 2, 3, 4, MANY_CHANNELS) if info.takes(n)]:
        for n_classes in (5, 3):
            model = models.create_model(name, n_channels, n_classes).eval()
            signals = microvolts(name, 2, length=3, n_channels=n_channels)
            with torch.inference_mode():
                logits = model(signals)
            assert logits.shape == (*signals.shape[:-2], n_classes)
            assert logits.dtype == torch.float32
            assert logits.isfinite().all()


@every_sequence_network
def test_sequences_may_have_any_length(name):
    model = network(name).eval()
    long = 200 if models.describe(name).inference == "night" else 2 * models.describe(name).sequence_length + 1
    with torch.inference_mode():
        for length in (1, 2, 7, long):
            logits = model(microvolts(name, 1, length))
            assert logits.shape == (1, length, 5)
            assert logits.isfinite().all()


@every_sequence_network
def test_parts_of_a_forward_are_the_whole(name):
    """A state that is carried on from zeros, and epochs that are encoded one by one."""
    model, signals = network(name).eval(), microvolts(name, 2, length=5)
    with torch.inference_mode():
        whole = model(signals)
        if models.describe(name).inference == "fused":
            encoded = torch.cat([model.encode_epochs(epoch) for epoch in signals.flatten(0, 1).split(1)])
            assert torch.allclose(model.classify_encoded(encoded.unflatten(0, (2, 5))), whole, atol=1e-4)
        if model.carries_state():
            logits, state = model.forward_from(signals, None)
            assert torch.allclose(logits, whole, atol=1e-5)
            assert {len(tensor) for tensor in state} == {2}
            if models.describe(name).inference == "night":
                first, state = model.forward_from(signals[:, :2], None)
                rest, _ = model.forward_from(signals[:, 2:], state)
                assert torch.allclose(torch.cat((first, rest), dim=1), whole, atol=1e-5)


@every_sequence_network
def test_epochs_of_a_sequence_know_each_other(name):
    signals = microvolts(name, 2)
    model = settled(network(name), signals)
    other_first = torch.cat((signals[:, 1:2], signals[:, 1:]), dim=1)
    with torch.inference_mode():
        assert not torch.allclose(model(signals)[:, 1:], model(other_first)[:, 1:], rtol=1e-4, atol=1e-6)


@every_network_on_channels
def test_output_does_not_depend_on_the_rest_of_the_batch(name, n_channels):
    signals = microvolts(name, 4, n_channels=n_channels)
    model = settled(network(name, n_channels), signals)
    with torch.inference_mode():
        together = model(signals)
        alone = torch.cat([model(item[None]) for item in signals])
        in_other_company = model(torch.cat((signals[:1], 5 * signals[1:].flip(-1))))[:1]
    tolerance = 1e-4 * together.abs().max().item()
    assert_close(alone, together, rtol=0, atol=tolerance)
    assert_close(in_other_company, together[:1], rtol=0, atol=tolerance)


@every_network_on_channels
def test_output_is_logits(name, n_channels):
    """Neither probabilities nor their logarithms: those would pass through a softmax once more in the loss."""
    signals = microvolts(name, 4, n_channels=n_channels)
    model = settled(network(name, n_channels), signals)
    with torch.inference_mode():
        logits = model(signals).flatten(0, -2)
    assert logits.min() < 0 or logits.max() > 1
    for total in (logits.sum(dim=-1), logits.exp().sum(dim=-1)):
        assert not torch.allclose(total, torch.ones(()), atol=1e-3)


# ----------------------------------------------------------------------------------------------------------- training


def quarter_to_learn(name: str, n_channels: int) -> tuple[Tensor, Tensor]:
    """16 of the epochs."""
    signals, stages = epochs_to_learn(name, n_channels)
    return signals[: len(signals) // 4], stages[: len(stages) // 4]


@every_network_on_channels
def test_every_parameter_gets_a_gradient(name, n_channels):
    """In evaluation mode, where a bias before a batch norm has a gradient that is not taken away by the norm."""
    signals, stages = quarter_to_learn(name, n_channels)
    model = settled(network(name, n_channels, dropout=False), signals)
    loss_of(model(signals), stages).backward()
    without = {key for key, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()}
    assert without == set(model.parameters_without_gradient)


@every_network_mostly_published
def test_every_other_parameter_gets_a_gradient_in_training(name, n_channels):
    """Without one are those without any, and those named by their endings: what a batch norm takes away."""
    signals, stages = quarter_to_learn(name, n_channels)
    model = network(name, n_channels, dropout=False).double().train()
    loss_of(model(signals.double()), stages).backward()
    largest = {
        key: 0.0 if parameter.grad is None else parameter.grad.abs().max().item()
        for key, parameter in model.named_parameters()
    }
    without = {key for key, gradient in largest.items() if gradient < ROUNDING * max(largest.values())}
    endings = tuple(model.parameters_without_gradient_in_training)
    taken_away = {key for key in largest if key.endswith(endings)}
    assert without == taken_away | set(model.parameters_without_gradient)
    assert all(any(key.endswith(ending) for key in taken_away) for ending in endings), "an ending is of no parameter"


# A network whose outputs and gradients are those of another program learns as that does.
@on_channels(NETWORKS, lambda info, n: n != len(info.published_roles) or bool(reference_files(info.name)))
def test_fits_64_epochs(name, n_channels):
    """All are classified right, in evaluation mode and without dropout, within 400 steps on a batch of them."""
    signals, stages = epochs_to_learn(name, n_channels)
    model = network(name, n_channels, dropout=False)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    wrong = stages.numel()
    n_batches = BATCHES.get(name, 4)
    for _ in range(STEPS // n_batches):
        seen_wrong = 0
        for batch in torch.randperm(len(signals)).chunk(n_batches):
            logits = model.train()(signals[batch])
            optimizer.zero_grad()
            loss_of(logits, stages[batch]).backward()
            optimizer.step()
            seen_wrong += int((logits.argmax(dim=-1) != stages[batch]).sum())
        if seen_wrong == 0:
            with torch.no_grad():
                wrong = int((settled(model, signals)(signals).argmax(dim=-1) != stages).sum())
        if wrong == 0:
            return
    pytest.fail(f"{seen_wrong} of 64 epochs are wrong after {STEPS} steps; in evaluation mode {wrong}")


@every_network
def test_weights_follow_from_the_seed(name):
    first, again, other = (network(name, seed=seed).state_dict() for seed in (7, 7, 8))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@on_channels(ESTIMATORS)
def test_estimators_learn_and_tell_probabilities(name, n_channels):
    signals, stages = (tensor.numpy() for tensor in epochs_to_learn(name, n_channels))
    first, again = (
        models.create_model(name, n_channels).fit(signals.__getitem__, stages, seed=7).predict_proba(signals)
        for _ in range(2)
    )
    assert first.shape == (64, 5)
    assert_close(first.sum(axis=1), np.ones(64, first.dtype), rtol=0, atol=1e-5)
    assert (first.argmax(axis=1) == stages).all()
    assert (first == again).all()


# -------------------------------------------------------------------------------------------------- saving, exporting


@every_network_on_channels
def test_saves_and_loads(name, n_channels):
    signals = microvolts(name, 2, length=3, n_channels=n_channels)
    saved, loaded = settled(network(name, n_channels), signals), network(name, n_channels, seed=1).eval()
    file = io.BytesIO()
    torch.save(saved.state_dict(), file)
    file.seek(0)
    loaded.load_state_dict(torch.load(file, weights_only=True))
    with torch.inference_mode():
        assert torch.equal(loaded(signals), saved(signals))


@every_network_mostly_published
def test_exports(name, n_channels):
    signals = microvolts(name, 2, length=3, n_channels=n_channels)
    model = settled(network(name, n_channels), signals)
    with torch.no_grad():
        expected = model(signals)
        exported = torch.export.export(model, (signals,)).module()(signals)
    assert_close(exported, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


@on_channels([name for name in NETWORKS if architecture(name).has_folds()])
def test_fast_forward_gives_the_same(name, n_channels):
    signals = microvolts(name, 4, n_channels=n_channels)
    model = settled(network(name, n_channels, dropout=False), signals)
    for training in (False, True):
        model.train(training)
        with torch.no_grad():
            expected = model(signals)
            assert_close(model.forward_fast(signals), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())

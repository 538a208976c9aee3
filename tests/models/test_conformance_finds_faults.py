"""Each conformance test fails on a network that has the fault it is there for, and on no sound one."""

import sys
import types

import pandas as pd
import pytest
import test_conformance as conformance
import torch
from torch import nn

from sleepbench.core.errors import BenchmarkError
from sleepbench.models import ModelInfo, registry
from sleepbench.models.base import Network


class Sound(Network):
    def __init__(self, n_channels, n_classes=5):
        super().__init__()
        convolution = nn.Conv1d(n_channels, 32, 100, stride=20, bias=False)
        self.features = nn.Sequential(convolution, nn.BatchNorm1d(32), nn.ReLU())
        self.classifier = nn.Linear(32, n_classes)

    def forward(self, x):
        return self.classifier(self.features(x).mean(dim=-1))


class Probabilities(Sound):
    def forward(self, x):
        return super().forward(x).softmax(dim=-1)


class LogProbabilities(Sound):
    def forward(self, x):
        return super().forward(x).log_softmax(dim=-1)


class Sigmoids(Sound):
    def forward(self, x):
        return super().forward(x).sigmoid()


class BatchAttention(Sound):
    def forward(self, x):
        logits = super().forward(x)
        return (logits @ logits.T).softmax(dim=-1) @ logits


class BatchStatistics(Sound):
    def __init__(self, n_channels, n_classes=5):
        super().__init__(n_channels, n_classes)
        self.features[1] = nn.BatchNorm1d(32, track_running_stats=False)


class DropoutAlways(Sound):
    def forward(self, x):
        return self.classifier(nn.functional.dropout(self.features(x).mean(dim=-1), training=True))


class Unused(Sound):
    def __init__(self, n_channels, n_classes=5):
        super().__init__(n_channels, n_classes)
        self.other = nn.Linear(32, n_classes)


class Detached(Sound):
    def forward(self, x):
        return self.classifier(self.features(x).mean(dim=-1).detach())


class BiasBeforeNorm(Sound):
    def __init__(self, n_channels, n_classes=5):
        super().__init__(n_channels, n_classes)
        self.features[0].bias = nn.Parameter(torch.zeros(32))


class DetachedWithMany(Sound):
    """With many channels: a fault beside the published number of channels."""

    def forward(self, x):
        features = self.features(x).mean(dim=-1)
        return self.classifier(features.detach() if x.shape[1] == conformance.MANY_CHANNELS else features)


class Blind(Sound):
    def forward(self, x):
        return super().forward(x.mean(dim=-1, keepdim=True).expand_as(x))


class OtherStatisticsInEvaluation(Sound):
    def forward(self, x):
        return super().forward(x) if self.training else super().forward(-x.abs())


class Unseeded(Sound):
    def __init__(self, n_channels, n_classes=5):
        super().__init__(n_channels, n_classes)
        generator = torch.Generator()
        generator.seed()
        nn.init.normal_(self.classifier.weight, generator=generator)


class NotSaved(Sound):
    def __init__(self, n_channels, n_classes=5):
        super().__init__(n_channels, n_classes)
        self.scale = torch.rand(()).item()

    def forward(self, x):
        return super().forward(x) * self.scale


class DependsOnTheData(Sound):
    def forward(self, x):
        return super().forward(x) if x.mean() > 0 else super().forward(-x)


class FiveClasses(Sound):
    def __init__(self, n_channels, n_classes=5):
        super().__init__(n_channels)


class OtherFast(Sound):
    def forward_folds(self, state, x, counted=None):
        return super().forward(x[0])[None] + 0.1


class SoundSequence(Sound):
    def __init__(self, n_channels, n_classes=5):
        super().__init__(n_channels, n_classes)
        self.lstm = nn.LSTM(32, 32, batch_first=True)

    def forward(self, x):
        return self.classifier(self.lstm(self.encode(x))[0])

    def encode(self, x):
        return self.features(x.flatten(0, 1)).mean(dim=-1).unflatten(0, x.shape[:2])


class EpochByEpoch(SoundSequence):
    def forward(self, x):
        return self.classifier(self.encode(x))


class FixedLength(SoundSequence):
    def forward(self, x):
        return self.classifier(self.lstm(self.encode(x).reshape(-1, 4, 32))[0].reshape(*x.shape[:2], 32))


class LastOnly(SoundSequence):
    def forward(self, x):
        return super().forward(x)[:, -1]


def entry(name, **fields):
    named = dict.fromkeys(("name", "title", "module", "architecture"), name)
    return ModelInfo(**named, paper="none", published_roles=("eeg1",), **fields)


@pytest.fixture
def registered(monkeypatch):
    """Registers an architecture, in a module and with an entry of its own, and returns its name."""

    def register(architecture: type) -> str:
        name = architecture.__name__
        monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(**{name: architecture}))
        of_sequences = {"sequence_length": 8, "inference": "night"} if issubclass(architecture, SoundSequence) else {}
        monkeypatch.setitem(registry.MODELS, name, entry(name, **of_sequences))
        return name

    return register


GRADIENT_CHECKS = (
    conformance.test_every_parameter_gets_a_gradient,
    conformance.test_every_other_parameter_gets_a_gradient_in_training,
)
FAULTS = [
    (conformance.test_shapes, FiveClasses),
    (conformance.test_shapes, LastOnly),
    (conformance.test_sequences_may_have_any_length, FixedLength),
    (conformance.test_epochs_of_a_sequence_know_each_other, EpochByEpoch),
    (conformance.test_output_does_not_depend_on_the_rest_of_the_batch, BatchAttention),
    (conformance.test_output_does_not_depend_on_the_rest_of_the_batch, BatchStatistics),
    (conformance.test_output_does_not_depend_on_the_rest_of_the_batch, DropoutAlways),
    (conformance.test_output_is_logits, Probabilities),
    (conformance.test_output_is_logits, LogProbabilities),
    (conformance.test_output_is_logits, Sigmoids),
    (conformance.test_every_parameter_gets_a_gradient, Unused),
    (conformance.test_every_parameter_gets_a_gradient, Detached),
    (conformance.test_every_parameter_gets_a_gradient, DetachedWithMany),
    (conformance.test_every_other_parameter_gets_a_gradient_in_training, BiasBeforeNorm),
    (conformance.test_every_other_parameter_gets_a_gradient_in_training, Unused),
    (conformance.test_fits_64_epochs, Blind),
    (conformance.test_fits_64_epochs, OtherStatisticsInEvaluation),
    (conformance.test_weights_follow_from_the_seed, Unseeded),
    (conformance.test_saves_and_loads, NotSaved),
    (conformance.test_exports, DependsOnTheData),
    (conformance.test_fast_forward_gives_the_same, OtherFast),
]


@pytest.mark.parametrize(("check", "fault"), FAULTS)
def test_fault_is_found(check, fault, registered, monkeypatch):
    monkeypatch.setattr(conformance, "STEPS", 60)
    # Whatever PyTorch raises on a fault is as good as a failed assertion.
    with pytest.raises((AssertionError, pytest.fail.Exception, RuntimeError)):
        conformance.run(check, registered(fault))


@pytest.mark.parametrize("check", dict.fromkeys(check for check, _ in FAULTS))
def test_sound_networks_pass(check, registered):
    of_sequences = check.__name__ in ("test_sequences_may_have_any_length", "test_epochs_of_a_sequence_know_each_other")
    if check is not conformance.test_fast_forward_gives_the_same:
        for architecture in (SoundSequence,) if of_sequences else (Sound, SoundSequence):
            conformance.run(check, registered(architecture))


def test_size_must_be_in_the_table_and_be_met(registered, monkeypatch):
    name = registered(Sound)
    with pytest.raises(AssertionError, match="has no row of Sound"):
        conformance.test_size_is_known(name)

    def check(parameters, macs):
        row = [name, 1, None, parameters, macs, "epoch", False, None]
        monkeypatch.setattr(conformance, "SIZES", pd.DataFrame([row], columns=conformance.SIZES.columns))
        conformance.test_size_is_known(name)

    parameters, macs = 3200 + 64 + 165, 146 * 3200 + 160  # convolution, batch norm, classifier; 146 steps
    check(str(parameters), str(macs))
    check("3.4K", "467.4K")
    for wrong in ((str(parameters + 1), str(macs)), (str(parameters), str(macs - 1)), (str(parameters), "467.3K")):
        with pytest.raises(AssertionError, match="expected"):
            check(*wrong)


def test_named_parameters_may_lack_a_gradient(registered, monkeypatch):
    monkeypatch.setattr(Unused, "parameters_without_gradient", ("other.weight", "other.bias"))
    for check in GRADIENT_CHECKS:
        conformance.run(check, registered(Unused))
    monkeypatch.setattr(Unused, "parameters_without_gradient", ("classifier.bias", "other.weight", "other.bias"))
    for check in GRADIENT_CHECKS:
        with pytest.raises(AssertionError):
            conformance.run(check, registered(Unused))


def test_exactly_what_a_norm_takes_away_must_be_named(registered, monkeypatch):
    def check(*named):
        monkeypatch.setattr(BiasBeforeNorm, "parameters_without_gradient_in_training", named)
        conformance.run(GRADIENT_CHECKS[1], registered(BiasBeforeNorm))

    check("features.0.bias")
    check("0.bias")
    for gets_one_or_is_not_there in ("classifier.bias", "features.9.bias"):
        with pytest.raises(AssertionError):
            check("features.0.bias", gets_one_or_is_not_there)


def test_only_supported_channels_are_built(registered, monkeypatch):
    name = registered(Sound)
    monkeypatch.setitem(registry.MODELS, name, entry(name, supported_channels=(1, 2)))
    conformance.test_other_numbers_of_channels_are_refused(name)
    with pytest.raises(BenchmarkError, match="defined for 1, 2"):
        conformance.network(name, 4)

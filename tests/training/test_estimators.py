"""Estimators are kept as pickles, and nothing else is read from one."""

import builtins
import io
import os
import pickle
import subprocess

import numpy as np
import pytest
import torch

from sleepbench.core.errors import BenchmarkError
from sleepbench.models.band_power import BandPower
from sleepbench.training.estimators import STATE, from_state, state_of


def state_with(content: bytes) -> dict[str, torch.Tensor]:
    return {STATE: torch.from_numpy(np.frombuffer(content, np.uint8).copy())}


def test_an_estimator_comes_back():
    random = np.random.default_rng(0)
    signals = random.normal(0, 30, (60, 1, 3000)).astype(np.float32)
    estimator = BandPower(1).fit(signals.__getitem__, np.arange(60) % 5, seed=1)
    file = io.BytesIO()
    torch.save(state_of(estimator), file)  # as it lies in a file
    file.seek(0)
    again = from_state(torch.load(file, weights_only=True), BandPower(1))
    np.testing.assert_array_equal(again.predict_proba(signals), estimator.predict_proba(signals))


class Runs:
    """What calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


def nested(inner):
    estimator = BandPower(1)
    estimator.classifier = inner
    return estimator


HOSTILE = {
    "a_command": Runs(os.system, "touch made"),
    "a_program": Runs(subprocess.call, ["touch", "made"]),
    "an_expression": Runs(builtins.eval, "open('made', 'w')"),
    "code": Runs(builtins.exec, "open('made', 'w')"),
    "a_file": Runs(io.open, "made", "w"),
    "an_attribute": Runs(builtins.getattr, "x", "upper"),
    "a_function_of_numpy": Runs(np.save, "made", np.zeros(1)),
    "a_command_in_an_estimator": nested(Runs(os.system, "touch made")),
    "something_else": np.zeros(3),
    "a_dictionary": {"a": 1},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_else_is_read(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = (
        "no BandPower .*results that were made here alone, never from those of others; delete the fold's directory"
    )
    with pytest.raises(BenchmarkError, match=message):
        from_state(state_with(pickle.dumps(HOSTILE[kind])), BandPower(1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\x80", b"no pickle", b"cos\nsystem\n(S'touch made'\ntR.", b"."])
def test_what_is_no_pickle_is_said(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BenchmarkError, match="the weights hold no BandPower"):
        from_state(state_with(content), BandPower(1))
    with pytest.raises(BenchmarkError, match="the weights hold no BandPower"):
        from_state({}, BandPower(1))
    assert list(tmp_path.iterdir()) == []


def test_a_dotted_name_is_not_followed():
    content = b"\x80\x04\x8c\x1csleepbench.models.band_power\x8c\x07np.load\x93."
    with pytest.raises(BenchmarkError, match=r"names sleepbench\.models\.band_power\.np\.load"):
        from_state(state_with(content), BandPower(1))

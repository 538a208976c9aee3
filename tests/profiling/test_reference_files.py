"""Weights and inputs of reference files are drawn the same everywhere; wrong files are named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.models.registry import reference_files
from sleepbench.profiling import parity
from sleepbench.profiling.parity import Program, Reference, read_reference, write_parity


def nano() -> Reference:
    return read_reference(reference_files("nano_sleepnet")[0])


def test_draws_stay_as_they_are():
    """The files are of these numbers."""
    np.testing.assert_allclose(
        parity.uniform(1, "classifier.bias", (3,), -1, 1), [-0.346185588, 0.759650666, -0.870264843], atol=1e-8
    )
    assert parity.drawn_input((2, 1, 129), 1, 30.0).shape == (2, 1, 129)
    state = parity.drawn_state({"a.weight": (4, 3), "a.running_var": (4,), "a.num_batches_tracked": ()}, 1)
    assert list(state) == ["a.weight", "a.running_var"] and (state["a.running_var"] >= 0.5).all()
    assert np.abs(state["a.weight"]).max() <= 1


def test_what_is_drawn_for_a_name_depends_on_no_other():
    shapes = {"a.weight": (4, 3), "b.weight": (4, 3)}
    both, one = parity.drawn_state(shapes, 1), parity.drawn_state({"b.weight": (4, 3)}, 1)
    assert np.array_equal(both["b.weight"], one["b.weight"]) and not np.array_equal(both["a.weight"], one["b.weight"])


def test_a_file_is_read_as_it_was_written(tmp_path):
    reference = replace(nano(), remark="with a remark")
    reference.write(tmp_path / "one.npz")
    again = read_reference(tmp_path / "one.npz")
    assert all(np.array_equal(value, getattr(again, name)) for name, value in vars(reference).items())
    assert parity.compare(again)["outputs"] < 1e-12


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"by": "somebody"}, "by is 'somebody', expected authors or independent"),
        ({"precision": "float16"}, "precision is 'float16', expected float64 or float32"),
        ({"source": None}, "source missing or unknown; make it with tools/parity"),
        ({"sorce": "x"}, "sorce missing or unknown"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, change, message):
    with np.load(reference_files("nano_sleepnet")[0]) as arrays:
        content = {name: value for name, value in (dict(arrays) | change).items() if value is not None}
    np.savez(tmp_path / "one.npz", **content)
    with pytest.raises(BenchmarkError, match=message):
        read_reference(tmp_path / "one.npz")


def test_other_parameters_than_the_file_has_are_named():
    with pytest.raises(BenchmarkError, match="its parameters are not those of its reference file"):
        parity.compare(replace(nano(), gradient_names=("classifier.bias",)))


def test_differences_are_written_for_every_model(tmp_path: Path):
    write_parity("nano_sleepnet", tmp_path / "nano.json")
    found = read_json(tmp_path / "nano.json")
    assert (found["title"], found["verified"], len(found["against"])) == ("NanoSleepNet", "outputs", 1)
    assert found["against"][0]["outputs"] < 1e-12 and found["against"][0]["by"] == "authors"
    write_parity("band_power", tmp_path / "power.json")
    assert read_json(tmp_path / "power.json")["against"] == []


def test_dropout_is_off_in_training_and_on_again():
    program = Program(nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)))
    x = np.ones((8, 4))
    outputs, gradients, statistics = program.trained(x, x)
    assert np.array_equal(outputs, program.outputs(x)) and not statistics
    assert np.allclose(gradients["0.bias"], 8) and program.module[1].p == 0.5
    assert parity.relative(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == 0.5
    assert program.dtype == torch.float64

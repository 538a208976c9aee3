"""Every network that the registry calls verified equals another program of it."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.models import describe, model_names
from sleepbench.models.registry import REFERENCES, reference_files
from sleepbench.profiling.parity import TOLERANCES, Ours, compare, drawn_input, drawn_state, read_reference

FILES = sorted(REFERENCES.glob("*.npz"))
SIZES = pd.read_csv(Path(__file__).parents[1] / "reference" / "model_sizes.csv")
ROUNDING = {"outputs": 1e-12, "outputs_carried": 1e-12, "outputs_training": 1e-11, "gradients": 1e-10}
"""What float64 leaves of a difference; the specification asks for no more than TOLERANCES."""
NEARLY = {"sleep_satelight_ft": 1e-6}
"""Its spectrum's tapers are kept in float32."""

every_file = pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])


@every_file
def test_file_says_what_it_is_of(path):
    reference = read_reference(path)
    assert re.fullmatch(r"github\.com/[\w.-]+/[\w.-]+ at ([0-9a-f]{7}|\d+\.\d+\.\d+)", reference.source)
    assert path.stem in (reference.model, f"{reference.model}-{reference.n_channels}")
    assert reference.framework and path.stat().st_size < 300_000


@every_file
def test_outputs_and_gradients_are_those_of_the_other_program(path):
    reference = read_reference(path)
    found = compare(reference)
    assert found["outputs"] <= TOLERANCES[reference.precision]
    for what, difference in found.items():
        assert difference <= NEARLY.get(reference.model, ROUNDING[what]), what


@every_file
def test_outputs_depend_on_the_input(path):
    reference = read_reference(path)
    ours = Ours(reference.model, reference.n_channels)
    ours.load(drawn_state(ours.shapes(), reference.seed))
    one, other = (ours.outputs(drawn_input(reference.shape, seed, reference.amplitude)) for seed in (3, 4))
    assert np.abs(one - other).max() > 0.005 * np.abs(one).max()


@pytest.mark.parametrize("name", model_names())
def test_verified_outputs_are_those_with_reference_files(name):
    assert (describe(name).verified == "outputs") == bool(reference_files(name))


def test_verified_sizes_are_exact():
    for name in (name for name in model_names() if describe(name).verified == "size"):
        assert SIZES[SIZES.model == name].exact.any(), name


@pytest.mark.parametrize("name", ["deep_sleepnet", "tiny_sleepnet"])
def test_the_state_that_is_carried_on_is_compared(name):
    assert all(read_reference(path).output_carried is not None for path in reference_files(name))


@pytest.mark.parametrize("kept", [0, 1000, -20])
def test_a_damaged_file_is_said_with_a_remedy(tmp_path, kept):
    path = tmp_path / "eegnet.npz"
    path.write_bytes((REFERENCES / "eegnet.npz").read_bytes()[:kept])
    with pytest.raises(BenchmarkError, match=rf"eegnet\.npz: is no whole reference file .*git checkout -- {path}"):
        read_reference(path)


def test_files_of_no_model_are_not_taken():
    assert sorted(path for name in model_names() for path in reference_files(name)) == FILES
    with pytest.raises(BenchmarkError, match="'nano' is not known"):
        reference_files("nano")

"""Every network equals another program of it, its authors' where that is known.

The reference files keep the outputs and gradients of that program, in float64, and say which it is, at which commit.
Files with `weights_seed` have inputs and weights that are normal, those with `seed` uniform ones: see
reference_draws.py.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from reference_draws import draw, standard_normal, uniform, uniform_state, waves, without_dropout
from torch import Tensor, nn

from sleepbench.models import create_model
from sleepbench.models.seq_sleepnet import triangles

FOLDER = Path(__file__).parents[1] / "reference" / "rivals"
REFERENCES = {file.stem: dict(np.load(file)) for file in sorted(FOLDER.glob("*.npz"))}
NORMAL = [name for name, reference in REFERENCES.items() if "weights_seed" in reference]
UNIFORM = [name for name, reference in REFERENCES.items() if "seed" in reference]


def test_every_file_is_of_one_kind_and_says_its_source():
    assert sorted(NORMAL + UNIFORM) == sorted(REFERENCES)
    assert NORMAL and UNIFORM
    assert all("float64" in str(reference["source"]) for reference in REFERENCES.values())


# ------------------------------------------------------------------------------------------------------------- normal


def built(name: str) -> nn.Module:
    reference = REFERENCES[name]
    model = create_model(name, int(reference["n_channels"])).double()
    model.load_state_dict(draw(model.state_dict(), int(reference["weights_seed"])), strict=False)
    return without_dropout(model)


def run(model: nn.Module, x: Tensor) -> Tensor:
    """SeqSleepNet's reference starts at the spectra, which its authors compute in MATLAB."""
    if x.shape[-1] == 3000:
        return model(x)
    model.filter_bank.triangles = triangles()
    return model.classify(model.encode_spectra(x.flatten(0, 1)).unflatten(0, x.shape[:2]))


@pytest.mark.parametrize("name", NORMAL)
def test_outputs_and_gradients_are_those_of_the_authors_program(name):
    reference, model = REFERENCES[name], built(name)
    x = standard_normal(tuple(reference["input_shape"]), int(reference["input_seed"]))
    with torch.no_grad():
        output = run(model.eval(), x).numpy()
    scale = np.abs(reference["output"]).max()
    np.testing.assert_allclose(output, reference["output"], rtol=0, atol=1e-12 * scale)

    output = run(model.train(), x)
    scale = np.abs(reference["output_training"]).max()
    tolerance = 1e-8 if name == "seq_sleepnet" else 1e-11  # it norms batches of three sequences
    np.testing.assert_allclose(output.detach().numpy(), reference["output_training"], rtol=0, atol=tolerance * scale)
    (output * standard_normal(tuple(output.shape), int(reference["projection_seed"]))).sum().backward()
    parameters = dict(model.named_parameters())
    assert sorted(parameters) == list(reference["gradient_names"])
    gradients = [parameters[key].grad.flatten().numpy() for key in reference["gradient_names"]]
    norms = reference["gradient_norms"]
    largest = norms.max()
    tolerance = 1e-6 if name == "seq_sleepnet" else 1e-8
    np.testing.assert_allclose([np.linalg.norm(g) for g in gradients], norms, rtol=tolerance, atol=1e-9 * largest)
    along = [g @ np.cos(np.arange(g.size)) for g in gradients]
    np.testing.assert_allclose(along, reference["gradient_cosines"], rtol=0, atol=tolerance * largest)


@pytest.mark.parametrize("name", ["deep_sleepnet", "tiny_sleepnet"])
def test_the_state_is_carried_on_as_in_the_authors_program(name):
    reference, model = REFERENCES[name], built(name).eval()
    x = standard_normal(tuple(reference["input_shape"]), int(reference["input_seed"]))
    with torch.no_grad():
        _, state = model.forward_from(x, None)
        # DeepSleepNet's second batch was the first one's epochs from the last to the first.
        second = x.flatten(0, 1).flip(0).reshape(x.shape) if name == "deep_sleepnet" else x
        output, _ = model.forward_from(second, state)
    np.testing.assert_allclose(output.numpy(), reference["output_carried"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NORMAL)
def test_outputs_depend_on_the_input(name):
    shape, model = tuple(REFERENCES[name]["input_shape"]), built(name).eval()
    with torch.no_grad():
        one, other = (run(model, standard_normal(shape, seed)) for seed in (3, 4))
    assert (one - other).abs().max() > 0.005 * one.abs().max()


# ------------------------------------------------------------------------------------------------------------ uniform


@pytest.mark.parametrize("name", UNIFORM)
def test_outputs_and_gradients_are_those_of_the_other_program(name):
    reference = REFERENCES[name]
    seed, shape = int(reference["seed"]), tuple(int(n) for n in reference["shape"])
    model = without_dropout(create_model(str(reference["model"]), shape[-2]).double())
    model.load_state_dict(uniform_state(model.state_dict(), seed), strict=False)
    x = waves(shape, seed, float(reference["amplitude"]))

    def assert_close(found: np.ndarray, what: str, tolerance: float) -> None:
        scale = np.abs(reference[what]).max()
        np.testing.assert_allclose(found, reference[what], rtol=0, atol=tolerance * scale, err_msg=what)

    with torch.no_grad():
        assert_close(model.eval()(x).numpy(), "output", 1e-12)
    output = model.train()(x)
    assert_close(output.detach().numpy(), "output_training", 1e-12)
    (output * uniform(seed, "weights of outputs", tuple(output.shape), -1, 1)).sum().backward()
    parameters = dict(model.named_parameters())
    names = [str(key) for key in reference["gradient_names"]]
    assert sorted(parameters) == names
    gradients = [parameters[key].grad for key in names]
    along = [
        (g * uniform(seed, f"projection {key}", tuple(g.shape), -1, 1)).sum().item()
        for key, g in zip(names, gradients, strict=True)
    ]
    assert_close(np.array([g.norm().item() for g in gradients]), "gradient_norms", 1e-10)
    assert_close(np.array(along), "gradient_projections", 1e-10)

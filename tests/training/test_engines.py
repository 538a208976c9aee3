import pytest
import torch
from torch import nn

from sleepbench.models import create_model, describe
from sleepbench.models.kernels import fused
from sleepbench.models.kernels.fused import arrangement
from sleepbench.training.engines import ENGINES, arrangement_of, forward_of

NO_GRADIENT = ("main1.pointwise.bias", "main2.pointwise.bias")
"""Biases of convolutions that feed a batch norm have no gradient but rounding."""


def without_dropout(dtype):
    torch.manual_seed(0)
    model = create_model("ulw_sleepnet", 2).to(dtype).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return model


def steps(engine: str, dtype: torch.dtype, n: int) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses and state after n Adam steps on batches that are the same for every engine."""
    model = without_dropout(dtype)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, amsgrad=True)
    generator = torch.Generator().manual_seed(1)
    losses = []
    for _ in range(n):
        stage = torch.randint(0, 5, (4,), generator=generator)
        x = torch.randn(4, 2, 3000, generator=generator, dtype=dtype) * (1 + stage[:, None, None]) * 10
        loss = nn.functional.cross_entropy(forward_of(model, engine)(x), stage)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model.state_dict()


def test_engines_agree_in_float64_over_fifty_steps():
    (fast, fast_state), (reference, reference_state) = (steps(engine, torch.float64, 50) for engine in ENGINES)
    assert fast == pytest.approx(reference, abs=1e-8)
    for name, value in fast_state.items():
        if not name.endswith(NO_GRADIENT):
            assert torch.allclose(value, reference_state[name], rtol=0, atol=1e-6), name
    assert fast[-1] != fast[0]


@pytest.mark.parametrize("n_samples", [3000, 2998, 2999, 3001, 5])
def test_gradients_are_the_same_with_the_operators_that_a_gpu_is_given(monkeypatch, n_samples):
    x, stage = torch.randn(3, 2, n_samples, dtype=torch.float64), torch.tensor([0, 3, 1])

    def gradients(engine):
        model = without_dropout(torch.float64)
        nn.functional.cross_entropy(forward_of(model, engine)(x), stage).backward()
        return {name: p.grad for name, p in model.named_parameters() if not name.endswith(NO_GRADIENT)}

    expected = gradients("reference")
    monkeypatch.setattr(fused, "_is_held_up_by_memory", lambda x: True)
    for name, gradient in gradients("fast").items():
        assert torch.allclose(gradient, expected[name], rtol=1e-9, atol=1e-11), name


def test_losses_agree_in_float32():
    fast, reference = (steps(engine, torch.float32, 50)[0] for engine in ENGINES)
    assert fast[:10] == pytest.approx(reference[:10], abs=1e-4)
    assert fast == pytest.approx(reference, abs=2e-3)  # rounding alone gives 5e-4


def test_gradients_agree_in_float32():
    x, stage = torch.randn(8, 2, 3000, generator=torch.Generator().manual_seed(2)) * 20, torch.arange(8) % 5
    gradients = []
    for engine in ENGINES:
        model = without_dropout(torch.float32)
        nn.functional.cross_entropy(forward_of(model, engine)(x), stage).backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    fast, reference = gradients
    largest = max(gradient.abs().max() for gradient in reference.values())
    for name, gradient in reference.items():
        if not name.endswith(NO_GRADIENT):
            assert (fast[name] - gradient).abs().max() < 1e-4 * largest, name


@pytest.mark.parametrize("n_samples", [3000, 2998, 2999, 3001])
def test_engines_agree_in_evaluation_for_odd_lengths_too(n_samples):
    model = without_dropout(torch.float64).eval()
    x = torch.randn(3, 2, n_samples, dtype=torch.float64)
    assert torch.allclose(forward_of(model, "fast")(x), forward_of(model, "reference")(x), rtol=0, atol=1e-12)


def test_model_without_a_fast_arrangement_runs_as_it_is():
    model = create_model("chambon2018", 2).eval()
    x = torch.randn(3, 2, 3000)
    assert torch.equal(forward_of(model, "fast")(x), forward_of(model, "reference")(x))


def test_only_the_fast_engine_on_the_cpu_is_computed_by_the_kernel():
    ulw, other, cpu = describe("ulw_sleepnet"), describe("chambon2018"), torch.device("cpu")
    assert arrangement_of(ulw, "fast", cpu) == arrangement()
    for info, engine, device in ((ulw, "reference", cpu), (other, "fast", cpu), (ulw, "fast", torch.device("cuda"))):
        assert arrangement_of(info, engine, device) == "PyTorch"

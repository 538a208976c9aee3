"""Losses: weights of the stages, and those of a stack against PyTorch's."""

import numpy as np
import pytest
import torch
from fake_models import CONSTANT_RECIPE, recipe_of
from torch import nn

from sleepbench.training.loss import IGNORED, class_weights_of, cross_entropies


def weights_by(class_weights: object, stage: list[int]) -> np.ndarray | None:
    return class_weights_of(recipe_of({**CONSTANT_RECIPE, "class_weights": class_weights}), np.array(stage))


def test_class_weights_follow_the_training_labels():
    stage = [0] * 50 + [1] * 5 + [2] * 30 + [3] * 10 + [4] * 5
    assert weights_by("none", stage) is None
    assert weights_by([1, 1.5, 1, 1, 1], stage).tolist() == [1, 1.5, 1, 1, 1]
    assert weights_by("balanced", stage) == pytest.approx([0.4, 4, 2 / 3, 2, 4])
    # AttnSleep: mu = (0.3, 0.4, 0.3, 0.2, 0.3); only N1 and REM are so rare that ln(mu M / M_k) is above 1.
    assert weights_by("class_aware", stage) == pytest.approx([0.3, 0.4 * np.log(8), 0.3, 0.2, 0.3 * np.log(6)])


@pytest.mark.parametrize("rule", ["balanced", "class_aware"])
def test_a_stage_that_does_not_occur_has_a_finite_weight(rule):
    assert np.isfinite(weights_by(rule, [0] * 9 + [2])).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_losses_and_their_gradients_are_those_of_pytorch(smoothing, is_weighted):
    torch.manual_seed(0)
    logits = (4 * torch.randn(3, 7, 5, dtype=torch.float64)).requires_grad_()
    labels = torch.randint(0, 5, (3, 7))
    labels[1, 4:] = labels[2, 1:] = IGNORED
    weights = 1 + torch.rand(3, 5, dtype=torch.float64) if is_weighted else torch.ones(3, 5, dtype=torch.float64)
    expected = torch.stack(
        [
            nn.CrossEntropyLoss(weights[i] if is_weighted else None, label_smoothing=smoothing)(logits[i], labels[i])
            for i in range(3)
        ]
    )
    found = cross_entropies(logits, labels, weights, smoothing)
    assert torch.allclose(found, expected, rtol=1e-14, atol=0)
    (of_found,), (of_expected,) = (torch.autograd.grad(losses.sum(), logits) for losses in (found, expected))
    assert torch.allclose(of_found, of_expected, rtol=0, atol=1e-15)

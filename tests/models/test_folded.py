"""The folded network against the network itself."""

import numpy as np
import pytest
import torch
from torch import nn

from sleepbench.core.errors import BenchmarkError
from sleepbench.models import create_model
from sleepbench.models.kernels.folded import fold


def random_network(n_channels: int) -> nn.Module:
    """One whose norms and biases are not those of the start; some of its norms' weights are negative."""
    torch.manual_seed(n_channels)
    network = create_model("ulw_sleepnet", n_channels)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 50)
            nn.init.normal_(module.weight)
        if (bias := getattr(module, "bias", None)) is not None:
            nn.init.normal_(bias)
    return network.eval()


@pytest.mark.parametrize("n_channels", [1, 4])
@pytest.mark.parametrize("n_samples", [3000, 500, 17])
def test_folding_changes_no_logit(n_channels, n_samples):
    network = random_network(n_channels)
    x = 30 * torch.randn(3, n_channels, n_samples)
    folded = fold(network)
    with torch.inference_mode():
        of_double = network.double()(x.double()).numpy()
    np.testing.assert_allclose(folded(x.double().numpy()), of_double, rtol=0, atol=1e-12)
    np.testing.assert_allclose(folded.astype(np.float32)(x.numpy()), of_double, rtol=0, atol=2e-6)


def test_dense_kernel_is_the_two_convolutions():
    convolution = fold(random_network(1)).blocks[1].main1
    x = np.random.default_rng(0).normal(size=(2, 8, 20))
    dense = nn.functional.conv1d(*map(torch.from_numpy, (x, convolution.dense, convolution.bias)), padding=1)
    np.testing.assert_allclose(convolution(x), dense, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["ulw_dense_convs", "eegnet"])
def test_another_network_is_refused(name):
    with pytest.raises(BenchmarkError, match="expected ULWSleepNet"):
        fold(create_model(name, 4))

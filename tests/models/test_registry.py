import subprocess
import sys

import pytest
import torch

from sleepbench import models
from sleepbench.errors import BenchmarkError


@pytest.mark.parametrize("name", models.model_names())
def test_every_model_is_as_registered(name):
    info = models.describe(name)
    assert info.name == name
    assert all((info.title, info.paper, info.published_recipe, info.published_channels))
    assert f"class {info.architecture}" in models.model_source(name).read_text()
    n_channels = len(info.published_channels)
    model = models.create_model(name, n_channels)
    assert type(model).__name__ == info.architecture
    assert model(torch.randn(2, n_channels, 3000)).shape == (2, 5)
    assert models.create_model(name, n_channels, 4)(torch.randn(2, n_channels, 3000)).shape == (2, 4)


@pytest.mark.parametrize("name", models.model_names())
def test_weights_follow_from_the_seed(name):
    n_channels = len(models.describe(name).published_channels)

    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([parameter.flatten() for parameter in models.create_model(name, n_channels).parameters()])

    assert torch.equal(weights(7), weights(7))
    assert not torch.equal(weights(7), weights(8))


def test_registry_does_not_import_pytorch():
    program = (
        "import sys; from sleepbench import models; from sleepbench.training import recipes\n"
        "for name in models.model_names(): models.describe(name), models.model_source(name)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize("use", [models.describe, models.model_source, lambda name: models.create_model(name, 4)])
def test_unknown_name_is_answered_with_the_nearest(use):
    with pytest.raises(BenchmarkError, match=r"'ulw-sleepnet' is not known; did you mean 'ulw_sleepnet'"):
        use("ulw-sleepnet")


@pytest.mark.parametrize(
    ("n_channels", "n_classes", "message"),
    [
        (0, 5, "n_channels is 0, expected an integer of at least 1"),
        ("4", 5, "n_channels is '4'"),
        (2.0, 5, "n_channels is 2.0"),
        (4, 1, "n_classes is 1, expected an integer of at least 2"),
    ],
)
def test_sizes_that_cannot_be_are_refused(n_channels, n_classes, message):
    with pytest.raises(BenchmarkError, match=message):
        models.create_model("ulw_sleepnet", n_channels, n_classes)

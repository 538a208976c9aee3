import subprocess
import sys

import pytest

from sleepbench import models
from sleepbench.core.errors import BenchmarkError
from sleepbench.models import registry


def test_names_and_titles_are_said_once():
    entries = registry.MODELS
    for names in ([info.name for info in entries], [info.title for info in entries]):
        assert len(set(names)) == len(names)
    assert models.model_names() == tuple(info.name for info in entries)


def test_registry_does_not_import_pytorch():
    program = (
        "import sys; from sleepbench import models; from sleepbench.training import recipe\n"
        "for name in models.model_names(): models.describe(name), models.model_source(name)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.parametrize("use", [models.describe, models.model_source, lambda name: models.create_model(name, 4)])
def test_unknown_name_is_answered_with_the_nearest(use):
    with pytest.raises(BenchmarkError, match=r"'ulw-sleepnet' is not known; the nearest known name is 'ulw_sleepnet'"):
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


def test_sources_of_a_model_are_its_file_and_what_it_imports_from_the_others():
    def names(model):
        return [path.name for path in models.model_sources(model)]

    assert names("ulw_sleepnet") == ["fused.py", "fused_kernel.c", "fused_kernel.py", "native.py", "ulw_sleepnet.py"]
    assert names("nano_sleepnet_tcn") == ["layers.py", "nano_sleepnet.py", "nano_sleepnet_tcn.py"]
    assert names("chambon2018") == ["chambon2018.py", "layers.py"]

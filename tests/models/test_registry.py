import json
import subprocess
import sys
from pathlib import Path

import pytest

from sleepbench import models
from sleepbench.core.errors import BenchmarkError
from sleepbench.models import registry


def test_titles_are_said_once():
    titles = [info.title for info in registry.MODELS.values()]
    assert len(set(titles)) == len(titles)
    assert models.model_names() == tuple(info.name for info in registry.MODELS.values())


def test_registry_does_not_import_pytorch():
    program = (
        "import sys; from sleepbench import models; from sleepbench.training import keys\n"
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

    assert names("ulw_sleepnet") == [
        "base.py",
        "fused.py",
        "fused_kernel.c",
        "fused_kernel.py",
        "native.py",
        "ulw_sleepnet.py",
    ]
    sequence = ["base.py", "layers.py", "nano_sleepnet.py", "nano_sleepnet_tcn.py", "open_length.py"]
    assert names("nano_sleepnet_tcn") == sequence
    assert names("chambon2018") == ["base.py", "chambon2018.py"]


def test_names_in_state_dicts_are_an_interface():
    """Weights that somebody keeps load in later versions: those of every model that is in the file."""
    kept = json.loads((Path(__file__).parents[1] / "reference" / "state_dict_names.json").read_text())
    for name, expected in kept.items():
        state = models.create_model(name, expected["n_channels"]).state_dict()
        assert {key: list(tensor.shape) for key, tensor in state.items()} == expected["state_dict"], name


ENTRY = {"title": "T", "architecture": "A", "paper": "none", "published_roles": ["eeg1"]}


def test_an_entry_is_in_the_file_of_its_name_unless_it_says_another():
    assert registry.read_entry("mine", ENTRY).module == "sleepbench.models.mine"
    assert registry.read_entry("mine", ENTRY | {"module": "other"}).module == "sleepbench.models.other"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (ENTRY | {"verfied": True}, "mine has no key 'verfied'; the nearest known name is 'verified'"),
        ({"title": "T", "paper": "none"}, "mine: .*missing .*'architecture' and 'published_roles'"),
        (ENTRY | {"verified": True}, "mine: verified is True, expected one of outputs, size, or no such key"),
        (ENTRY | {"input_transformation": "robst"}, "input_transformation is 'robst', expected one of none, unit"),
        (ENTRY | {"input_transformation": {"unit": {"volts": 1}}}, "input_transformation is .*'volts'"),
        (
            ENTRY | {"input_transformation": {"unit": {}}},
            "input_transformation is .*, such as {unit: {microvolts: 20}}",
        ),
    ],
)
def test_what_is_wrong_with_an_entry_is_named(entry, message):
    with pytest.raises(BenchmarkError, match=message):
        registry.read_entry("mine", entry)

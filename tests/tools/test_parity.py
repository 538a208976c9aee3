"""The tool of parity finds faults in another program, and says what is wrong with what it is given."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from parity.command import main
from parity.names import MapError, Names
from parity.other import ProgramError, Remote

from sleepbench.models import describe, model_names
from sleepbench.models.registry import REFERENCES, reference_files
from sleepbench.profiling.parity import compare, read_reference
from sleepbench.reporting.tables.parity import NO_OTHER

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "parity"
EEGNET = '''
import torch
from torch import nn

class Other(nn.Module):
    """EEGNet of one channel, written another way."""

    def __init__(self, epsilon=1e-3, padding=32, active=True):
        super().__init__()
        self.active = active
        norm = lambda n: nn.BatchNorm2d(n, epsilon, 0.01)
        self.temporal, self.norm1 = nn.Conv2d(1, 8, (1, 64), bias=False), norm(8)
        self.spatial, self.norm2 = nn.Conv2d(8, 16, (1, 1), groups=8, bias=False), norm(16)
        self.depth = nn.Conv2d(16, 16, (1, 16), padding=(0, 8), groups=16, bias=False)
        self.point, self.norm3, self.last = nn.Conv2d(16, 16, 1, bias=False), norm(16), nn.Linear(16 * 93, 5)
        self.padding = (padding, 64 - padding)

    def forward(self, x):
        x = self.norm1(self.temporal(nn.functional.pad(x[:, None], self.padding)))
        x = self.norm2(self.spatial(x))
        x = nn.functional.avg_pool2d(nn.functional.elu(x) if self.active else x, (1, 4))
        x = nn.functional.elu(self.norm3(self.point(self.depth(x))))
        return self.last(nn.functional.avg_pool2d(x, (1, 8)).flatten(1))

def right(shape): return Other()
def epsilon(shape): return Other(epsilon=1e-5)
def padding(shape): return Other(padding=31)
def activation(shape): return Other(active=False)
class Turned(Other):
    def forward(self, x): return super().forward(x).T
def turned(shape): return Turned()
right.about = {"source": "github.com/some/body at 1234567", "framework": "PyTorch", "by": "independent"}
'''
MAP = {
    **{"features.0.": "temporal.", "features.1.": "norm1.", "features.2.": "spatial.", "features.3.": "norm2."},
    **{"features.7.": "depth.", "features.8.": "point.", "features.9.": "norm3."},
    "classifier.weight": {"name": "last.weight", "reshape": True},
    "classifier.bias": "last.bias",
}
VARIABLES = '''
import sys
import numpy as np
sys.path.insert(0, {programs!r})
from variables import Variables, View, positions

class Linear(Variables):
    """What NumPy alone can do: means of each channel's halves, then a linear layer kept in two parts."""

    def __init__(self): self.own = {{"a": np.zeros((3, 2)), "b": np.zeros((3, 2))}}
    def values(self): return dict(self.own)
    def assign(self, values): self.own = values
    def views(self, shapes):
        return {{"all": View(("a", "b"), np.concatenate([one.T for one in positions(*shapes.values())]), 1.0)}}
    def outputs(self, x): return x @ np.concatenate([self.own["a"], self.own["b"]], axis=1)
    def trained(self, x, weights): raise ValueError("does not learn")

def linear(shape): return Linear()
'''


@pytest.fixture
def program(tmp_path):
    """The other implementation and the map, as arguments of the command."""
    (tmp_path / "other.py").write_text(EEGNET, encoding="utf-8")
    (tmp_path / "map.json").write_text(json.dumps(MAP), encoding="utf-8")
    return lambda factory, *more: ["eegnet", f"{tmp_path / 'other.py'}:{factory}", str(tmp_path / "map.json"), *more]


def differences(printed: str) -> dict[str, float]:
    """What was printed, by what it is of."""
    lines = [line for line in printed.splitlines() if " relative " in line]
    return {line[:33].rstrip(): float(line.partition(" relative ")[2].split()[0].rstrip(";,")) for line in lines}


def test_an_equal_program_is_found_equal_and_kept(program, tmp_path, capsys):
    main(program("right", "--reference", str(tmp_path / "eegnet.npz")))
    found = differences(capsys.readouterr().out)
    assert {"outputs", "outputs in training", "moving statistics after it"} < set(found)
    assert max(value for name, value in found.items() if "dropout" not in name) < 1e-12
    reference = read_reference(tmp_path / "eegnet.npz")
    assert (reference.source, reference.by) == ("github.com/some/body at 1234567", "independent")
    assert max(compare(reference).values()) < 1e-12


@pytest.mark.parametrize(("fault", "least"), [("epsilon", 1e-4), ("padding", 1e-3), ("activation", 1e-2)])
def test_a_fault_is_found(program, capsys, fault, least):
    main(program(fault))
    found = differences(capsys.readouterr().out)
    assert found["outputs"] > least and found["outputs in training"] > 1e-6


def test_another_interpreter_may_run_it(tmp_path):
    path = tmp_path / "linear.py"
    path.write_text(VARIABLES.format(programs=str(TOOL / "programs")), encoding="utf-8")
    remote = Remote(sys.executable, f"{path}:linear", (1, 3))
    assert remote.shapes() == {"all": (4, 3)} and not hasattr(remote, "carried")
    weights = np.arange(12.0).reshape(4, 3)
    remote.load({"all": weights})
    assert np.array_equal(remote.outputs(np.eye(3)), weights.T - 1)
    with pytest.raises(ProgramError, match="linear, trained: ValueError: does not learn"):
        remote.trained(np.eye(3), np.eye(3))
    remote.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["egnet", "x.py:f", "x.json"], "'egnet' is not known; the nearest known name is 'eegnet'"),
        (["eegnet", "nothing.py:f", "eegnet.json"], "expected FILE.py:FACTORY, and there is no file 'nothing.py'"),
        (["eegnet", "ulw_sleepnet.py", "eegnet.json"], "expected FILE.py:FACTORY"),
        (["eegnet", "mma_sleepnet.py:network", "nothing.json"], "there is no map nothing.json: write one"),
        (["nano_sleepnet", "nano_sleepnet.py:nan", "nano_sleepnet.json"], "has no 'nan'; it has nano, tcn, causal"),
        (["nano_sleepnet", "nano_sleepnet.py:nano", "nano_sleepnet.json", "--sources", "/none"], "git clone https://"),
        (["eegnet", "nano_sleepnet.py:nano", "eegnet.json", "--python", "/no/python"], "there is no such interpreter"),
    ],
)
def test_what_is_not_there_is_said(monkeypatch, arguments, message):
    monkeypatch.setenv("PARITY_SOURCES", "/none")
    with pytest.raises(SystemExit, match=message):
        main(arguments)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features.0.": None}, r"of theirs, and nothing to which to map features\.0\.weight \(8, 1, 1, 64\) of ours"),
        ({"features.3.": "norm9."}, r"features\.3\.weight: theirs has no norm9\.weight; it has temporal\.weight"),
        ({"feature.0.": "temporal."}, r"feature\.0\.: no name of ours is or begins so; ours are features\.0\.weight"),
        ({"classifier.weight": "last.weight"}, r"\(5, 16, 1, 93\) and last\.weight of theirs \(5, 1488\): .* permuted"),
        (
            {"classifier.bias": {"name": "last.bias", "transpose": [0]}},
            "transpose is not known, expected name, permute",
        ),
        ({"classifier.bias": "last."}, "must have a name, which ends in a dot or slash where the key does"),
        ({"classifier.bias": {"name": "last.bias", "permute": [1, 0]}}, "cannot be split as None and permuted"),
    ],
)
def test_what_is_wrong_with_a_map_is_said(program, tmp_path, change, message):
    changed = {name: value for name, value in (MAP | change).items() if value is not None}
    (tmp_path / "map.json").write_text(json.dumps(changed), encoding="utf-8")
    with pytest.raises(SystemExit, match=message):
        main(program("right"))


def test_a_reference_needs_to_say_what_it_is_of(program, tmp_path):
    with pytest.raises(SystemExit, match="say --source and --framework and --by too"):
        main(program("epsilon", "--reference", str(tmp_path / "x.npz")))


def test_outputs_of_another_shape_are_refused(program):
    with pytest.raises(SystemExit, match=r"outputs of the shape \(5, 3\), expected \(3, 5\): let the factory"):
        main(program("turned"))


def test_names_turn_weights_and_gradients():
    ours, theirs = {"a.w": (4, 3, 2), "a.n": (1, 5)}, {"b/w": (2, 3, 4), "b/n": (5,)}
    names = Names({"a.w": {"name": "b/w", "permute": [2, 1, 0]}, "a.n": "b/n"}, ours, theirs)
    state = {name: np.random.default_rng(0).random(shape) for name, shape in ours.items()}
    turned = names.to_theirs(state)
    assert np.array_equal(turned["b/w"], state["a.w"].T) and turned["b/n"].shape == (5,)
    back = names.to_ours(turned)
    assert all(np.array_equal(back[name], state[name]) for name in state)
    split = {"a.w": {"name": "b/w", "split": [2, 2, 3, 2], "permute": [1, 0, 2, 3], "reshape": True}, "a.n": "b/n"}
    names = Names(split, ours, theirs)
    assert np.array_equal(names.to_ours(names.to_theirs(state))["a.w"], state["a.w"])
    with pytest.raises(MapError, match="only_theirs or only_ours"):
        Names({"a.w": {"name": "b/w", "permute": [2, 1, 0]}}, ours, theirs)
    assert Names({"a.n": "b/n", "only_ours": ["a.w"], "only_theirs": ["b/w"]}, ours, theirs).to_theirs(
        state
    ).keys() == {"b/n"}


def test_the_page_says_how_every_file_is_made():
    """Each command of the table in README.md is of a file, a program and a map that are there."""
    rows = [line.strip("| \n").split(" | ") for line in (TOOL / "README.md").read_text().splitlines() if "`" in line]
    rows = [row for row in rows if len(row) == 3 and row[0].startswith("`")]
    assert sorted(row[0].strip("`") for row in rows) == sorted(path.stem for path in REFERENCES.glob("*.npz"))
    for file, source, command in rows:
        reference = read_reference(REFERENCES / f"{file.strip('`')}.npz")
        model, program, names, *options = command.strip("`").split()
        assert model == reference.model and reference.source == f"github.com/{source}"
        path, _, factory = program.partition(":")
        assert f"\ndef {factory}(shape" in (TOOL / "programs" / path).read_text(encoding="utf-8")
        assert json.loads((TOOL / "maps" / names).read_text(encoding="utf-8"))
        said = dict(zip(options[::2], options[1::2], strict=False)) if "--spectra" not in options else {}
        assert int(said.get("--seed", 1)) == reference.seed
        assert int(said.get("--channels", reference.n_channels)) == reference.n_channels


def test_the_page_on_rivals_has_every_model_and_program():
    page = (ROOT / "docs" / "rivals.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|\n").split("|")] for line in page.splitlines() if line[:1] == "|"]
    rows = {row[0]: row[1:] for row in rows if "github.com/" in row[1] or row[1] in NO_OTHER.values()}
    assert set(rows) == {describe(name).title for name in model_names()}
    for name in model_names():
        source, by, framework, channels, *_ = rows[describe(name).title]
        references = [read_reference(path) for path in reference_files(name)]
        assert {source} == ({one.source for one in references} or {NO_OTHER[describe(name).verified]})
        assert {by} == ({one.by for one in references} or {"–"})
        assert not references or {framework} == {one.framework for one in references}
        assert channels.split() == sorted(str(one.n_channels) for one in references) or channels == "–"


def test_it_is_run_as_a_folder():
    command = [sys.executable, str(TOOL), "--check", "nano_sleepnet"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("nano_sleepnet ")
    done = subprocess.run(command[:2], capture_output=True, text=True)
    assert done.returncode == 2 and "expected MODEL FILE.py:FACTORY MAP.json, --check or --table" in done.stderr

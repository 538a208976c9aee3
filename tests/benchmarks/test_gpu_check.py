"""The check of a GPU, made on the CPU at a small size, and what it takes from elsewhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sleepbench.benchmarks import gpu_check
from sleepbench.benchmarks.stack import EXTRAPOLATED, Phase, epochs_by_recording, steps_on, works
from sleepbench.config.load import load
from sleepbench.config.plan import dataset, plan, recordings
from sleepbench.core.files import read_json
from sleepbench.training.stack import Stack

ROOT = Path(__file__).parents[2]
ON_A_BARE_MACHINE = {"torch", "numpy", "scipy", "pandas", "pyarrow", "sklearn", "psutil"}
BLOCKING = """
import sys
from importlib.abc import MetaPathFinder

class Nothing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        asked = sys._getframe(1)
        while asked and (asked.f_code.co_filename.startswith("<frozen") or "importlib" in asked.f_code.co_filename):
            asked = asked.f_back
        top = name.partition(".")[0]
        own = asked is not None and "/workflow/sleepbench/" in asked.f_code.co_filename
        if own and top not in sys.stdlib_module_names | {needs} | {{"sleepbench"}}:
            raise ModuleNotFoundError(f"{{name}} is not on a bare machine")

for name in {absent}:
    sys.modules[name] = None
sys.meta_path.insert(0, Nothing())
from sleepbench.benchmarks import gpu_check
gpu_check.CHECKS = {{name: gpu_check.CHECKS[name] for name in {checks}}}
sys.exit(gpu_check.main(["--device", "cpu", "--output", {output!r}]))
"""
ABSENT = ["pydantic", "mne", "snakemake", "fvcore", "mlflow", "statsmodels", "matplotlib", "requests", "click", "rich"]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def checked(tmp_path, *checks):
    """The checks by a process that has nothing but what a bare machine has; its lines and its findings."""
    output = tmp_path / "found" / "check.json"
    needs = sorted(ON_A_BARE_MACHINE | {*gpu_check.NEEDS})
    code = BLOCKING.format(needs=set(needs), absent=ABSENT, checks=list(checks), output=str(output))
    command = [sys.executable, "-P", "-c", code]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "workflow"), "XDG_CACHE_HOME": str(tmp_path)}
    ended = subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout.splitlines(), read_json(output)


def test_it_runs_where_little_is_installed(tmp_path):
    lines, found = checked(tmp_path, "cuda_graph", "evaluation")
    assert "on the CPU" in lines[0] and "made-up signals" in lines[1] and "All is right" in lines[-2]
    assert found["checks"]["cuda_graph"]["outcome"] == "not made"
    assert found["checks"]["evaluation"]["epochs_per_s"] > 0
    assert {*gpu_check.NEEDS} - ON_A_BARE_MACHINE == {"yaml", "filelock"}


@pytest.mark.slow
def test_all_checks_are_right_on_the_cpu(tmp_path):
    lines, found = checked(tmp_path, *gpu_check.CHECKS)
    assert len(lines) == 1 + 10 + 1 and found["is_right"], lines  # on a GPU without the first
    outcomes = {name: one["outcome"] for name, one in found["checks"].items()}
    assert outcomes.pop("cuda_graph") == "not made" and set(outcomes.values()) == {"right"}
    rates = found["checks"]["rates"]
    assert rates["bytes_per_s"] == pytest.approx(rates["bytes_per_step"] * rates["steps_per_s"])
    halved = found["checks"]["ways"]["bytes_per_step_bfloat16"] / rates["bytes_per_step"]
    assert 0.4 < halved < 0.7
    assert found["checks"]["killed_stack"]["killed_after"] == 2


def test_what_it_says_of_recipe_and_datasets_is_what_is_configured(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert vars(load().recipes["ulw"]) == {"name": "ulw", **gpu_check.RECIPE}
    for name in EXTRAPOLATED:
        lists = {"models": ["ulw_sleepnet"], "inputs": ["four"], "recipes": ["ulw"]}
        config = load(run={"datasets": [name], "protocols": ["released"], "seeds": [32], **lists})
        planned = plan(config).datasets[name]
        trainings = works(config, planned, epochs_by_recording(dataset(config, name), recordings(config, name)))
        evaluated = sum(work.phases[Phase(work.key.contender)].evaluated for work in trainings)
        assert gpu_check.RELEASED[name] == (steps_on(name), evaluated)


def test_a_stack_that_ends_elsewhere_is_wrong(monkeypatch):
    """A fold that sees another's batch."""
    draw = Stack.draw

    def wrong(self):
        drawn = draw(self)
        self.tables["index"][1] = self.tables["index"][0]
        return drawn

    monkeypatch.setattr(Stack, "draw", wrong)
    small = {
        "SMALL_EPOCHS": (16, 8),
        "SMALL_TRAINING_EPOCHS": 1,
        "ENGINES": ("fast",),
        "PRECISIONS": {"float64": gpu_check.Double},
    }
    for name, value in small.items():
        monkeypatch.setattr(gpu_check, name, value)
    with pytest.raises(gpu_check.Wrong, match="does not end as its folds do alone") as raised:
        gpu_check.same_as_alone(torch.device("cpu"), gpu_check.SMALL)
    assert raised.value.found["float64_fast"] > 1e-4


def test_a_check_that_breaks_off_keeps_none_from_being_made(monkeypatch, tmp_path, capsys):
    def broken(device, size):
        raise NotImplementedError("aten::missing\nmore")

    def wrong(device, size):
        raise gpu_check.Wrong("too far", {"apart": 3.0})

    monkeypatch.setattr(gpu_check, "CHECKS", {"first": broken, "second": wrong, "third": lambda *_: ("well", {"n": 1})})
    assert gpu_check.main(["--device", "cpu", "--output", str(tmp_path / "out.json")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:5] == [
        "WRONG    first broke off: NotImplementedError: aten::missing",
        "WRONG    too far",
        "right    well",
    ]
    found = json.loads((tmp_path / "out.json").read_text())
    assert not found["is_right"] and found["checks"]["second"]["apart"] == 3.0 and "WRONG: first, second" in lines[5]


def test_a_lack_of_memory_is_made_and_seen():
    line, found = gpu_check.without_memory(torch.device("cpu"), gpu_check.SMALL)
    assert found["is_seen"] and "what fits trains after it" in line

"""What pip installs, without a checkout: definitions and resources are in it, and what needs more says so."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import sleepbench
from sleepbench.core.shipped import shipped

ROOT = Path(__file__).parents[1]
ASKED = """
import json
from sleepbench.config.benchmarks import versions
from sleepbench.config.load import load_known
from sleepbench.config.plan import recordings
from sleepbench.core.shipped import shipped
from sleepbench.evaluation.claims import load_claims
from sleepbench.models.registry import reference_files
from sleepbench.runs.verdicts import CLAIMS
from sleepbench.simulation.calibration import STATISTICS
config = load_known()
print(json.dumps({
    "from": [str(shipped(name)) for name in ("definitions", "resources")],
    "recordings": len(recordings(config, "sleep-edf-20")),
    "versions": list(versions()),
    "claims": len(load_claims(CLAIMS)),
    "parity": [path.is_file() for path in reference_files("ulw_sleepnet")],
    "statistics": STATISTICS.is_file(),
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The unpacked wheel; it is built of a copy, since building writes beside what it builds."""
    pytest.importorskip("setuptools")
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "config.yaml"):
        shutil.copy(ROOT / name, source / name)
    shutil.copytree(ROOT / "workflow", source / "workflow", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir", built]
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", *options, source]
    subprocess.run(command, check=True, capture_output=True, text=True)
    with zipfile.ZipFile(next(built.glob("*.whl"))) as file:
        file.extractall(built / "site-packages")
    return built / "site-packages"


def run_from(wheel, directory, *arguments):
    """Python with the wheel's package, in a directory of its own."""
    surroundings = {**os.environ, "PYTHONPATH": str(wheel)}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=directory, env=surroundings, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_wheel_has_its_definitions_and_resources(wheel, tmp_path):
    result = run_from(wheel, tmp_path, "-c", ASKED)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["from"] == [str(wheel / "sleepbench" / name) for name in ("definitions", "resources")]
    assert found["recordings"] == 39 and found["claims"] >= 5 and found["statistics"] and all(found["parity"])
    assert found["versions"][0] == "sleepbench-SC v1" and found["parity"]
    for folder in ("definitions", "resources"):
        committed = {path.relative_to(shipped(folder)) for path in shipped(folder).rglob("*") if path.is_file()}
        assert {wheel / "sleepbench" / folder / path for path in committed} <= {*wheel.rglob("*")}
    assert {path.name for path in (ROOT / "workflow/sleepbench/reporting/page").glob("*.jinja")} == {
        path.name for path in wheel.rglob("*.jinja")
    }


@pytest.mark.slow
def test_a_wheel_says_its_version_and_what_needs_a_checkout(wheel, tmp_path):
    said = run_from(wheel, tmp_path, "-m", "sleepbench.cli.app", "--version")
    assert said.returncode == 0 and said.stdout == f"sleepbench, version {sleepbench.__version__}\n"
    refused = run_from(wheel, tmp_path, "-m", "sleepbench.cli.app", "run")
    assert refused.returncode == 1 and "from the root of a checkout of the repository" in refused.stderr
    shutil.copy(ROOT / "config.yaml", tmp_path)
    refused = run_from(wheel, tmp_path, "-m", "sleepbench.cli.app", "run")
    assert refused.returncode == 1 and "has no workflow" in refused.stderr and "a checkout" in refused.stderr
    checked = run_from(wheel, tmp_path, "-m", "sleepbench.cli.app", "results", "check", "missing.zip")
    assert checked.returncode == 1 and "missing.zip: no such file" in checked.stderr


def test_in_a_checkout_the_folders_stand_beside_the_package():
    assert [shipped(name) for name in ("definitions", "resources")] == [
        ROOT / "workflow" / name for name in ("definitions", "resources")
    ]

"""What the containers are made of: linted, not root, from the lock, and of files that are there."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "containers/Dockerfile"
DEFINITION = ROOT / "containers/sleepbench.def"
HADOLINT = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))


@pytest.mark.skipif(HADOLINT is None, reason="no hadolint: `make setup` installs it")
def test_hadolint_finds_nothing_but_what_is_named_there(tmp_path):
    def lint(path):
        return subprocess.run([HADOLINT, str(path)], capture_output=True, text=True, check=False)

    assert (lint(DOCKERFILE).returncode, lint(DOCKERFILE).stdout) == (0, "")
    worse = tmp_path / "Dockerfile"
    worse.write_text(DOCKERFILE.read_text().replace("WORKDIR /sleepbench", "WORKDIR sleepbench"))
    assert lint(worse).returncode == 1 and "DL3000" in lint(worse).stdout


def test_the_image_ends_as_a_user_with_the_demo():
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    stages = [number for number, line in enumerate(lines) if line.startswith("FROM ")]
    last = lines[stages[-1] :]
    assert len(stages) == 2 and [line for line in last if line.startswith("USER ")] == ["USER 1000"]
    assert last[-1] == 'CMD ["make", "demo"]'


@pytest.mark.parametrize("path", [DOCKERFILE, DEFINITION], ids=lambda path: path.name)
def test_both_are_made_by_the_set_up_of_a_python_that_is_supported(path):
    text = path.read_text(encoding="utf-8")
    assert re.search(r"PIP_NO_CACHE_DIR=1 make setup GPU=(\$\{GPU\}|\{\{ GPU \}\})", text)
    python = re.search(r"PYTHON=(3\.\d+)", text)[1]
    assert python in ("3.11", "3.12", "3.13") and "GPU=0" in text


def test_all_that_is_copied_is_there_and_all_that_is_committed_is_copied():
    definition = DEFINITION.read_text(encoding="utf-8").partition("%files")[2].partition("%post")[0]
    copied = {line.split()[0] for line in definition.splitlines() if line.strip()}
    tracked = subprocess.run(["git", "-C", ROOT, "ls-files"], capture_output=True, text=True, check=False)
    if tracked.returncode:
        pytest.skip("no repository of git here")
    committed = {line.partition("/")[0] for line in tracked.stdout.splitlines() if not line.startswith(".")}
    assert copied == committed - {"results"}
    docker = re.findall(r"^COPY --chown=sleepbench (.+) \S+$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert all((ROOT / name).exists() for names in docker for name in names.split())
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".git", ".venv", "results"} <= {*ignored} and not committed - {"results"} & {*ignored}

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ENVS = Path(__file__).parents[1] / "envs"
CUDA = ("nvidia-", "cuda-", "triton")


def lines_of(name: str) -> list[str]:
    """Lines of a file in envs/ without comments and blanks."""
    stripped = (
        re.sub(r"(^|\s)#.*", "", line).strip() for line in (ENVS / name).read_text(encoding="utf-8").splitlines()
    )
    return [line for line in stripped if line]


def pinned() -> dict[str, list[str]]:
    """The hashes of each pinned package."""
    found: dict[str, list[str]] = {}
    for line in lines_of("requirements.lock"):
        if line.startswith("--hash="):
            found[list(found)[-1]].append(line.removesuffix("\\").strip())
        else:
            found[re.fullmatch(r"([a-z0-9-]+==[A-Za-z0-9.]+)( ;.*)? \\", line)[1]] = []
    return found


def test_lock_pins_everything_asked_for_with_hashes():
    lock = pinned()
    assert all(hashes for hashes in lock.values())
    assert all(re.fullmatch("--hash=sha256:[0-9a-f]{64}", one) for hashes in lock.values() for one in hashes)
    assert "torch==2.13.0" in lock
    names = {line.partition("==")[0] for line in lock}
    assert {line.partition("==")[0].lower() for line in lines_of("requirements.in")} <= names
    assert any(name.startswith(CUDA) for name in names), "the CUDA build is pinned too"


def test_every_checkout_has_the_same_bytes(tmp_path):
    """Hashes of committed files are recorded: no setting of git's may turn their line ends."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    (first / ".gitattributes").write_bytes((ENVS.parent / ".gitattributes").read_bytes())
    (first / "folds.json").write_bytes(b"{}\n")

    def git(*arguments):
        options = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false", "-c", "core.autocrlf=true"]
        subprocess.run(["git", *options, *map(str, arguments)], check=True, cwd=first, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    git("clone", "-q", first, second)
    assert (second / "folds.json").read_bytes() == b"{}\n"


def test_conda_environment_has_the_same_pins():
    pins = {line.removeprefix("- ") for line in lines_of("environment.yaml") if "==" in line}
    assert pins <= set(pinned())
    packages = (ENVS / "requirements.in").read_text(encoding="utf-8").partition("# for `make test` only")[0]
    wanted = {line.split()[0].partition("==")[0].lower() for line in packages.splitlines() if line and line[0] != "#"}
    assert {pin.partition("==")[0].lower() for pin in pins} == wanted


def test_pip_brings_each_package_once_and_none_that_is_newer_than_the_lock():
    project = tomllib.loads((ENVS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert {*extras} == {"core", "train", "report"}
    asked = [
        Requirement(one) for one in [*project["dependencies"], *(one for extra in extras.values() for one in extra)]
    ]
    packages = (ENVS / "requirements.in").read_text(encoding="utf-8").partition("# for `make test` only")[0]
    lines = [line.split()[0] for line in packages.splitlines() if line and line[0] != "#"]
    assert sorted(one.name for one in asked) == sorted(Requirement(line).name.lower() for line in lines)
    locked = dict(line.split("==") for line in pinned())
    for one in asked:
        assert one.specifier and one.specifier.contains(locked[one.name]), f"{one}: the lock has {locked[one.name]}"
    exact = {Requirement(line).name: Requirement(line).specifier for line in lines if "==" in line}
    assert {one.name: one.specifier for one in asked if one.name in exact} == exact


@pytest.fixture(scope="module")
def installed():
    spec = importlib.util.spec_from_file_location("installed", ENVS / "installed.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_installed_is_held_against_the_lock(installed):
    of_click = f"click=={version('click')} \\"
    lines = [of_click, "    --hash=sha256:0", "# click==0", "", "no-such-package==1 ; sys_platform == 'nowhere' \\"]
    assert list(installed.differing(lines)) == []
    assert list(installed.differing(["click==0.1 \\"])) == [f"click: {version('click')} is installed, expected ==0.1"]
    assert list(installed.differing(["no-such-package==1"])) == ["no-such-package: nothing is installed, expected ==1"]


def test_a_local_build_is_its_version(installed, monkeypatch):
    monkeypatch.setattr(installed, "version", lambda name: "2.13.0+cpu")
    assert list(installed.differing(["torch==2.13.0"])) == []
    assert list(installed.differing(["torch==2.12.0"])) == ["torch: 2.13.0 is installed, expected ==2.12.0"]


def test_another_version_ends_with_an_error(tmp_path):
    (tmp_path / "lock").write_text("click==0.1 \\\n    --hash=sha256:0\n")
    command = [sys.executable, str(ENVS / "installed.py"), str(tmp_path / "lock")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1 and "click: " in result.stderr and "Traceback" not in result.stderr


def test_the_lock_of_the_cpu_build_lacks_torch_and_cuda_alone(tmp_path):
    """As the set-up makes it by awk."""
    if not shutil.which("awk"):
        pytest.skip("there is no awk")
    program = re.search(r"awk '(.*)' \"\$lock\"", (ENVS / "setup.sh").read_text(encoding="utf-8"))[1]
    command = ["awk", program, str(ENVS / "requirements.lock")]
    kept = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    names = set(re.findall(r"^([a-z0-9-]+)==", kept, re.MULTILINE))
    every = {line.partition("==")[0] for line in pinned()}
    assert every - names == {"torch", *(name for name in every if name.startswith(CUDA))}
    assert kept.count("--hash") == sum(len(h) for pin, h in pinned().items() if pin.partition("==")[0] in names)

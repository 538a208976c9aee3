import re
import subprocess
from pathlib import Path

ENVS = Path(__file__).parents[1] / "envs"


def lines_of(name: str) -> list[str]:
    """Lines of a file in envs/ without comments and blanks."""
    stripped = (
        re.sub(r"(^|\s)#.*", "", line).strip() for line in (ENVS / name).read_text(encoding="utf-8").splitlines()
    )
    return [line for line in stripped if line]


def test_lock_pins_everything_asked_for_and_no_build_of_torch():
    lock = lines_of("requirements.lock")
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.]+", line) for line in lock)
    assert "torch==2.13.0" in lock
    assert not [line for line in lock if line.startswith(("nvidia", "cuda", "triton"))]
    pinned = {line.partition("==")[0].lower() for line in lock}
    assert {line.partition("==")[0].lower() for line in lines_of("requirements.in")} <= pinned


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
    assert pins <= set(lines_of("requirements.lock"))
    packages = (ENVS / "requirements.in").read_text(encoding="utf-8").partition("# for `make test` only")[0]
    wanted = {line.split()[0].partition("==")[0].lower() for line in packages.splitlines() if line and line[0] != "#"}
    assert {pin.partition("==")[0].lower() for pin in pins} == wanted

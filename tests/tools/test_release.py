"""A release: one version everywhere, and files that are of the commit and can be checked."""

import os
import subprocess
import sys
import tomllib
import zipfile
from datetime import date

import pytest
import release
import yaml

import sleepbench

CITATION = (release.ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_citation_is_of_the_package_s_version_and_has_what_its_format_asks_for():
    project = tomllib.loads((release.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    cited = yaml.safe_load(CITATION)
    assert str(cited["version"]) == project["version"] == sleepbench.__version__
    assert cited["license"] == project["license"] and isinstance(cited["date-released"], date)
    assert {"cff-version", "message", "title", "authors", "version", "date-released"} <= {*cited}
    assert cited["cff-version"] == "1.2.0" and cited["type"] == "software"
    assert all({"type", "title", "authors"} <= {*one} for one in cited["references"])


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("git@github.com:owner/name.git", "https://github.com/owner/name"),
        ("ssh://git@host.org/owner/name", "https://host.org/owner/name"),
        ("https://user:secret@host.org/owner/name.git/", "https://host.org/owner/name"),
        ("https://host.org/group/owner/name", "https://host.org/group/owner/name"),
        ("/srv/git/name.git", ""),
        ("", ""),
    ],
)
def test_the_address_of_a_remote_is_one_to_open(remote, expected):
    assert release.address(remote) == expected


def test_the_citation_gains_the_repository_once():
    text = release.with_repository(CITATION, "https://host.org/owner/name")
    assert yaml.safe_load(text) == {**yaml.safe_load(CITATION), "repository-code": "https://host.org/owner/name"}
    assert release.with_repository(text, "https://other.org/a/b") == text
    assert release.with_repository(CITATION, "") == CITATION


@pytest.mark.slow
def test_a_release_is_of_the_commit_and_its_sums_are_right(tmp_path):
    """In a clone, whose origin is a folder: it says that no repository is named."""
    clone, output = tmp_path / "clone", tmp_path / "release"
    subprocess.run(["git", "clone", "-q", str(release.ROOT), str(clone)], check=True)
    surroundings = {**os.environ, "PYTHONPATH": str(clone / "workflow")}
    command = [sys.executable, str(clone / "tools/release.py"), "--output", str(output)]

    def run():
        return subprocess.run(command, cwd=clone, env=surroundings, capture_output=True, text=True, check=False)

    (clone / "left.txt").write_text("not committed")
    refused = run()
    assert refused.returncode == 1 and "commit or remove them first:\n?? left.txt" in refused.stderr
    assert not output.exists()
    (clone / "left.txt").unlink()
    result = run()
    assert result.returncode == 0, result.stderr
    version = sleepbench.__version__
    results = sorted(path.name for path in (clone / "docs").glob("*/*-results.zip"))
    crates = [name.replace(".zip", "-crate.zip") for name in results]
    built = [f"sleepbench-{version}-py3-none-any.whl", f"sleepbench-{version}.tar.gz"]
    assert {path.name for path in output.iterdir()} == {*results, *crates, *built, "CITATION.cff", "SHA256SUMS"}
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=output, check=True)
    with zipfile.ZipFile(output / built[0]) as wheel:
        assert "sleepbench/definitions/config.yaml" in wheel.namelist()
    assert "names no repository" in result.stdout and f"v{version}" in result.stdout and "zenodo.org" in result.stdout

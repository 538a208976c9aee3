"""The commit is that of the project, or unknown."""

import subprocess

import pytest

from sleepbench.core.provenance import git_commit


def git(directory, *arguments):
    options = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(directory), *options, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    directory = tmp_path / "outer"
    directory.mkdir()
    git(directory, "init", "-q")
    (directory / "file").write_text("as committed")
    git(directory, "add", "file")
    git(directory, "commit", "-qm", "first")
    return directory


def test_the_commit_and_whether_files_differ_from_it(repository):
    commit = git(repository, "rev-parse", "HEAD")
    assert git_commit(repository) == commit
    (repository / "file").write_text("changed")
    assert git_commit(repository) == f"{commit}+"


def test_a_repository_around_an_unpacked_archive_says_nothing(repository, tmp_path):
    unpacked = repository / "unpacked"
    unpacked.mkdir()
    assert git_commit(unpacked) == "unknown"
    alone = tmp_path / "alone"
    alone.mkdir()
    assert git_commit(alone) == "unknown"


def test_variables_that_name_another_repository_are_not_followed(repository, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    commit = git(repository, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert git_commit(repository) == commit

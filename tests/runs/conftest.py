"""Made-up results that are whole, made once and copied."""

import contextlib
import copy
import shutil

import pytest
from planned_results import PlannedResults


@pytest.fixture(scope="session")
def pristine(tmp_path_factory):
    """Whole results with their tables; not to be changed."""
    root = tmp_path_factory.mktemp("pristine")
    with contextlib.chdir(root), contextlib.redirect_stdout(None):
        results = PlannedResults(root)
        results.train_all()
        results.write_tables()
    return results


@pytest.fixture
def whole(pristine, tmp_path, monkeypatch):
    """Whole results of two protocols, to be changed; the current directory is theirs."""
    root = tmp_path / "here"
    shutil.copytree(pristine.root, root)
    monkeypatch.chdir(root)
    results = copy.copy(pristine)
    results.root, results.content = root, copy.deepcopy(pristine.content)
    return results

"""Made-up results that are whole, made once and copied."""

import contextlib
import copy
import shutil

import pytest
from planned_results import DATASET, PlannedResults

from sleepbench.runs import archive as exchange


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


@pytest.fixture(scope="session")
def ordinary(pristine, tmp_path_factory):
    """The archive of whole results; not to be changed."""
    archive = tmp_path_factory.mktemp("archive") / "ordinary.zip"
    with contextlib.chdir(pristine.root):
        exchange.export(pristine.config, DATASET, archive)
    return archive

"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

# A test's time says nothing about the code on a machine that does other work as well.
settings.register_profile("sleepbench", deadline=None)
settings.load_profile("sleepbench")

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that run whole workflows come first: at the end, one process would work on them alone."""
    items.sort(key=lambda item: "workflow" not in item.path.relative_to(REPOSITORY / "tests").parts)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real reference files, no part of the repository; tests that need it are skipped without."""
    folder = Path(os.environ.get("SLEEPBENCH_SHARED") or REPOSITORY.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist: set SLEEPBENCH_SHARED to the folder of real reference files")
    return folder

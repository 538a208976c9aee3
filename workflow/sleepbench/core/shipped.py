"""Where definitions and resources are: files that come with the package and are no code."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def shipped(folder: str) -> Path:
    """The folder "definitions" or "resources": of an installed package within it, of a checkout beside it."""
    within = PACKAGE / folder
    return within if within.is_dir() else PACKAGE.parent / folder

"""Whether what is installed is what a lock pins: python envs/installed.py LOCK [REQUIREMENT ...]

Prints what is not, and fails then. A local version, such as the +cpu of a build of PyTorch, is its pinned one.
"""

import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version


def differing(lines: Iterable[str]) -> Iterator[str]:
    """A sentence for each pinned package that is not installed, or not as it is pinned."""
    for line in lines:
        if not line.strip() or line[0] in " #":
            continue
        requirement = Requirement(line.rstrip("\\ "))
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            found = Version(version(requirement.name)).public
        except PackageNotFoundError:
            found = "nothing"
        if found == "nothing" or found not in requirement.specifier:
            yield f"{requirement.name}: {found} is installed, expected {requirement.specifier}"


if __name__ == "__main__":
    lock, *others = sys.argv[1:]
    lines = Path(lock).read_text(encoding="utf-8").splitlines()
    if wrong := list(differing([*lines, *others])):
        sys.exit("\n".join(wrong))

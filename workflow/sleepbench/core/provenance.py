"""The commit that a number was made with."""

import subprocess
from pathlib import Path


def git_commit(directory: Path) -> str:
    """The commit checked out in `directory`, or "unknown" outside git.

    It ends in "+" when files differ from the commit.
    """
    git = ["git", "-C", str(directory)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed.strip() else "")

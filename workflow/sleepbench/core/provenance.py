"""The commit that a number was made with."""

import os
import subprocess
from pathlib import Path


def git_commit(project: Path) -> str:
    """The commit of the project's own repository, or "unknown" outside git.

    `project` is the project's directory: a repository around it, as around an unpacked archive, says nothing of it. The
    commit ends in "+" when files differ from it.
    """
    git = ["git", "-C", str(project)]
    # A user's variables, as within a hook, may point at another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}

    def said(*arguments: str) -> str:
        result = subprocess.run([*git, *arguments], capture_output=True, text=True, check=True, env=environment)
        return result.stdout.rstrip("\n")

    try:
        if not Path(said("rev-parse", "--show-toplevel")).samefile(project):
            return "unknown"
        commit, changed = said("rev-parse", "HEAD"), said("status", "--porcelain")
    except (OSError, ValueError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed.strip() else "")

"""Where a number comes from: the code that decides it and the commit it was made with."""

import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path

from sleepbench.core.files import sha256_of_json
from sleepbench.models import describe, model_sources

PACKAGE = Path(__file__).parents[1]
PREPARATION = ("core/stages.py", "signals/edf.py", "signals/hypnogram.py", "signals/prepare.py")
TRAINING = ("protocols/folds.py", "training/*.py", "protocols/selection.py", "evaluation/metrics.py")
POSTPROCESSING = ("postprocessing/*.py",)


def code_sha256(patterns: Iterable[str], model: str | None = None) -> str:
    """SHA-256 over the package's files that match `patterns` and, if named, those of a model's architecture.

    Of the model's entry in the registry goes in what decides its numbers. A number is stale when the code that decides
    it changes: adding another model, mending a table or a title changes nothing.
    """
    files = {path for pattern in patterns for path in PACKAGE.glob(pattern)} | (
        set(model_sources(model)) if model else set()
    )
    content = hashlib.sha256()
    for path in sorted(files):
        content.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes() + b"\0")
    if model:
        info = describe(model)
        content.update(sha256_of_json([info.architecture, info.kind, info.sequence_length, info.inference]).encode())
    return content.hexdigest()


def git_commit(directory: Path) -> str:
    """The commit checked out in `directory`, with "+" behind it when files differ from it; "unknown" outside git."""
    git = ["git", "-C", str(directory)]
    try:
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed.strip() else "")

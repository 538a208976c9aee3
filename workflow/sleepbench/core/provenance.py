"""Where a number comes from: the code that decides it and the commit it was made with."""

import functools
import hashlib
import subprocess
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

FETCH = ("core/files.py", "datasets/base.py", "datasets/download.py", "simulation/*.py")
PREPARE = ("core/stages.py", "datasets/base.py", "signals/**/*.py", "preparation/prepare.py", "preparation/quality.py")
TRAIN = (
    *("core/stages.py", "config/recipe.py", "models/base.py", "models/transformation.py", "preparation/prepared.py"),
    *("protocols/folds.py", "training/*.py", "evaluation/metrics.py"),
)
CODE = {
    "fetch": FETCH,
    "prepare": PREPARE,
    "index": ("preparation/index.py",),
    "totals": ("preparation/totals.py", "signals/trimming.py"),
    "folds": ("protocols/folds.py", "protocols/audit.py"),
    # Not protocols/selection.py: a selection rule that is added trains nothing again.
    "train": (*PREPARE, *TRAIN),
    "smooth": ("postprocessing/*.py",),
    "profile": ("core/stages.py", "models/base.py", "profiling/*.py"),
    "log": ("runs/mlflow.py",),
    "collect": ("runs/run.py", "runs/verify.py", "runs/runs_table.py", "runs/mlflow.py"),
}
"""The files that decide what the jobs of the workflow make, as patterns below the package.

Beside these come the file that reads a dataset, and the code of a model: see `training_code`.
"""


def code_sha256(patterns: Iterable[str], model_code: str = "") -> str:
    """SHA-256 of the package's files that match `patterns`, and of a model's code if given (`models.model_code`).

    A number is stale when the code that decides it changes: adding another model or dataset, or correcting a table or a
    title, changes nothing.
    """
    return _sha256(tuple(patterns), model_code)


def training_code(reader: str, model_code: str) -> str:
    """SHA-256 of the code that a training depends on.

    `reader` is the module of `datasets` that reads its dataset: preparation may change with it.
    """
    return code_sha256([*CODE["train"], f"datasets/{reader}.py"], model_code)


@functools.cache
def _sha256(patterns: tuple[str, ...], model_code: str) -> str:
    content = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in PACKAGE.glob(pattern)}):
        content.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes() + b"\0")
    content.update(model_code.encode())
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

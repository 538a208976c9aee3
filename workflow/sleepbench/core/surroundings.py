"""What a user's machine and account bring with them, kept out of what is computed."""

import getpass
import os
import stat
import sys
import tempfile
import warnings
from pathlib import Path

from sleepbench.core.errors import BenchmarkError

PACKAGE = Path(__file__).parents[1]
CACHE = Path(".snakemake/cache")
"""What Snakemake, matplotlib and the compiled kernels keep where the user's own cache cannot be written to."""
OF_OTHERS = ("MATPLOTLIBRC", "PYTHONOPTIMIZE", "PYTHONWARNINGS")
"""Variables by which a user sets up programs of their own, and which change or end ours."""


def settle() -> None:
    """Leave a user's settings of other programs out of this process and of the jobs that it starts.

    Figures are drawn without a display; what is printed never fails for want of a character; caches have a place. What
    is made, by other programs too, is not for everybody to change, as some of it is run later.
    """
    os.umask(os.umask(0o022) | stat.S_IWOTH)
    if os.environ.get("PYTHONWARNINGS"):
        warnings.resetwarnings()
        warnings.simplefilter("ignore")
    for name in OF_OTHERS:
        os.environ.pop(name, None)
    os.environ["MPLBACKEND"] = "agg"
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    _give_name()
    if not _can_be_written(_cache()) and _can_be_written(CACHE):
        os.environ["XDG_CACHE_HOME"] = os.environ["MPLCONFIGDIR"] = str(CACHE.resolve())


def _give_name() -> None:
    """Name a user who has none, as in a container that runs as any uid: Snakemake and MLflow ask for it."""
    try:
        getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        os.environ["LOGNAME"] = f"uid-{os.getuid()}"


def without_optimization() -> None:
    """Start this process again where Python was told to leave out docstrings, which MNE cannot do without."""
    if sys.flags.optimize and os.environ.pop("PYTHONOPTIMIZE", None):
        os.execv(sys.executable, sys.orig_argv)


def _cache() -> Path | None:
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # the user has no home, as in some containers
        return None


def _can_be_written(directory: Path | None) -> bool:
    if directory is None:
        return False
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False


def require_own_workflow(directory: Path) -> None:
    """Raise BenchmarkError where the directory's workflow belongs to another sleepbench.

    Its rules and its jobs would run different code: a copied .venv brings that of the first checkout.
    """
    there = directory / "workflow" / "sleepbench"
    if there.exists() and not there.samefile(PACKAGE):
        named = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        by_variable = any((Path(path) / PACKAGE.name).resolve() == PACKAGE.resolve() for path in named)
        what = (
            f"PYTHONPATH names that one: unset PYTHONPATH and run {directory}/.venv/bin/sleepbench"
            if by_variable
            else f"`make setup` makes the .venv of this directory again; then run {directory}/.venv/bin/sleepbench"
        )
        raise BenchmarkError(f"{there}: is not this sleepbench, which is {PACKAGE}. {what}")

"""C beside a Python module, compiled for this machine the first time it is needed.

The library is kept in the user's cache under a name that says what it was made from and for: a machine pays once.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

FLAGS = ("-O3", "-march=native", "-std=gnu11", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math")
"""Numbers may be infinite or no numbers, and sums keep their order: no -ffast-math."""
TIME_LIMIT_S = 120


def load(source: Path) -> ctypes.CDLL | None:
    """The library made from `source`; None, with one warning that says why, where that is not possible."""
    try:
        compiler = shlex.split(os.environ.get("CC", "")) or [_compiler()]
        return _load(source, compiler)
    except (OSError, subprocess.SubprocessError) as error:
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
        lines = (said or str(error)).splitlines()
        reason = next((line for line in lines if "error" in line), lines[0])
        logging.getLogger(__name__).warning(
            "Warning: %s cannot be compiled or loaded (%s): PyTorch does its work, more slowly", source.name, reason
        )
        return None


def _compiler() -> str:
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return name
    raise FileNotFoundError("no C compiler is found: neither cc, gcc nor clang")


def _load(source: Path, compiler: list[str]) -> ctypes.CDLL:
    path = _cache() / f"{source.stem}-{_fingerprint(source, compiler)}.so"
    try:
        return ctypes.CDLL(str(path))
    except OSError:  # not there, or damaged
        pass
    with tempfile.TemporaryDirectory(dir=path.parent) as directory:  # several processes may be at it
        made = Path(directory, path.name)
        subprocess.run(
            [*compiler, *FLAGS, "-fPIC", "-shared", "-o", str(made), str(source)],
            check=True,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
        )
        library = ctypes.CDLL(str(made))
        made.replace(path)
    return library


def _cache() -> Path:
    """A directory that can be written to."""
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        directory = Path(home, "sleepbench")
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return directory
    except (OSError, RuntimeError):  # RuntimeError: the user has no home, as in some containers
        return Path(tempfile.mkdtemp(prefix="sleepbench-"))


def _fingerprint(source: Path, compiler: list[str]) -> str:
    version = subprocess.run([*compiler, "--version"], capture_output=True, text=True, check=True, timeout=TIME_LIMIT_S)
    made_of = (source.read_text(), *compiler, *FLAGS, version.stdout, platform.machine(), _instructions())
    return hashlib.sha256("\0".join(made_of).encode()).hexdigest()[:16]


def _instructions() -> str:
    """What the processor can do, as Linux says it; a cache may be shared between machines."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())

"""C beside a Python module, compiled for this machine the first time it is needed.

A library is kept in a private directory of the user under a name that says what it was made from and for, with its
SHA-256 beside it: a machine pays once. What is there is looked at before it is believed: it must be the user's own, not
writable by others, and have the bytes that were written. Anything else is made anew, and what is loaded are the bytes
that were looked at, not a file that may change.
"""

import ctypes
import hashlib
import logging
import os
import platform
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sleepbench.core.locks import alone

FLAGS = ("-O3", "-march=native", "-std=gnu11", "-fopenmp-simd", "-fno-math-errno", "-fno-trapping-math")
"""Numbers may be infinite or no numbers, and sums keep their order: no -ffast-math."""
TIME_LIMIT_S = 120
LARGEST_BYTES = 2**24
"""Of a library; ours are a thousandth of it."""
PROCESSOR = ("vendor_id", "cpu family", "model", "model name", "stepping", "flags", "Features", "CPU")
"""Beginnings of the lines of /proc/cpuinfo that say what the compiler makes a library for."""


def load(source: Path) -> ctypes.CDLL | None:
    """The library made from `source`; None, with one warning that says why, where that is not possible."""
    try:
        return _loaded(_library(source))
    except (OSError, ValueError, subprocess.SubprocessError) as error:  # ValueError: CC with a quote left open
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
        lines = (said or str(error)).splitlines()
        reason = next((line for line in lines if "error" in line), lines[0])
        logging.getLogger(__name__).warning(
            "Warning: %s cannot be compiled or loaded (%s): PyTorch does its work, more slowly", source.name, reason
        )
        return None


def _library(source: Path) -> bytes:
    """The library: as kept, or else compiled and kept."""
    code, command = source.read_bytes(), compiler()
    name = f"{source.stem}-{_fingerprint(code, command)}.so"
    for directory in _private_directories():
        try:
            return _kept(directory / name) or _made_and_kept(directory / name, source.name, code, command)
        except (OSError, subprocess.CalledProcessError):  # such as a full disk: the next one
            continue
    with tempfile.TemporaryDirectory(prefix="sleepbench-") as scratch:
        return _compiled(Path(scratch), source.name, code, command)


# --------------------------------------------------------------------------------------------------------- what is kept


def _private_directories() -> Iterator[Path]:
    """Directories for nobody but the user: in the cache, and beside other temporary files where that cannot be used."""
    for parent, name in ((_cache(), "sleepbench"), (Path(tempfile.gettempdir()), f"sleepbench-{os.geteuid()}")):
        directory = parent / name
        try:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory.mkdir(mode=0o700, exist_ok=True)
            found = directory.lstat()
            if not (stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()):
                continue
            if stat.S_IMODE(found.st_mode) != 0o700:
                directory.chmod(0o700)
        except OSError:
            continue
        yield directory


def _cache() -> Path:
    """The user's cache, as the XDG specification finds it; it may be anything, also no directory."""
    asked = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return asked if asked.is_absolute() else Path.home() / ".cache"
    except RuntimeError:  # the user has no home, as in some containers
        return Path(os.devnull)


def _kept(path: Path) -> bytes | None:
    """The library at `path` if it may be believed, else None."""
    content, written = _own(path), _own(_hash_of(path))
    if content is None or written is None:
        return None
    return content if written.split()[:1] == [hashlib.sha256(content).hexdigest().encode()] else None


def _own(path: Path) -> bytes | None:
    """The content of a file that only this user can have written, else None."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(file, "rb") as opened:  # noqa: PTH123 – what is looked at is what was opened
        found = os.fstat(file)
        is_own = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1
        if not is_own or found.st_mode & 0o022 or found.st_size > LARGEST_BYTES:
            return None
        return opened.read(LARGEST_BYTES)


def _hash_of(path: Path) -> Path:
    """The file beside a library that says its SHA-256."""
    return path.with_name(f"{path.name}.sha256")


def _made_and_kept(path: Path, name: str, code: bytes, compiler: list[str]) -> bytes:
    """Compile, one process at a time; others find it made. What a process that was killed left there is removed."""
    scratch = path.parent / ".making"
    with alone(path.parent / ".lock", on_wait=lambda: None):
        if content := _kept(path):
            return content
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        try:
            content = _compiled(scratch, name, code, compiler)
            for file, written in (
                (_hash_of(path), f"{hashlib.sha256(content).hexdigest()}  {path.name}\n".encode()),
                (path, content),
            ):
                made = scratch / file.name
                made.write_bytes(written)
                made.chmod(0o600)
                made.replace(file)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return content


# ------------------------------------------------------------------------------------------------ compiling and loading


def compiler() -> list[str]:
    """The command of the C compiler: that of the environment, or the first of the usual ones."""
    if asked := shlex.split(os.environ.get("CC", "")):
        return asked
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    raise FileNotFoundError("no C compiler is found: neither cc, gcc nor clang")


def _compiled(scratch: Path, name: str, code: bytes, compiler: list[str]) -> bytes:
    """The library of some code; all that is written on the way is in `scratch`."""
    source, made = scratch / name, scratch / "made.so"
    source.write_bytes(code)
    _run([*compiler, *FLAGS, "-fPIC", "-shared", "-o", str(made), str(source)], scratch)
    return made.read_bytes()


def _run(command: list[str], scratch: Path | None = None) -> str:
    """What a compiler prints; its own temporary files are in `scratch`."""
    return subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TIME_LIMIT_S,
        env={**os.environ, **({"TMPDIR": str(scratch)} if scratch else {})},
        umask=0o077,
    ).stdout


def _fingerprint(code: bytes, compiler: list[str]) -> str:
    made_of = (*compiler, shutil.which(compiler[0]) or "", _run([*compiler, "--version"]), *FLAGS, _processor())
    return hashlib.sha256(code + "\0".join(made_of).encode(errors="replace")).hexdigest()[:16]


def _processor() -> str:
    """The processor and what it can do, as Linux says it; a cache may be shared between machines."""
    known = [platform.machine(), platform.processor()]
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    first = lines[: lines.index("")] if "" in lines else lines
    return "\n".join([*known, *(line for line in first if line.startswith(PROCESSOR))])


def _loaded(content: bytes) -> ctypes.CDLL:
    """A library, loaded from memory; where the system has no files in memory, from one that nobody else can write."""
    if hasattr(os, "memfd_create"):
        # It stays open: a library that is loaded later must not have the same name.
        file = os.memfd_create("sleepbench", os.MFD_CLOEXEC)
        with open(file, "wb", closefd=False) as memory:
            memory.write(content)
        try:
            return ctypes.CDLL(f"/proc/self/fd/{file}")
        except OSError:  # such a file may not be run here, or the library is not right: the next one says so
            os.close(file)
    with tempfile.TemporaryDirectory(prefix="sleepbench-") as private:
        path = Path(private, "library.so")
        path.write_bytes(content)
        return ctypes.CDLL(str(path))

"""What the jobs made: a record of every file, with its hash, that is checked before a later job reads it.

A job that ends well leaves a record under results/made for each of its outputs; while it runs, and where it fails,
there is none. `fault` says whether an output is what its job made, and whether Snakemake's memory, under .snakemake, is
of it: that is the one place that tells by which settings and code a file was made, and it may be lost, or be of other
results than those that are here.
"""

import contextlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sleepbench.config import paths
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_file, write_json

MEMORY = Path(".snakemake/metadata/.sleepbench")
"""Where Snakemake's memory has a name, so that it is lost with it."""
CHECKED_BY_READERS = ".npy"
"""Suffix of the files that are large, and whose hashes those that read them know."""
UNKNOWN, MISSING, CHANGED, FORGOTTEN = "without a record", "missing", "changed", "forgotten"


@contextmanager
def recorded(inputs: Iterable[str], outputs: Iterable[str], also: Iterable[str] = ()) -> Iterator[None]:
    """Check the inputs of a job, and record its outputs when it has ended.

    `also` are files and directories that it writes and that Snakemake does not know as its outputs. BenchmarkError
    where an input is not as it was made.
    """
    require_as_made(path for path in inputs if not path.endswith(CHECKED_BY_READERS))
    before = {path: _read(path) for path in also}
    for path in (*outputs, *before):
        Path(paths.made(path)).unlink(missing_ok=True)
    yield
    for path in outputs:
        _write(path, _hashes(Path(path)), memory())
    for path, known in before.items():
        found = _hashes(Path(path))
        # What a job left as it was is still what Snakemake remembers, if it does.
        _write(path, found, known["memory"] if known and known["files"] == found else "")


def require_as_made(files: Iterable[str | Path]) -> None:
    """BenchmarkError unless these files are as the job that made them left them.

    A file may be one in a directory that a job made. Directories, and files that no job has recorded, such as those of
    an archive, are passed over.
    """
    for path in map(Path, files):
        known = _known_sha256(path)
        if known and path.is_file() and sha256_of_file(path) != known:
            raise BenchmarkError(
                f"{path}: was changed since it was made; delete it and run again: it is made again, with all that is "
                "made of it"
            )


def _known_sha256(path: Path) -> str | None:
    """The hash of a file by its record, or by that of a directory above it."""
    for above in (path, *path.parents):
        if known := _read(str(above)):
            return known["files"].get(path.name if above == path else path.relative_to(above).as_posix())
    return None


def fault(path: str, current: str | None) -> str:
    """What is wrong with an output; empty if nothing is.

    `current` is the name of Snakemake's memory now, which must be of this output; None: it need not. MISSING also where
    it was never made.
    """
    if not is_there(path):
        return MISSING
    if not (known := _read(path)):
        return UNKNOWN
    if _is_changed(Path(path), known["files"], Path(paths.made(path))):
        return CHANGED
    return FORGOTTEN if current is not None and (not current or known["memory"] != current) else ""


def was_made(path: str) -> bool:
    """Whether a job has made this, though it may be gone."""
    return is_there(paths.made(path))


def is_there(path: str) -> bool:
    """Whether a file or directory exists; of thousands of them in a moment."""
    return os.path.exists(path)  # noqa: PTH110 (a fifth of the time of a Path)


def memory() -> str:
    """The name of Snakemake's memory; empty where it has none."""
    with contextlib.suppress(OSError):
        return MEMORY.read_text(encoding="utf-8")
    return ""


def name_memory() -> None:
    """Give Snakemake's memory a name if it has none."""
    if not memory():
        MEMORY.parent.mkdir(parents=True, exist_ok=True)
        MEMORY.write_text(secrets.token_hex(8), encoding="utf-8")


def _read(path: str) -> dict[str, Any] | None:
    """The record of an output; None where there is none, or none that is whole."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        found = json.loads(Path(paths.made(path)).read_text(encoding="utf-8"))
        return {"memory": str(found["memory"]), "files": dict(found["files"])}
    return None


def _write(path: str, files: Mapping[str, str], memory: str) -> None:
    record = Path(paths.made(path))
    record.parent.mkdir(parents=True, exist_ok=True)
    write_json(record, {"memory": memory, "files": files})


def _files(path: Path) -> dict[str, Path]:
    """The files of an output by name: one, or those in a directory that are not hidden."""
    if not path.is_dir():
        return {path.name: path}
    return {file.relative_to(path).as_posix(): file for file in sorted(path.rglob("[!.]*")) if file.is_file()}


def _hashes(path: Path) -> dict[str, str]:
    return {name: sha256_of_file(file) for name, file in _files(path).items()}


def _is_changed(path: Path, known: Mapping[str, str], record: Path) -> bool:
    """Whether files are others than were recorded.

    Those that nobody touched since are not read: the kernel's time of change is that of any writing, renaming or
    copying. Where files were touched and are the same, the record gets the time of now.
    """
    found, recorded = _files(path), record.stat().st_mtime_ns
    if not known.keys() <= found.keys():
        return True
    touched = [name for name in known if found[name].stat().st_ctime_ns > recorded]
    if any(sha256_of_file(found[name]) != known[name] for name in touched):
        return True
    if touched:
        with contextlib.suppress(OSError):
            record.touch()
    return False

"""Whole files or none: everything is written to a temporary name in the same directory, then moved."""

import functools
import hashlib
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.locks import alone

OWN_SHA256 = "document_sha256"
"""Key of a JSON document that holds the SHA-256 of the rest of it."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; move it there on success, remove it on any failure.

    The temporary name is always the same, so that what a killed process left there is overwritten by the next. Two
    processes write one after the other, the second says that it waits: a job that outlived its Snakemake may be at it
    when its successor is. Within itself, for one path, it is a RuntimeError.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    waits = functools.partial(print, f"waiting for another process to write {path}", file=sys.stderr, flush=True)
    with alone(path.with_name(f".{path.name}.lock"), waits):
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_directory(path: str | Path) -> Iterator[Path]:
    """Yield a new, empty directory beside `path`; it takes the place of `path` on success, and is removed on failure.

    As with `replacing`, two processes write one after the other.
    """
    path = Path(path)
    partial, old = (path.with_name(f".{path.name}.{part}") for part in ("partial", "old"))
    waits = functools.partial(print, f"waiting for another process to write {path}", file=sys.stderr, flush=True)
    with alone(path.with_name(f".{path.name}.lock"), waits):
        if old.exists() and not path.exists():  # of a process that was killed between the two moves
            old.rename(path)
        for left in (partial, old):
            shutil.rmtree(left, ignore_errors=True)
        partial.mkdir()
        try:
            yield partial
            if path.exists():
                path.rename(old)
            partial.rename(path)
        finally:
            for left in (partial, old):
                shutil.rmtree(left, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: object) -> None:
    """Write indented JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: str | Path) -> dict:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_document(path: str | Path, content: Mapping[str, object]) -> None:
    """Write a JSON mapping with its own SHA-256 in it, by which `read_document` tells whether it is as it was written.

    For what a later step reads and no other document lists. A hash that is in the content already is replaced.
    """
    write_json(path, signed(content))


def signed(content: Mapping[str, object]) -> dict:
    """A JSON mapping with its own SHA-256 in it; a hash that is there already is replaced."""
    as_read = json.loads(json.dumps({k: v for k, v in content.items() if k != OWN_SHA256}, allow_nan=False))
    return {**as_read, OWN_SHA256: sha256_of_json(as_read)}


def read_document(path: str | Path, remedy: str = "delete it and run again") -> dict:
    """Read what `write_document` wrote, without its hash.

    BenchmarkError, which ends in the remedy, when the file is missing or is not as it was written.
    """
    try:
        content = json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise BenchmarkError(f"{path}: is missing; {remedy.removeprefix('delete it and ')}") from error
    except ValueError as error:
        raise BenchmarkError(f"{path}: is not whole ({error}); {remedy}") from error
    return unsigned(content, path, remedy)


def unsigned(content: object, where: str | Path, remedy: str) -> dict:
    """What was `signed`, without its hash.

    BenchmarkError, which begins with `where` it was and ends in the remedy, when it is not as it was signed.
    """
    document = dict(content) if isinstance(content, dict) else {}
    expected = document.pop(OWN_SHA256, None)
    if not isinstance(expected, str):
        raise BenchmarkError(f"{where}: is no document that holds its own hash ({OWN_SHA256}); {remedy}")
    if (found := sha256_of_json(document)) != expected:
        raise BenchmarkError(
            f"{where}: was changed since it was written: SHA-256 of its content {found[:12]}…, expected "
            f"{expected[:12]}…; {remedy}"
        )
    return document


def read_unchanged(path: str | Path, sha256: str) -> bytes:
    """A file's bytes, read once and checked against the recorded SHA-256.

    BenchmarkError when the file is missing, or its SHA-256 is another.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise BenchmarkError(f"{path}: is missing") from error
    _require_same(path, hashlib.sha256(content).hexdigest(), sha256)
    return content


def check_unchanged(path: str | Path, sha256: str) -> None:
    """The same of a file that is too large to be held, such as one that is memory-mapped afterwards."""
    try:
        found = sha256_of_file(path)
    except FileNotFoundError as error:
        raise BenchmarkError(f"{path}: is missing") from error
    _require_same(path, found, sha256)


def _require_same(path: str | Path, found: str, sha256: str) -> None:
    if found != sha256:
        raise BenchmarkError(
            f"{path}: was changed since it was written: SHA-256 {found[:12]}…, expected {sha256[:12]}… as recorded"
        )


def sha256_of_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_json(content: object) -> str:
    """SHA-256 of a JSON document in canonical form (sorted keys, no spaces), in hexadecimal."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

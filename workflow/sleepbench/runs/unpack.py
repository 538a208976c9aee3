"""Unpacking somebody else's archive: nothing of it is believed, and nothing is read before its size is known.

The directory of the archive is read first, and it must be small. By it the files must be as many, as large and as much
packed as results can be, be nothing but files, and lie below the directory that they are unpacked to. Each is then held
against the manifest's SHA-256 while it is written, and against what `schema` says of its kind.
"""

import hashlib
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal

from sleepbench.core.errors import BenchmarkError, printable
from sleepbench.core.limits import bounded_memory, plain_text
from sleepbench.core.strict import Strict
from sleepbench.runs.schema import MEMORY_BYTES, Count, FileName, Sha256, check_file, read_as

FORMAT = "sleepbench results, 2"
MANIFEST = "manifest.json"
MOST_FILES = 60_000
MOST_DIRECTORY_BYTES = 32 * 2**20
MOST_MANIFEST_BYTES = 16 * 2**20
MOST_FILE_BYTES = 256 * 2**20
MOST_BYTES = 4 * 2**30
FREE_BYTES, MOST_RATIO = 64 * 2**20, 50
"""Unpacked: so much in any case; beyond it, so many times the archive. Results unpack to twice their size."""
NEVER = (".pt", ".pth", ".pickle", ".pkl", ".joblib", ".npy", ".npz")
"""Files that no archive has: reading some of them can run what they like."""
LISTED = 5
"""Files that a message names; it counts the others."""
READ_BYTES = 2**20
END, END_64, END_BYTES, COMMENT_BYTES, END_64_BYTES = b"PK\5\6", b"PK\6\7", 22, 2**16 - 1, 20
"""Of the record at the end of a zip file, which says how long its directory is (APPNOTE 4.3.15 and 4.3.16)."""
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, struct.error)
"""What the zip module raises."""


class Manifest(Strict):
    """What an archive says of itself: which files it holds, and what their bytes are."""

    format: Literal[FORMAT]
    dataset: str
    simulated: bool
    sleepbench: str
    git_commit: str
    runs: Count
    files: dict[FileName, Sha256]


def unpack(archive: Path, directory: Path, dataset: str | None = None) -> dict[str, Any]:
    """Unpack an archive's files, each checked against the manifest's SHA-256, and return the manifest.

    BenchmarkError when the archive is damaged, of another dataset than asked for, if one is, none that `export` wrote,
    or holds what results cannot hold; then nothing of it stays.
    """
    if not archive.is_file():
        raise BenchmarkError(f"{archive}: no such file; give the archive that `sleepbench results export` wrote")
    try:
        check_directory(archive)
        with bounded_memory(MEMORY_BYTES), zipfile.ZipFile(archive) as file:
            members = _members(file, archive)
            manifest = _read_manifest(file, members, archive)
            if dataset not in (None, manifest["dataset"]):
                raise BenchmarkError(
                    f"{archive}: holds results on {manifest['dataset']}, not on {dataset}; "
                    f"compare it with those on {manifest['dataset']}"
                )
            _require_same_names(set(members), set(manifest["files"]), archive)
            wrong = [
                f"{name} differs from the manifest"
                for name, sha256 in manifest["files"].items()
                if _extract(file, members[name], directory) != sha256
            ]
            _require_none(wrong, archive)
    except MemoryError as error:
        raise BenchmarkError(f"{archive}: takes more memory than results can; get it again") from error
    except OSError as error:
        said = error.strerror or type(error).__name__
        raise BenchmarkError(
            f"{archive}: cannot be unpacked into {directory.parent} ({said}); make room there, or get the archive again"
        ) from error
    except DAMAGE as error:
        said = printable(str(error)[:200])
        raise BenchmarkError(f"{archive}: is damaged or no zip file ({said}); get it again") from error
    for name in manifest["files"]:
        try:
            check_file(directory, name)
        except BenchmarkError as error:
            raise BenchmarkError(f"{archive}: {error}; get it again from who made it") from error
    return manifest


def check_directory(archive: Path) -> None:
    """BenchmarkError where an archive's own directory is larger than that of results can be; none of it is read."""
    size = archive.stat().st_size
    with archive.open("rb") as file:
        file.seek(max(0, size - END_BYTES - COMMENT_BYTES - END_64_BYTES))
        tail = file.read(END_BYTES + COMMENT_BYTES + END_64_BYTES)
    at = len(tail) - END_BYTES
    if not (tail[at : at + 4] == END and tail.endswith(b"\0\0")):  # no comment; else the last place that looks like it
        at = tail.rfind(END, max(0, len(tail) - END_BYTES - COMMENT_BYTES))
    if at < 0 or len(tail) - at < END_BYTES:
        raise BenchmarkError(f"{archive}: is damaged or no zip file (it has no directory); get it again")
    n_files, n_bytes = struct.unpack("<HI", tail[at + 10 : at + 16])
    is_64 = at >= END_64_BYTES and tail[at - END_64_BYTES : at - END_64_BYTES + 4] == END_64
    if is_64 or n_files > MOST_FILES or n_bytes > MOST_DIRECTORY_BYTES:
        raise BenchmarkError(
            f"{archive}: its directory has {n_files} files in {n_bytes} bytes{' or more' if is_64 else ''}, expected "
            f"at most {MOST_FILES} in {MOST_DIRECTORY_BYTES} of results, and no archive of 64 bits"
        )


def _members(file: zipfile.ZipFile, archive: Path) -> dict[str, zipfile.ZipInfo]:
    """The members by name, as the directory lists them; BenchmarkError where one cannot be of results."""
    members, wrong, n_bytes = {}, [], 0
    for member in file.infolist():
        if why := _refused(member):
            wrong.append(f"{member.filename[:80]!r} {why}")
        elif member.filename in members:
            wrong.append(f"{member.filename} is there more than once")
        members[member.filename] = member
        n_bytes += member.file_size
    _require_none(wrong, archive)
    most = min(MOST_BYTES, max(FREE_BYTES, MOST_RATIO * archive.stat().st_size))
    if n_bytes > most:
        raise BenchmarkError(
            f"{archive}: unpacks to {n_bytes} bytes from {archive.stat().st_size}, expected at most {most} of results; "
            "get it again from who made it"
        )
    return members


def _refused(member: zipfile.ZipInfo) -> str:
    """Why a member cannot be one of results; empty where it can."""
    mode = member.external_attr >> 16
    parts = member.filename.split("/")
    try:
        plain_text(member.filename)
    except ValueError as error:
        return f"is no name ({error})"
    if member.orig_filename != member.filename or "\\" in member.filename or ":" in parts[0]:
        return "is no name"
    if any(part in ("", ".", "..") for part in parts):
        return "is no file below the directory that it is unpacked to"
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        return "is no file: a link, a device or a directory"
    if Path(parts[-1]).suffix in NEVER:
        return "holds weights or an object: results of others are read without"
    if member.flag_bits & 0x1:
        return "is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is packed by method {member.compress_type}, which `export` does not use"
    most = MOST_MANIFEST_BYTES if member.filename == MANIFEST else MOST_FILE_BYTES
    return f"has {member.file_size} bytes, expected at most {most}" if member.file_size > most else ""


def _read_manifest(file: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo], archive: Path) -> dict[str, Any]:
    """The manifest, which is taken out of the members."""
    if MANIFEST not in members:
        raise BenchmarkError(f"{archive}: has no {MANIFEST}; give an archive that `sleepbench results export` wrote")
    content = file.read(members.pop(MANIFEST))
    try:
        return read_as(Manifest, content).model_dump()
    except ValueError as error:
        raise BenchmarkError(
            f"{archive}: its {MANIFEST} is not as this version writes it ({printable(error)}); export it with this "
            "version, or get it again"
        ) from error


def _require_same_names(found: set[str], listed: set[str], archive: Path) -> None:
    _require_none(
        [
            *(f"{name} is missing" for name in sorted(listed - found)),
            *(f"{name} is not in the manifest" for name in sorted(found - listed)),
        ],
        archive,
    )


def _require_none(wrong: list[str], archive: Path) -> None:
    if wrong:
        more = [f"and {len(wrong) - LISTED} more"] if len(wrong) > LISTED else []
        raise BenchmarkError(f"{archive}: is damaged; get it again:\n  " + "\n  ".join([*wrong[:LISTED], *more]))


def _extract(file: zipfile.ZipFile, member: zipfile.ZipInfo, directory: Path) -> str:
    """Write a member below the directory; its SHA-256."""
    path, sha256 = directory / member.filename, hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with file.open(member) as packed, path.open("xb") as unpacked:
        while part := packed.read(READ_BYTES):
            sha256.update(part)
            unpacked.write(part)
    return sha256.hexdigest()

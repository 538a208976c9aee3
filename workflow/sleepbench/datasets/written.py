"""Simulated files, which are written where they are wanted."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sleepbench.core.files import read_json, sha256_of_file, write_json
from sleepbench.datasets.base import Recording


def fetch_written(
    recording: Recording, directory: Path, made_by: str, write: Callable[[Mapping[str, Path]], None]
) -> dict[str, Any]:
    """Write the files of a recording, unless they are there as the same code and settings (`made_by`) wrote them.

    `write` writes them to their paths, by role. What was written is remembered beside them, in ID.json. Returns a
    receipt, as `Dataset.fetch`.
    """
    directory = Path(directory)
    paths = {file.role: directory / file.name for file in recording.files}
    memory = directory / f"{recording.id}.json"
    if all(path.is_file() for path in (memory, *paths.values())):
        receipt = _receipt(recording, paths)
        if read_json(memory) == {"made_by": made_by, **_checksums(receipt, paths)}:
            return receipt
    write(paths)
    receipt = _receipt(recording, paths)
    write_json(memory, {"made_by": made_by, **_checksums(receipt, paths)})
    return receipt


def _receipt(recording: Recording, paths: Mapping[str, Path]) -> dict[str, Any]:
    return {
        "recording": recording.id,
        **{
            role: {"path": str(path), "bytes": path.stat().st_size, "sha256": sha256_of_file(path)}
            for role, path in paths.items()
        },
    }


def _checksums(receipt: Mapping[str, Any], paths: Mapping[str, Path]) -> dict[str, str]:
    return {role: receipt[role]["sha256"] for role in paths}

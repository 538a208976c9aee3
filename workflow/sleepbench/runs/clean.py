"""What lies under results/, what it would cost to make again, and deleting it."""

import json
import shutil
from pathlib import Path

from sleepbench.config import paths
from sleepbench.config.models import Config

FEW = "minutes"


def clean(config: Config, delete: bool = False) -> str:
    """List everything under results/, and delete it if `delete`.

    Returns one line per entry, and how to delete it where nothing was deleted.

    Files of recordings that lie elsewhere are not touched.
    """
    root = Path(paths.RESULTS)
    entries = sorted(path for path in root.iterdir() if path.name != paths.KEPT) if root.exists() else []
    if not entries:
        return f"{root}/ holds nothing that was made."
    lines = [f"{f'in {root}/':<32} {'GB':>8}  to make it again"]
    lines += [f"{path.name:<32} {size_gb(path):>8.3f}  {cost(path, config)}" for path in entries]
    elsewhere = [
        f"Not touched: your files of {source} in {directory}"
        for source, directory in _directories(config).items()
        if not directory.resolve().is_relative_to(root.resolve())
    ]
    if not delete:
        return "\n".join(
            [*lines, *elsewhere, "Nothing was deleted. To delete all of it:  sleepbench results clean --yes"]
        )
    for path in entries:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return "\n".join([*lines, *elsewhere, "Deleted."])


def size_gb(path: Path) -> float:
    """Gigabytes (10^9 bytes) of a file or of all files below a directory."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
    return sum(file.stat().st_size for file in files) / 1e9


def cost(path: Path, config: Config) -> str:
    """What it takes to make a directory under results/ again, from the records in it."""
    if path == Path(paths.IMPORTED):
        return "the tables of others that were imported, and seconds"
    durations = [
        json.loads(record.read_text(encoding="utf-8"))["duration_s"] for record in path.rglob("fold-*/training.json")
    ]
    if durations:
        return f"{len(durations)} trainings that took {sum(durations) / 3600:.2f} h in all"
    downloads = [size_gb(directory) for directory in _directories(config).values() if directory.is_relative_to(path)]
    return f"a download of {sum(downloads):.1f} GB, and preparation" if sum(downloads) else FEW


def _directories(config: Config) -> dict[str, Path]:
    """By source that is downloaded, where its files are."""
    return {
        source: Path(settings.directory or paths.raw(source)).expanduser() for source, settings in config.data.items()
    }

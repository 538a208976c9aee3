"""Say what lies under results/, what it would cost to remake, and delete it when told to.

python -m sleepbench.runs.clean [--yes]
"""

import json
import shutil
import sys
from pathlib import Path

from sleepbench.config.load import data_directory, load

RESULTS = Path("results")
KEPT = "README.md"
OTHER = "minutes"


def size_gb(path: Path) -> float:
    """Gigabytes (10^9 bytes) of a file or of all files below a directory."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
    return sum(file.stat().st_size for file in files) / 1e9


def cost_of(path: Path) -> str:
    """What remaking a directory under results/ takes, from the records in it."""
    durations = [
        json.loads(record.read_text(encoding="utf-8"))["duration_s"] for record in path.rglob("fold-*/training.json")
    ]
    if durations:
        return f"{len(durations)} trainings that took {sum(durations) / 3600:.2f} h in all"
    downloaded = [file for file in path.glob("sleep-edf/raw/**/*.edf") if file.is_file()]
    if downloaded:
        return f"a download of {sum(map(size_gb, downloaded)):.1f} GB, and preparation"
    return OTHER


def main(delete: bool) -> None:
    """Print one line per entry of results/; delete them all if `delete`, otherwise say how."""
    entries = sorted(path for path in RESULTS.iterdir() if path.name != KEPT) if RESULTS.exists() else []
    if not entries:
        print("results/ holds nothing that was made.")
        return
    print(f"{'in results/':<32} {'GB':>8}  to remake it")
    for path in entries:
        print(f"{path.name:<32} {size_gb(path):>8.3f}  {cost_of(path)}")
    own = data_directory(load())
    if not own.resolve().is_relative_to(RESULTS.resolve()):
        print(f"Not touched: your Sleep-EDF files in {own}")
    if not delete:
        print("Nothing was deleted. To delete all of it:  make clean YES=1")
        return
    for path in entries:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    print("Deleted.")


if __name__ == "__main__":
    main("--yes" in sys.argv[1:])

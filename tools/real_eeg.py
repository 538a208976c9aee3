"""What README shows of real EEG, from the finished run of `make demo-real`.

python tools/real_eeg.py writes the archive of the run and the picture of its ladder into docs/real-5s, and the table of
the ladder into README.md, between its two marks.
"""

import re
import shutil
from pathlib import Path

from sleepbench.config import paths
from sleepbench.config.load import load
from sleepbench.core.files import write_text
from sleepbench.runs.archive import export

ROOT = Path(__file__).parents[1]
DATASET = "sleep-edf-20-5s"
FOLDER = ROOT / "docs" / "real-5s"
ARCHIVE, PICTURE = FOLDER / f"{DATASET}-results.zip", FOLDER / "ladder.png"
FIRST, LAST = "<!-- real-5s: by tools/real_eeg.py -->", "<!-- real-5s ends -->"


def block(table: str) -> str:
    """The rows of a table in Markdown, under its title, without caption and notes."""
    title, rows, *_ = table.split("\n\n")
    without_notes = re.sub(r" \[\d+\] \|$", "     |", rows, flags=re.MULTILINE)
    return f"**{title.removeprefix('## ')}**\n\n{without_notes}"


def with_block(readme: str, table: str) -> str:
    """README with the table between its marks."""
    before, _, rest = readme.partition(FIRST)
    _, _, after = rest.partition(LAST)
    return f"{before}{FIRST}\n\n{block(table)}\n\n{LAST}{after}"


def main() -> None:
    """Write all three."""
    FOLDER.mkdir(exist_ok=True)
    print(export(load(), DATASET, ARCHIVE))
    shutil.copyfile(paths.figure(DATASET, "ladder"), PICTURE)
    readme = ROOT / "README.md"
    table = Path(paths.table(DATASET, "ladder", "md")).read_text(encoding="utf-8")
    write_text(readme, with_block(readme.read_text(encoding="utf-8"), table))


if __name__ == "__main__":
    main()

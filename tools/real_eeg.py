"""What README shows of real EEG, from the finished run of `make demo-real`.

python tools/real_eeg.py writes the archive of the run and the picture of its ladder into docs/real-5s, and rows of two
of its tables into README.md, between marks: the whole ladder of one network, and its accuracy against each rival.
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
SHOWN = {"ladder": "ULW-SleepNet (one, ulw)", "non_inferiority": " acc. "}
"""The tables, and what stands in the rows that README shows of each."""


def block(table: str, shown: str) -> str:
    """The rows of a table in Markdown that hold `shown`, under its title, without caption and notes."""
    title, rows, *_ = table.split("\n\n")
    without_notes = re.sub(r" \[\d+\] \|$", "     |", rows, flags=re.MULTILINE)
    head, rule, *others = without_notes.splitlines()
    kept = [head, rule, *(row for row in others if shown in row)]
    return f"**{title.removeprefix('## ')}**\n\n" + "\n".join(kept)


def with_block(readme: str, name: str, table: str) -> str:
    """README with what it shows of a table between its marks."""
    first, last = f"<!-- real-5s, {name}: by tools/real_eeg.py -->", f"<!-- real-5s, {name} ends -->"
    before, _, rest = readme.partition(first)
    _, _, after = rest.partition(last)
    return f"{before}{first}\n\n{block(table, SHOWN[name])}\n\n{last}{after}"


def main() -> None:
    """Write all of it."""
    FOLDER.mkdir(exist_ok=True)
    print(export(load(), DATASET, ARCHIVE))
    shutil.copyfile(paths.figure(DATASET, "ladder"), PICTURE)
    readme = ROOT / "README.md"
    for name in SHOWN:
        table = Path(paths.table(DATASET, name, "md")).read_text(encoding="utf-8")
        write_text(readme, with_block(readme.read_text(encoding="utf-8"), name, table))


if __name__ == "__main__":
    main()

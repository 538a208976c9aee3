"""Make workflow/resources/human_scorings from the scorings of the Dreem Open Datasets.

python tools/human_scorings.py CHECKOUT, where CHECKOUT is
    git clone https://github.com/Dreem-Organization/dreem-learning-evaluation, at the commit that SOURCE names.
"""

import csv
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import replacing
from sleepbench.evaluation.human_agreement import COLUMNS, DATABASES
from sleepbench.signals.stage_runs import NOT_SCORED, to_runs

RESOURCE = Path(__file__).parents[1] / "workflow" / "resources" / "human_scorings"
SCORERS = tuple(f"scorer_{n}" for n in range(1, 6))
LIGHTS_OFF = {"5bf0f969-304c-581e-949c-50c108f62846": 60, "b5d5785d-87ee-5078-b9b9-aac6abd4d8de": 60}
LIGHTS_ON = {"3e842aa8-bcd9-521e-93a2-72124233fe2c": 620}
"""The first epoch, and the end, of nights that the authors cut further than to what everybody scored.

Their README has the same numbers under ids of before the files were renamed, which name no file any more. Which nights
are meant follows from the lengths of the predictions that the repository has of every night, and where these fit.
"""


def kept(night: str, scored: list[np.ndarray]) -> tuple[int, int]:
    """The first epoch of a night that is kept, and the one after the last."""
    ends = [np.flatnonzero(stages != NOT_SCORED)[[0, -1]] for stages in scored]
    first, last = max(int(one[0]) for one in ends), min(int(one[1]) for one in ends)
    return max(first, LIGHTS_OFF.get(night, 0)), min(last + 1, LIGHTS_ON.get(night, last + 1))


def scorings(checkout: Path) -> Iterator[tuple]:
    """The rows of the resource; BenchmarkError where a file is missing or the scorers' lengths differ."""
    for folder, database in DATABASES.items():
        root = checkout / "scorers" / folder
        nights = sorted(path.name for path in (root / SCORERS[0]).glob("*.json"))
        if not nights:
            raise BenchmarkError(f"{root / SCORERS[0]}: holds no .json, expected a checkout of the scorings")
        for name in nights:
            files = [root / scorer / name for scorer in SCORERS]
            if missing := [str(path) for path in files if not path.exists()]:
                raise BenchmarkError(f"{missing[0]}: is missing, expected the night of every scorer")
            contents = [path.read_bytes() for path in files]
            scored = [np.array(json.loads(content)) for content in contents]
            if len({stages.size for stages in scored}) > 1:
                raise BenchmarkError(f"{root}/*/{name}: {[s.size for s in scored]} epochs, expected one length")
            night = name.removesuffix(".json")
            for scorer, content, stages in zip(SCORERS, contents, scored, strict=True):
                sha256 = hashlib.sha256(content).hexdigest()
                yield database, night, scorer, *kept(night, scored), sha256, to_runs(stages)


def write_resource(checkout: Path, folder: Path) -> None:
    """Write the scorings and their licence."""
    rows = list(scorings(checkout))
    with replacing(folder / "scorings.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    with replacing(folder / "LICENSE") as temporary:
        temporary.write_bytes((checkout / "LICENSE").read_bytes())


if __name__ == "__main__":
    try:
        write_resource(Path(sys.argv[1]), RESOURCE)
    except BenchmarkError as error:
        sys.exit(str(error))

"""Where imported predictions lie, and reading them back.

results/imported/NAME holds predictions.parquet, scores.json, and description.json, which lists their SHA-256.
Nothing here imports pandas: the rules ask what is there.
"""

import json
from pathlib import Path
from typing import Any

from sleepbench.config import paths
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, read_unchanged

FORMAT = "sleepbench predictions of others, 1"
MARK = "others' predictions, scored here"
DESCRIPTION, PREDICTIONS, SCORES = "description.json", "predictions.parquet", "scores.json"


def imported(dataset: str, root: Path = Path()) -> list[str]:
    """The descriptions of all predictions that were imported for a dataset, in the order of their names."""
    found = sorted((root / paths.IMPORTED).glob(f"[!.]*/{DESCRIPTION}"))
    return [str(path) for path in found if read_record(path)["dataset"] == dataset]


def read_record(path: Path) -> dict[str, Any]:
    """A description.json; BenchmarkError when it is damaged or of another format."""
    try:
        record = read_json(path)
        form = record.get("format")
        problem = "" if form == FORMAT else f"its format is {form!r}, expected {FORMAT!r}"
        problem = problem or ("" if {"dataset", "files"} <= {*record} else "it lacks dataset or files")
    except (OSError, ValueError, AttributeError) as error:
        problem = str(error)
    if problem:
        raise BenchmarkError(f"{path}: {problem}; import the table again, or delete {path.parent}")
    return record


def read_scores(path: Path) -> dict[str, Any]:
    """The scores beside a description.json; BenchmarkError when they are not those that were imported."""
    try:
        return json.loads(read_unchanged(path.with_name(SCORES), read_record(path)["files"].get(SCORES, "")))
    except BenchmarkError as error:
        raise BenchmarkError(f"{error}; import the table again, or delete {path.parent}") from error

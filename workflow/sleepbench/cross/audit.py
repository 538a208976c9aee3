"""Who is tested on another dataset, and that none of their files was trained on under another name."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sleepbench.core.errors import BenchmarkError
from sleepbench.preparation.index import Index

LISTED = 3
"""Files that a message names; it counts the others."""


def audited(
    trained_on: Index, tested_on: Index, never_seen: Sequence[str], removed: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Who was trained on and who is tested, to be recorded.

    never_seen : the recordings of people who are not in the one dataset, of the other
    removed : the others, by person

    BenchmarkError where a file of both is the same, byte for byte: whatever its people are called, they are the same.
    """
    chosen = [id for id in never_seen if id in tested_on.prepared]
    _require_other_files(trained_on, tested_on, chosen)
    return {
        "people_trained": len({recording.subject for recording in trained_on.recordings}),
        "people_tested": len({recording.subject for recording in tested_on.recordings if recording.id in chosen}),
        "tested": chosen,
        "removed": {person: list(ids) for person, ids in removed.items()},
        "not_prepared": [id for id in never_seen if id not in chosen],
    }


def _require_other_files(trained_on: Index, tested_on: Index, chosen: Collection[str]) -> None:
    seen = {file.sha256: recording.id for recording in trained_on.recordings for file in recording.files}
    same = [
        f"{file.name} of {recording.id} is a file of {seen[file.sha256]}"
        for recording in tested_on.recordings
        if recording.id in chosen
        for file in recording.files
        if file.sha256 in seen
    ]
    if same:
        more = f" and {len(same) - LISTED} more" if len(same) > LISTED else ""
        raise BenchmarkError(
            f"{tested_on.dataset} cannot be tested by networks of {trained_on.dataset}, which saw files of it: "
            f"{'; '.join(same[:LISTED])}{more}; name people in both datasets alike (Dataset.person), or take the pair "
            "out of test_on"
        )

"""The committed scorings are what the tool makes of the public repository's files."""

import json
from pathlib import Path

import numpy as np
import pytest
from human_scorings import RESOURCE, SCORERS, write_resource

from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation.human_agreement import DATABASES, read_scorings
from sleepbench.signals.stage_runs import NOT_SCORED


@pytest.fixture(scope="module")
def checkout(shared: Path) -> Path:
    if not (shared / "dod").is_dir():
        pytest.skip(f"{shared / 'dod'} does not exist")
    return shared / "dod"


def write_checkout(folder: Path, nights: dict[str, list[list[int]]]) -> Path:
    """Scorings as the repository has them, the same nights in both databases."""
    for database in DATABASES:
        for night, scored in nights.items():
            for scorer, stages in zip(SCORERS, scored, strict=True):
                path = folder / "scorers" / database / scorer / f"{night}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(stages))
    (folder / "LICENSE").write_text("MIT")
    return folder


def test_the_committed_scorings_are_those_of_the_repository(checkout: Path, tmp_path: Path) -> None:
    write_resource(checkout, tmp_path)
    for name in ("scorings.csv", "LICENSE"):
        assert (tmp_path / name).read_bytes() == (RESOURCE / name).read_bytes()


def test_kept_nights_are_as_long_as_every_prediction_of_them_and_lie_where_it_fits(checkout: Path) -> None:
    for night in read_scorings(RESOURCE / "scorings.csv"):
        folder = next(name for name, printed in DATABASES.items() if printed == night.database)
        files = sorted((checkout / "results" / folder / "base_models").glob(f"*/{night.night}.json"))
        predicted = [np.array(json.loads(path.read_text())) for path in files]
        assert {stages.size for stages in predicted} == {night.stages.shape[1]} and len(predicted) == 6
        # Networks agree with people where the stretch is the right one: 30 % where it is cut at the wrong end.
        assert np.median([(stages == night.stages).mean() for stages in predicted]) > 0.5, night.night


def test_what_all_scored_is_kept(tmp_path: Path) -> None:
    checkout = write_checkout(tmp_path, {"a-night": [[0, 0, 1, 2], [-1, 0, -1, 2], [0] * 4, [0, 3, 3, -1], [4] * 4]})
    write_resource(checkout, tmp_path)
    found = read_scorings(tmp_path / "scorings.csv")
    assert [night.database for night in found] == ["DOD-H", "DOD-O"]
    assert found[0].stages.tolist() == [[0, 1], [0, NOT_SCORED], [0, 0], [3, 3], [4, 4]]
    assert (tmp_path / "LICENSE").read_text() == "MIT"


def test_what_is_no_checkout_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(BenchmarkError, match=r"dodh/scorer_1: holds no .json, expected a checkout"):
        write_resource(tmp_path, out)
    checkout = write_checkout(tmp_path, {"a-night": [[0, 1]] * 4 + [[0]]})
    with pytest.raises(BenchmarkError, match=r"a-night.json: \[2, 2, 2, 2, 1\] epochs, expected one length"):
        write_resource(checkout, out)
    (checkout / "scorers" / "dodh" / "scorer_3" / "a-night.json").unlink()
    with pytest.raises(BenchmarkError, match=r"scorer_3/a-night.json: is missing"):
        write_resource(checkout, out)
    assert not list(out.iterdir())

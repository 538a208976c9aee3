"""Records of what jobs made, and what they notice."""

import os
import shutil
from pathlib import Path

import pytest

from sleepbench.config import made, paths
from sleepbench.config.made import CHANGED, FORGOTTEN, MISSING, UNKNOWN, fault, memory, recorded, require_as_made
from sleepbench.core.errors import BenchmarkError

TABLE, FOLD = "results/simulated/runs.csv", "results/simulated/trainings/fold-0"


def write(*names: str, content: str = "1.5") -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content)


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A file and a directory that jobs made and recorded."""
    monkeypatch.chdir(tmp_path)
    made.name_memory()
    with recorded([], [TABLE, FOLD]):
        write(TABLE, f"{FOLD}/training.json", f"{FOLD}/last/predictions.parquet")


def rewrite(path: str) -> None:
    """The same bytes, written anew."""
    content = Path(path).read_bytes()
    Path(path).unlink()
    Path(path).write_bytes(content)


def replace_by_an_older_one(path: str) -> None:
    """As `mv` does with a file that was made long ago."""
    write("other", content="9.5")
    os.utime("other", (1, 1))
    Path("other").replace(path)


@pytest.mark.parametrize(
    ("path", "damage", "found"),
    [
        (TABLE, lambda: None, ""),
        (TABLE, lambda: rewrite(TABLE), ""),
        (TABLE, lambda: write(TABLE, content="2.5"), CHANGED),
        (TABLE, lambda: write(TABLE, content=""), CHANGED),
        (TABLE, lambda: replace_by_an_older_one(TABLE), CHANGED),
        (TABLE, lambda: Path(TABLE).unlink(), MISSING),
        (TABLE, lambda: Path(paths.made(TABLE)).unlink(), UNKNOWN),
        (TABLE, lambda: write(paths.made(TABLE), content='{"files": '), UNKNOWN),
        (FOLD, lambda: write(f"{FOLD}/.snakemake_timestamp"), ""),
        (FOLD, lambda: Path(f"{FOLD}/last/predictions.parquet").unlink(), CHANGED),
        (FOLD, lambda: write(f"{FOLD}/last/predictions.parquet", content="2.5"), CHANGED),
        (FOLD, lambda: shutil.rmtree(FOLD), MISSING),
        (FOLD, lambda: shutil.rmtree(".snakemake"), FORGOTTEN),
        (FOLD, lambda: write(str(made.MEMORY), content="of other results"), FORGOTTEN),
    ],
)
def test_what_is_not_as_it_was_made_or_remembered_is_told(finished, path, damage, found):
    damage()
    assert fault(path, memory()) == found


def test_a_job_that_fails_leaves_no_record_of_what_it_was_to_make_again(finished):
    with pytest.raises(RuntimeError), recorded([], [TABLE]):
        raise RuntimeError
    assert fault(TABLE, memory()) == UNKNOWN


def test_a_job_refuses_an_input_that_was_changed_and_the_remedy_heals_it(finished):
    Path(TABLE).write_text("2.5")
    refused = pytest.raises(BenchmarkError, match=r"runs\.csv: was changed since it was made; delete it and run again")
    with refused, recorded([TABLE], ["results/table.csv"]):
        pytest.fail("the job began")
    Path(TABLE).unlink()
    assert fault(TABLE, memory()) == MISSING
    with recorded([], [TABLE]):
        write(TABLE)
    with recorded([TABLE], ["results/table.csv"]):
        write("results/table.csv")
    assert fault("results/table.csv", memory()) == ""


def test_a_file_in_a_directory_that_a_job_made_is_checked_by_its_record(finished):
    require_as_made([f"{FOLD}/last/predictions.parquet", "results/archived/runs.csv"])
    write(f"{FOLD}/last/predictions.parquet", content="2.5")
    with pytest.raises(BenchmarkError, match=r"predictions\.parquet: was changed"):
        require_as_made([f"{FOLD}/last/predictions.parquet"])


def test_what_a_stack_left_as_it_was_is_still_remembered_and_what_it_changed_is_not(finished):
    with recorded([], ["results/simulated/stack-0-1.json"], also=[FOLD]):
        write("results/simulated/stack-0-1.json")
    assert fault(FOLD, memory()) == ""
    with recorded([], ["results/simulated/stack-0-1.json"], also=[FOLD]):
        write(f"{FOLD}/training.json", content="2.5")
        write("results/simulated/stack-0-1.json")
    assert fault(FOLD, memory()) == FORGOTTEN
    assert fault(FOLD, None) == ""

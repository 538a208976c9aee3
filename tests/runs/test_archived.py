"""Archives of other people: every number is computed again, and what is not as it says is one clear error."""

import contextlib
import io
import json
import re
import shutil

import pandas as pd
import pytest
from planned_results import CLEAN, DATASET, FOLDS, REPOSITORY, rewrite

from sleepbench.cli import app
from sleepbench.config.load import load
from sleepbench.core.errors import BenchmarkError
from sleepbench.runs.archived import checked, names_of, read_checked

MAIN = f"results/{DATASET}/tables/main_results.csv"


@pytest.fixture
def archive(ordinary, pristine, tmp_path, monkeypatch):
    """An archive, to be changed; the directory is one with its configuration."""
    monkeypatch.chdir(pristine.root)
    return shutil.copy(ordinary, tmp_path / "ada.zip")


def check(capsys, *archives):
    """Exit status, stdout and stderr of `results check`."""
    with pytest.raises(SystemExit) as ended:
        app.main(["results", "check", *map(str, archives)])
    return ended.value.code, *capsys.readouterr()


def of_main(change):
    """A change of the main table in an archive, which its manifest follows."""

    def on(members):
        table = pd.read_csv(io.BytesIO(members[MAIN]))
        members[MAIN] = change(table).to_csv(index=False).encode()

    return on


def test_an_archive_is_as_it_says_and_its_numbers_are_those_of_its_table(archive, tmp_path, capsys):
    status, out, _ = check(capsys, archive)
    assert status == 0 and "2 rows of 8 runs on simulated (SIMULATED data" in out and "no benchmark version" in out
    one = read_checked(load(), archive, tmp_path / "unpacked")
    table = pd.read_csv(tmp_path / "unpacked" / MAIN).query("mark == 'measured' and protocol == 'clean'").iloc[0]
    row = one.rows[CLEAN]
    for name in ("accuracy", "macro_f1", "cohen_kappa", "accuracy_mean_of_folds"):
        assert row.numbers[name] == pytest.approx(table[name], abs=1e-9)
    assert row.numbers["accuracy_low"] < row.numbers["accuracy"] < row.numbers["accuracy_high"]
    assert (row.title, row.folds, row.version, row.n_subjects) == ("ULW-SleepNet", f"{FOLDS} of {FOLDS}", "", 8)
    assert row.recorded("git_commit") == ["0123456789abcdef"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(accuracy=t.accuracy + 0.1), "accuracy is .*, but the predictions give"),
        (lambda t: t.assign(cohen_kappa="high"), "cohen_kappa is high, but"),
        (lambda t: t[t.protocol != "clean"], "the row clean, ULW-SleepNet, four, ulw is missing"),
        (lambda t: pd.concat([t, t[t.mark == "measured"][:1]]), "the row .* is there twice"),
        (lambda t: pd.concat([t, t[:1].assign(model="Better")]), "the row released, Better, four, ulw is of no run"),
    ],
)
def test_a_table_that_was_edited_is_said(archive, capsys, change, said):
    rewrite(archive, of_main(change), sign=True)
    status, out, err = check(capsys, archive)
    assert status == 1 and out == "" and err.startswith(f"Error: {archive}: is not what its predictions give")
    assert re.search(said, err) and "What to do" in err and err.count("Error:") == 1


def test_intervals_are_held_to_those_computed(archive, tmp_path, capsys):
    with contextlib.redirect_stdout(None):
        row = read_checked(load(), archive, tmp_path / "unpacked").rows[CLEAN]
    columns = {name: row.numbers[name] for name in row.numbers if name.startswith(("accuracy", "macro", "cohen"))}
    mine = {"over": "pooled", "protocol": "clean", "title": row.title, "input": "four", "recipe": "ulw", **columns}
    for added, said in ((0.3, "released, ULW-SleepNet, four, ulw is missing"), (0.6, "accuracy_high is")):
        table = pd.DataFrame([{**mine, "accuracy_high": mine["accuracy_high"] + added}]).to_csv(index=False).encode()
        other = shutil.copy(archive, tmp_path / "other.zip")
        rewrite(other, lambda m, t=table: m.update({f"results/{DATASET}/tables/intervals.csv": t}), sign=False)
        rewrite(other, add_to_manifest, sign=True)
        status, _, err = check(capsys, other)
        assert status == 1 and said in err and ("accuracy_high" in err) == (added > 0.5)


def add_to_manifest(members):
    """Name the table of intervals in the manifest, so that it is signed too."""
    manifest = json.loads(members["manifest.json"])
    manifest["files"][f"results/{DATASET}/tables/intervals.csv"] = ""
    members["manifest.json"] = json.dumps(manifest).encode()


def test_stages_are_held_to_the_known_hypnograms(archive, tmp_path, monkeypatch):
    from sleepbench.datasets.simulated import SimulatedCohort

    with checked(load(), [archive]) as (one,):
        table = pd.concat(run.predictions() for run in one.rows[CLEAN].runs.run)
        first = table.recording.iloc[0]
        counts = tuple((table[table.recording == first].stage == code).sum() for code in range(5))
    for expected, is_wrong in ((counts, False), ((counts[0] + 1, *counts[1:]), True)):
        monkeypatch.setattr(
            SimulatedCohort, "known_epochs", lambda self, n=expected: {(first, "standard"): n}, raising=False
        )
        with contextlib.ExitStack() as stack:
            if is_wrong:
                stack.enter_context(pytest.raises(BenchmarkError, match=f"{first} is scored .* but the hypnogram"))
            stack.enter_context(checked(load(), [archive]))


def test_all_archives_are_looked_at_and_each_fault_is_said(archive, tmp_path, capsys):
    (tmp_path / "no.zip").write_bytes(b"nothing")
    status, out, err = check(capsys, tmp_path / "no.zip", archive, tmp_path / "missing.zip")
    assert status == 1 and out.startswith(f"{archive}: as it says") and err.count("Error: ") == 2
    with (
        pytest.raises(BenchmarkError, match=r"no\.zip.*\n.*missing\.zip"),
        checked(load(), [tmp_path / "no.zip", archive, tmp_path / "missing.zip"]),
    ):
        pass


def test_an_unknown_dataset_is_one_error(archive, capsys):
    rewrite(archive, lambda m: m.update({"manifest.json": m["manifest.json"].replace(b'"simulated",', b'"simulatd",')}))
    status, _, err = check(capsys, archive)
    assert status == 1 and "unknown dataset 'simulatd'; the nearest known name is 'simulated'" in err


def test_names_tell_archives_apart_and_none_is_taken_twice(archive, tmp_path):
    (tmp_path / "bob").mkdir()
    again = shutil.copy(archive, tmp_path / "bob" / "ada.zip")
    assert names_of([archive]) == ["ada"]
    assert names_of([archive, again]) == [f"{tmp_path.name}/ada", "bob/ada"]
    with pytest.raises(BenchmarkError, match="bob/ada is the same archive as"), checked(load(), [archive, again]):
        pass


@pytest.mark.slow
def test_the_archive_of_real_results_is_as_it_says_and_of_a_version(capsys, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    status, out, _ = check(capsys, "docs/real-5s/sleep-edf-20-5s-results.zip")
    assert status == 0 and "15 rows of 260 runs on sleep-edf-20-5s (REAL EEG" in out
    assert "of: sleepbench-SC-5s v1; SHA-256 38928be4" in out

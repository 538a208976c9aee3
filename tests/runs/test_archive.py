import json
import math
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from planned_results import CLEAN, DATASET, FOLDS, RELEASED, PlannedResults, rewrite

from sleepbench.config.load import load
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_file, write_document, write_json
from sleepbench.runs import archive as exchange

ARCHIVE = Path("results") / f"{DATASET}-results.zip"


@pytest.fixture
def here(tmp_path, monkeypatch, request):
    """Results of our own, and go there: whole ones, or made where something of them is asked for."""

    def make(seeds=(32,), keys=(RELEASED, CLEAN), name="mine", change=None, **options):
        if (seeds, keys, change, options) == ((32,), (RELEASED, CLEAN), None, {}):
            return request.getfixturevalue("whole")
        root = tmp_path / name
        root.mkdir()
        monkeypatch.chdir(root)
        results = PlannedResults(root, seeds)
        if change:
            change(results)
        results.train_all(keys, **options)
        results.write_tables(keys)
        return results

    return make


@pytest.fixture
def export(tmp_path, here, ordinary):
    """The archive of somebody else's results, of which something may be asked for."""

    def make(**options):
        archive = tmp_path / "theirs.zip"
        if options:
            exchange.export(here(name="there", **options).config, DATASET, archive)
        else:
            shutil.copy(ordinary, archive)
        return archive

    return make


def compare(archive):
    """Compare the results here with an archive: the text, and the rows as written to a CSV."""
    text = exchange.compare(load(), DATASET, archive, Path("comparison.csv"))
    return text, pd.read_csv("comparison.csv").set_index("protocol")


def error_of(command, dataset, *archive):
    """Call a command that must fail; returns the message."""
    with pytest.raises(BenchmarkError) as error:
        command(load(), dataset, *map(Path, archive))
    return str(error.value)


# -------------------------------------------------------------------------------------------------------------- export


def test_archive_holds_everything_of_its_runs_but_weights_and_every_hash(here):
    results = here()
    write_json("results/simulated/totals/a.json", {})
    write_json("results/profile/ulw_sleepnet-4.json", {})
    write_json("results/parity/ulw_sleepnet.json", {})
    output = exchange.export(results.config, DATASET)
    with zipfile.ZipFile(ARCHIVE) as file:
        names = file.namelist()
        manifest = json.loads(file.read("manifest.json"))
        members = {name: file.read(name) for name in names}
    directory = results.directory(CLEAN, 0).as_posix()
    expected = {
        *("config.yaml", "results/simulated/runs.csv", "results/simulated/tables/main_results.csv"),
        *("results/simulated/totals/a.json", "results/profile/ulw_sleepnet-4.json"),
        "results/parity/ulw_sleepnet.json",
        *(results.folds_file(key).relative_to(results.root).as_posix() for key in (RELEASED, CLEAN)),
        *(f"{directory}/{name}" for name in ("training.json", "history.csv")),
        *(f"{directory}/best_validation/{name}" for name in ("predictions.parquet", "metrics.json")),
    }
    assert expected <= set(names)
    assert not [name for name in names if name.endswith((".pt", ".npy")) or "prepared" in name]
    assert not [name for name in names if "/last/" in name], "no run is selected so"
    assert set(manifest["files"]) == set(names) - {"manifest.json"}
    for name, sha256 in manifest["files"].items():
        assert sha256_of_file(name) == sha256 and members[name] == Path(name).read_bytes()
    assert manifest["dataset"] == DATASET and manifest["simulated"] is True and manifest["runs"] == 8
    assert {"sleepbench", "git_commit"} <= set(manifest)
    assert "2 rows of 8 runs on simulated (SIMULATED data)" in output
    assert f"{ARCHIVE.stat().st_size / 1e6:.2f} MB" in output
    assert "Note" not in output


def test_what_has_changed_since_the_runs_were_made_is_said(here):
    results = here()
    for fold in range(FOLDS):
        for key in (RELEASED, CLEAN):
            results.write_training(key, fold, code_sha256="f" * 64)
    output = exchange.export(results.config, DATASET)
    assert "Note: 8 of 8 runs were made with other settings or code than are here now, such as code ffffffff" in output


def test_the_same_results_give_the_same_bytes_in_a_named_archive(here):
    config = here().config
    exchange.export(config, DATASET)
    exchange.export(config, DATASET, Path("elsewhere/mine.zip"))
    assert Path("elsewhere/mine.zip").read_bytes() == ARCHIVE.read_bytes()
    assert "name ends in .zip" in error_of(exchange.export, DATASET, "mine.tar")


def drop_run(results):
    shutil.rmtree(results.directory(CLEAN, 2))
    results.write_tables()


def half_written(results):
    (results.directory(CLEAN, 2) / "training.json").write_text('{"settings": {')


def retrained(results):
    results.write_training(CLEAN, 2, recipe={"name": "ulw", "training_epochs": 3})


def changed_file(results):
    (results.directory(CLEAN, 2) / "history.csv").write_text("changed")


def no_table(results):
    Path("results/simulated/runs.csv").unlink()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop_run, "fold 2 of 4 missing"),
        (half_written, r"fold 2 \(run \w+\): .*training\.json: is not whole"),
        (retrained, "fold 2 .*runs.csv is of another training"),
        (changed_file, "history.csv is CHANGED"),
        (no_table, "runs.csv: not there.*`sleepbench tables --datasets simulated` shows what there is"),
    ],
)
def test_results_that_are_not_whole_are_listed_and_not_exported(here, change, said):
    """What else can be wrong with runs: test_verify.py."""
    change(here())
    assert re.search(said, error_of(exchange.export, DATASET), re.DOTALL)
    assert not ARCHIVE.exists()


# ---------------------------------------------------------------------------------------------------------- comparison


def test_the_same_runs_are_identical(export, here):
    archive = export()
    here()
    output, rows = compare(archive)
    assert rows.verdict.tolist() == ["identical"] * 2
    assert rows.runs_identical.tolist() == [FOLDS] * 2
    assert (rows[["accuracy_difference_points", "macro_f1_difference_points"]] == 0).all(axis=None)
    assert rows.epochs_equal_share.tolist() == [1.0] * 2
    assert "settings, code, versions and device: the same" in output
    assert "SIMULATED" in output


def test_differences_are_those_of_the_files(export, here):
    archive = export(draw=1, device="NVIDIA H100", code_sha256="c" * 64)
    mine = here()
    output, rows = compare(archive)
    row = rows.loc["clean"]
    pairs, folds = [], []
    for fold in range(FOLDS):
        directory = mine.directory(CLEAN, fold)
        with zipfile.ZipFile(archive) as file, file.open(f"{directory}/best_validation/predictions.parquet") as member:
            theirs = pd.read_parquet(member)
        ours = pd.read_parquet(directory / "best_validation" / "predictions.parquet")
        pairs.append((ours.predicted == theirs.predicted).to_numpy())
        folds.append([100 * (table.stage == table.predicted).mean() for table in (ours, theirs)])
    here_mean, there_mean = np.mean(folds, axis=0)
    paired = np.subtract(*np.transpose(folds)[::-1])
    assert row.accuracy_mean_of_folds_here == pytest.approx(here_mean)
    assert row.accuracy_mean_of_folds_difference_points == pytest.approx(there_mean - here_mean)
    assert row.epochs_equal_share == pytest.approx(np.concatenate(pairs).mean())
    assert row.epochs_equal_share < 1
    assert row.epochs_compared == sum(map(len, pairs))
    assert row.spread_sd == pytest.approx(np.std(paired, ddof=1) / 2)
    assert row.runs_identical == 0
    assert row.verdict == ("within" if abs(paired.mean()) <= 2 * row.spread_sd else "BEYOND")
    assert "device: cpu, x86_64 here, NVIDIA H100 there" in output
    assert "here, cccccccc there" in output
    assert f"SD of the paired differences of {FOLDS} folds / sqrt({FOLDS})" in output


def test_a_large_difference_is_beyond_the_spread(export, here):
    archive = export(errors=0.5)
    here(errors=0.1)
    output, rows = compare(archive)
    assert rows.verdict.tolist() == ["BEYOND"] * 2
    assert (rows.accuracy_mean_of_folds_difference_points < -20).all()
    assert (rows.cohen_kappa_difference_points < -20).all()
    assert "BEYOND: |-" in output


def test_several_seeds_give_the_spread_and_other_seeds_are_said(export, here):
    archive = export(seeds=(1, 2, 3))
    mine = here(seeds=(4, 5))
    output, rows = compare(archive)
    assert "SD over 2 seeds here and 3 there" in output
    assert "seeds: 4 and 5 here, 1 and 2 and 3 there" in output
    assert "of other seeds in ascending order" in output
    n_epochs = sum(int((recording.stages < 5).sum()) for recording in mine.recordings)
    assert rows.epochs_compared.tolist() == [2 * n_epochs, 2 * n_epochs]
    assert rows.runs_identical.tolist() == [0, 0]


def test_common_seeds_are_compared_with_each_other(export, here):
    archive = export(seeds=(1, 2))
    here(seeds=(2, 3))
    output, rows = compare(archive)
    assert rows.runs_identical.tolist() == [FOLDS] * 2
    assert rows.epochs_equal_share.tolist() == [1.0] * 2  # of seed 2, which both have
    assert rows.verdict.isin(["within", "BEYOND"]).all()
    assert "epochs of the same seed" in output


def test_rows_that_only_one_has_are_listed(export, here):
    archive = export(keys=(CLEAN,))
    here()
    output, rows = compare(archive)
    assert rows.index.tolist() == ["clean"]
    assert "only here: released, ulw_sleepnet, four, ulw" in output


def test_results_without_a_common_row_cannot_be_compared(export, here):
    archive = export(keys=(CLEAN,))
    here(keys=(RELEASED,))
    message = error_of(exchange.compare, DATASET, archive)
    assert "no row in common" in message
    assert "only in the archive: clean" in message


def test_other_folds_and_other_data_are_not_paired(export, here):
    def other_cohort(results):
        for key in (RELEASED, CLEAN):
            document = read_json(results.folds_file(key))
            write_document(results.folds_file(key), document | {"data_sha256": "d" * 64})

    archive = export(change=other_cohort)
    here()
    output, rows = compare(archive)
    assert not rows.same_data.any()
    assert rows.same_folds.all()
    assert rows.epochs_equal_share.isna().all()
    assert "files of the recordings: OTHERS" in output


def test_archives_that_cannot_be_compared(export, here):
    archive = export()
    here()
    assert "no such file" in error_of(exchange.compare, DATASET, "nowhere.zip")
    assert "holds results on simulated, not on sleep-edf-20" in error_of(exchange.compare, "sleep-edf-20", archive)
    Path("text.zip").write_text("no zip file")
    assert "damaged or no zip file" in error_of(exchange.compare, DATASET, "text.zip")
    with zipfile.ZipFile("foreign.zip", "w") as file:
        file.writestr("a", "b")
    assert "has no manifest.json" in error_of(exchange.compare, DATASET, "foreign.zip")


def test_simulated_and_real_are_not_compared(export, here):
    archive = export()

    def real(members):
        members["manifest.json"] = members["manifest.json"].replace(b'"simulated": true', b'"simulated": false')

    rewrite(archive, real)
    here()
    assert "its simulated is real data, here it is simulated" in error_of(exchange.compare, DATASET, archive)


def without_predictions(members):
    members.pop(next(name for name in members if name.endswith("predictions.parquet")))


def with_other_table(members):
    members["results/simulated/runs.csv"] += b" "


def with_stranger(members):
    members["results/simulated/stranger"] = b"x"


def with_escape(members):
    members["../outside"] = b"x"


def with_old_format(members):
    members["manifest.json"] = members["manifest.json"].replace(exchange.FORMAT.encode(), b"older")


def with_broken_manifest(members):
    members["manifest.json"] = members["manifest.json"][:100]


def with_poor_manifest(members):
    members["manifest.json"] = json.dumps({"format": exchange.FORMAT}).encode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_predictions, "predictions.parquet is missing"),
        (with_other_table, "results/simulated/runs.csv differs from the manifest"),
        (with_stranger, "results/simulated/stranger is not in the manifest"),
        (with_escape, "'../outside' is no file below the directory that it is unpacked to"),
        (with_old_format, "format: found 'older'; the nearest known name is 'sleepbench results, 2'"),
        (with_broken_manifest, "its manifest.json is not as this version writes it (Expecting"),
        (with_poor_manifest, "dataset: the key 'dataset' is missing"),
    ],
)
def test_changed_archives_are_refused(export, here, change, said):
    archive = export()
    rewrite(archive, change)
    here()
    assert said in error_of(exchange.compare, DATASET, archive)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_archives_are_refused(export, here, damage):
    archive = export()
    content = bytearray(archive.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 2] ^= 0xFF
    archive.write_bytes(content)
    here()
    assert "damaged" in error_of(exchange.compare, DATASET, archive)


def test_an_archive_with_a_run_missing_is_refused_though_its_hashes_are_right(export, here):
    archive = export()

    def drop(members):
        lines = members["results/simulated/runs.csv"].splitlines(keepends=True)
        members["results/simulated/runs.csv"] = b"".join(lines[:-1])

    rewrite(archive, drop, sign=True)
    here()
    assert "fold 3 of 4 missing" in error_of(exchange.compare, DATASET, archive)


def test_an_archive_may_not_name_files_outside_of_it(export, here):
    archive = export()

    def escape(members):
        table = members["results/simulated/runs.csv"]
        members["results/simulated/runs.csv"] = table.replace(
            b"results/simulated/trainings", b"results/simulated/../.."
        )

    rewrite(archive, escape, sign=True)
    here()
    assert "runs.csv: is not as it should be (line 2, directory: found 'results/sim" in error_of(
        exchange.compare, DATASET, archive
    )


# -------------------------------------------------------------------------------------------------------------- spread


def accuracies(*seeds):
    return pd.DataFrame(dict(enumerate(seeds)))


def test_spread_of_one_seed_is_paired_over_folds():
    spread = exchange.spread_of(accuracies([70.0, 80, 90]), accuracies([71.0, 82, 93]), same_folds=True)
    assert spread.difference == pytest.approx(2)
    assert spread.sd == pytest.approx(1 / math.sqrt(3))
    assert spread.verdict == "BEYOND"  # every fold is better, though folds differ by far more than that
    unpaired = exchange.spread_of(accuracies([70.0, 80, 90]), accuracies([71.0, 82, 93]), same_folds=False)
    assert unpaired.sd == pytest.approx(math.sqrt((100 + 121) / 3))
    assert unpaired.verdict == "within"


def test_spread_of_several_seeds_is_over_seeds():
    here, there = accuracies([70.0, 80], [72, 82]), accuracies([70.0, 80], [73, 83], [76, 86])
    spread = exchange.spread_of(here, there, same_folds=True)
    assert spread.difference == pytest.approx(2)
    assert spread.sd == pytest.approx(math.sqrt(2 / 2 + 9 / 3))
    assert spread.verdict == "within"
    lent = exchange.spread_of(accuracies([70.0, 80]), there, same_folds=True)
    assert lent.sd == pytest.approx(math.sqrt(9 / 1 + 9 / 3))
    assert "lends the other" in lent.basis


def test_one_fold_has_no_spread_and_no_difference_is_within():
    assert exchange.spread_of(accuracies([70.0]), accuracies([71.0]), same_folds=True).verdict == "no spread"
    assert exchange.spread_of(accuracies([70.0, 80]), accuracies([70.0, 80]), same_folds=True).verdict == "within"

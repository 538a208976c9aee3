import contextlib
import copy
import json
import math
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from result_tree import CLEAN, DATASET, FOLDS, RELEASED, ResultTree, sign_again, write_selection

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json, sha256_of_file, write_json
from sleepbench.runs import archive as exchange
from sleepbench.runs.results import read_results

ARCHIVE = Path("results") / f"{DATASET}-results.zip"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Whole results with an archive of them, made once and copied."""
    root = tmp_path_factory.mktemp("pristine")
    with contextlib.chdir(root), contextlib.redirect_stdout(None):
        tree = ResultTree(root)
        tree.train_all()
        tree.write_tables()
        exchange.export(DATASET)
    return tree


@pytest.fixture
def here(tmp_path, monkeypatch, pristine):
    """Results of our own, and go there: copied, or made where something of them is asked for."""

    def make(seeds=(32,), keys=(RELEASED, CLEAN), name="here", change=None, **options):
        root = tmp_path / name
        tree = None
        if (seeds, keys, change, options) == ((32,), (RELEASED, CLEAN), None, {}):
            shutil.copytree(pristine.root, root, ignore=shutil.ignore_patterns("*.zip"))
            tree = copy.copy(pristine)
            tree.root = root
        else:
            root.mkdir()
            with contextlib.chdir(root):
                tree = ResultTree(root, seeds)
                tree.train_all(keys, **options)
                if change:
                    change(tree)
                tree.write_tables(keys)
        monkeypatch.chdir(root)
        return tree

    return make


@pytest.fixture
def export(tmp_path, here, pristine):
    """The archive of somebody else's results, of which something may be asked for."""

    def make(**options):
        archive = tmp_path / "theirs.zip"
        if not options:
            shutil.copy(pristine.root / ARCHIVE, archive)
            return archive
        here(name="there", **options)
        with contextlib.redirect_stdout(None):
            exchange.export(DATASET, archive)
        return archive

    return make


@pytest.fixture
def compare(capsys):
    """Compare the results here with an archive: the printed text and the rows as written to a CSV."""

    def run(archive):
        assert exchange.main(["compare", DATASET, str(archive), "--csv", "comparison.csv"]) == 0
        return capsys.readouterr().out, pd.read_csv("comparison.csv").set_index("protocol")

    return run


@pytest.fixture
def error_of(capsys):
    """Call a command that must fail with one message; returns that."""

    def run(*arguments):
        assert exchange.main([str(argument) for argument in arguments]) == 1
        message = capsys.readouterr().err
        assert message.startswith("Error: ")
        return message

    return run


def rewrite(archive, change, sign=False):
    """Change an archive's members, a mapping of names to bytes; with `sign` the manifest follows."""
    with zipfile.ZipFile(archive) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    if sign:
        manifest = json.loads(members["manifest.json"])
        scratch = archive.with_name("scratch")
        for name in list(manifest["files"]):
            scratch.write_bytes(members.get(name, b""))
            manifest["files"][name] = sha256_of_file(scratch)
        members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


# -------------------------------------------------------------------------------------------------------------- export


def test_archive_holds_everything_but_weights_and_every_hash(here, capsys):
    tree = here()
    (tree.root / "results/simulated/totals").mkdir()
    (tree.root / "results/simulated/totals/a.json").write_text("{}")
    write_json("results/profile/ulw_sleepnet-4.json", {})
    assert exchange.main(["export", DATASET]) == 0
    output = capsys.readouterr().out
    with zipfile.ZipFile(ARCHIVE) as file:
        names = file.namelist()
        manifest = json.loads(file.read("manifest.json"))
        members = {name: file.read(name) for name in names}
    directory = tree.directory(CLEAN, 0).as_posix()
    expected = {
        *("config.yaml", "results/simulated/runs.csv", "results/simulated/tables/main_results.csv"),
        *("results/simulated/totals/a.json", "results/profile/ulw_sleepnet-4.json"),
        *(tree.folds_file(key).relative_to(tree.root).as_posix() for key in (RELEASED, CLEAN)),
        *(f"{directory}/{name}" for name in ("training.json", "history.csv")),
        *(f"{directory}/{s}/predictions.parquet" for s in ("best_test", "best_validation", "last")),
        *(f"{directory}/{s}/metrics.json" for s in ("best_test", "best_validation", "last")),
    }
    assert expected <= set(names)
    assert not any("weights" in name for name in names)
    assert set(manifest["files"]) == set(names) - {"manifest.json"}
    assert all(sha256_of_file(name) == sha256 for name, sha256 in manifest["files"].items())
    assert all(Path(name).read_bytes() == content for name, content in members.items() if name != "manifest.json")
    assert (manifest["dataset"], manifest["simulated"], manifest["runs"]) == (DATASET, True, 2 * FOLDS)
    assert {"sleepbench", "git_commit"} <= set(manifest)
    assert "2 rows of 8 runs on simulated (SIMULATED data)" in output
    assert f"{ARCHIVE.stat().st_size / 1e6:.2f} MB" in output
    assert "config.yaml is not what 8 of 8 runs were made with" in output


def test_the_same_results_give_the_same_bytes_in_a_named_archive(here):
    here().write_qualities()
    exchange.main(["export", DATASET])
    assert exchange.main(["export", DATASET, "elsewhere/mine.zip"]) == 0
    assert Path("elsewhere/mine.zip").read_bytes() == ARCHIVE.read_bytes()
    assert exchange.main(["export", DATASET, "mine.tar"]) == 1


def drop_run(tree):
    shutil.rmtree(tree.directory(CLEAN, 2))
    tree.write_tables()


def double_run(tree):
    runs = pd.read_csv("results/simulated/runs.csv")
    pd.concat([runs, runs.iloc[[0]]]).to_csv("results/simulated/runs.csv", index=False)


def other_code(tree):
    tree.write_training(CLEAN, 2, code_sha256="f" * 64)


def other_config(tree):
    tree.write_training(CLEAN, 2, channels=["EEG Fpz-Cz"])
    tree.write_tables()


def retrained(tree):
    tree.write_training(CLEAN, 2, recipe={"name": "released", "training_epochs": 3})


def changed_file(tree):
    (tree.directory(CLEAN, 2) / "history.csv").write_text("changed")


def lost_file(tree):
    (tree.directory(CLEAN, 2) / "last" / "predictions.parquet").unlink()


def half_written(tree):
    (tree.directory(CLEAN, 2) / "training.json").write_text('{"settings": {')


def uncovered(tree):
    """A night of the fold is not predicted, and everything is signed as if that were right."""
    directory = tree.directory(CLEAN, 2)
    table = pd.read_parquet(directory / "best_validation" / "predictions.parquet")
    write_selection(directory / "best_validation", table[table.recording != table.recording.iloc[0]])
    sign_again(directory)


def doubled_epoch(tree):
    directory = tree.directory(CLEAN, 2)
    table = pd.read_parquet(directory / "best_validation" / "predictions.parquet")
    table.loc[0, "epoch"] = table.loc[1, "epoch"]
    write_selection(directory / "best_validation", table)
    sign_again(directory)


def shifted(tree):
    """The epochs of a fold are not those that are prepared, and everything is signed as if that were right."""
    tree.write_qualities()
    directory = tree.directory(CLEAN, 2)
    table = pd.read_parquet(directory / "best_validation" / "predictions.parquet")
    write_selection(directory / "best_validation", table.assign(epoch=table.epoch + 1000))
    sign_again(directory)


def other_metrics(tree):
    runs = pd.read_csv("results/simulated/runs.csv", dtype={"run_key": str})
    runs.loc[6, ["confusion_W_W", "confusion_N2_N2"]] += [1, -1]
    runs.to_csv("results/simulated/runs.csv", index=False)


def no_table(tree):
    Path("results/simulated/runs.csv").unlink()


def other_folds(tree):
    document = read_json(tree.folds_file(CLEAN))
    document["data_sha256"] = "0" * 64
    write_json(tree.folds_file(CLEAN), document)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop_run, "fold 2 of 4 missing"),
        (double_run, "there 2 times"),
        (other_code, "code_sha256 differs between its runs: .* ffffffff.* in seed 32 fold 2"),
        (other_config, "channels differs between its runs"),
        (retrained, "fold 2 .*runs.csv is of another training"),
        (changed_file, "history.csv is CHANGED"),
        (lost_file, "predictions.parquet is MISSING"),
        (half_written, "fold 2 .*training.json: is not whole"),
        (uncovered, "do not cover the fold: they lack SC4"),
        (doubled_epoch, "hold 1 epochs more than once"),
        (
            shifted,
            r"fold 2 .*are of 60 epochs \(1000 to 1059\) of SC4021, but its standard window as prepared is 60 epochs",
        ),
        (other_metrics, "its metrics in runs.csv are not those of"),
        (no_table, "runs.csv: not there"),
        (other_folds, "trained on other EDF files"),
    ],
)
def test_results_that_are_not_whole_are_listed_and_not_exported(here, error_of, change, said):
    change(here())
    message = error_of("export", DATASET)
    assert re.search(said, message, re.DOTALL)
    assert not ARCHIVE.exists()


def test_what_to_do_about_results_that_are_not_whole_is_said(here, error_of):
    changed_file(here())
    message = error_of("export", DATASET)
    assert message.rstrip().endswith("To run again: `make demo`.")
    assert "What to do: delete the runs table (runs.csv) and the receipts (group-*.json) beside the folds" in message


def test_predictions_that_change_after_the_check_are_not_read(here):
    tree = here()
    checked = read_results(Path(), DATASET, True)
    run = checked.runs.iloc[0]
    assert len(checked.predictions(run)) == 120
    path = tree.root / run.directory / run.selection / "predictions.parquet"
    pd.read_parquet(path).iloc[:-1].to_parquet(path, index=False)
    with pytest.raises(BenchmarkError, match=r"predictions\.parquet: was changed since it was written: SHA-256"):
        checked.predictions(run)


# ---------------------------------------------------------------------------------------------------------- comparison


def test_the_same_runs_are_identical(export, here, compare):
    archive = export()
    here()
    output, rows = compare(archive)
    assert rows.verdict.tolist() == ["identical"] * 2
    assert rows.runs_identical.tolist() == [FOLDS] * 2
    assert (rows[["accuracy_difference_points", "macro_f1_difference_points"]] == 0).all(axis=None)
    assert rows.epochs_equal_share.tolist() == [1.0] * 2
    assert "settings, code, versions and device: the same" in output
    assert "SIMULATED" in output


def test_differences_are_those_of_the_files(export, here, compare):
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
    assert row.epochs_compared == 480
    assert row.spread_sd == pytest.approx(np.std(paired, ddof=1) / 2)
    assert row.runs_identical == 0
    assert row.verdict == ("within" if abs(paired.mean()) <= 2 * row.spread_sd else "BEYOND")
    assert "device: cpu, x86_64 here, NVIDIA H100 there" in output
    assert "here, cccccccc there" in output
    assert f"SD of the paired differences of {FOLDS} folds / sqrt({FOLDS})" in output


def test_a_large_difference_is_beyond_the_spread(export, here, compare):
    archive = export(errors=0.5)
    here(errors=0.1)
    output, rows = compare(archive)
    assert rows.verdict.tolist() == ["BEYOND"] * 2
    assert (rows.accuracy_mean_of_folds_difference_points < -20).all()
    assert (rows.cohen_kappa_difference_points < -20).all()
    assert "BEYOND: |-" in output


def test_several_seeds_give_the_spread_and_other_seeds_are_said(export, here, compare):
    archive = export(seeds=(1, 2, 3))
    here(seeds=(4, 5))
    output, rows = compare(archive)
    assert "SD over 2 seeds here and 3 there" in output
    assert "seeds: 4 and 5 here, 1 and 2 and 3 there" in output
    assert "of other seeds in ascending order" in output
    assert rows.epochs_compared.tolist() == [960, 960]
    assert rows.runs_identical.tolist() == [0, 0]


def test_common_seeds_are_compared_with_each_other(export, here, compare):
    archive = export(seeds=(1, 2))
    here(seeds=(2, 3))
    output, rows = compare(archive)
    assert rows.runs_identical.tolist() == [FOLDS] * 2
    assert rows.epochs_equal_share.tolist() == [1.0] * 2  # of seed 2, which both have
    assert rows.verdict.isin(["within", "BEYOND"]).all()
    assert "epochs of the same seed" in output


def test_rows_that_only_one_has_are_listed(export, here, compare):
    archive = export(keys=(CLEAN,))
    here()
    output, rows = compare(archive)
    assert rows.index.tolist() == ["clean"]
    assert "only here: released, ulw_sleepnet, four, released" in output


def test_results_without_a_common_row_cannot_be_compared(export, here, error_of):
    archive = export(keys=(CLEAN,))
    here(keys=(RELEASED,))
    message = error_of("compare", DATASET, archive)
    assert "no row in common" in message
    assert "only in the archive: clean" in message


def test_other_folds_and_other_data_are_not_paired(export, here, compare):
    def other_cohort(tree):
        for key in (RELEASED, CLEAN):
            document = read_json(tree.folds_file(key))
            write_json(tree.folds_file(key), document | {"data_sha256": "d" * 64})
            for fold in range(FOLDS):
                tree.write_training(key, fold)

    archive = export(change=other_cohort)
    here()
    output, rows = compare(archive)
    assert not rows.same_data.any()
    assert rows.same_folds.all()
    assert rows.epochs_equal_share.isna().all()
    assert "EDF files: OTHERS" in output


def test_archives_that_cannot_be_compared(export, here, error_of):
    archive = export()
    here()
    assert "no such file" in error_of("compare", DATASET, "nowhere.zip")
    assert "holds results on simulated, not on sleep-edf-20" in error_of("compare", "sleep-edf-20", archive)
    Path("text.zip").write_text("no zip file")
    assert "damaged or no zip file" in error_of("compare", DATASET, "text.zip")
    with zipfile.ZipFile("foreign.zip", "w") as file:
        file.writestr("a", "b")
    assert "has no manifest.json" in error_of("compare", DATASET, "foreign.zip")


def test_simulated_and_real_are_not_compared(export, here, error_of):
    archive = export()

    def real(members):
        members["manifest.json"] = members["manifest.json"].replace(b'"simulated": true', b'"simulated": false')

    rewrite(archive, real)
    here()
    assert "its simulated is real data, here it is simulated" in error_of("compare", DATASET, archive)


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
        (with_escape, "../outside is not in the manifest"),
        (with_old_format, "its format is 'older'"),
        (with_broken_manifest, "is damaged or no zip file"),
        (with_poor_manifest, "lacks dataset, simulated"),
    ],
)
def test_changed_archives_are_refused(export, here, error_of, change, said):
    archive = export()
    rewrite(archive, change)
    here()
    assert said in error_of("compare", DATASET, archive)


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_damaged_archives_are_refused(export, here, error_of, damage):
    archive = export()
    content = bytearray(archive.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 2] ^= 0xFF
    archive.write_bytes(content)
    here()
    assert "damaged" in error_of("compare", DATASET, archive)


def test_an_archive_with_a_run_missing_is_refused_though_its_hashes_are_right(export, here, error_of):
    archive = export()

    def drop(members):
        lines = members["results/simulated/runs.csv"].splitlines(keepends=True)
        members["results/simulated/runs.csv"] = b"".join(lines[:-1])

    rewrite(archive, drop, sign=True)
    here()
    assert "fold 3 of 4 missing" in error_of("compare", DATASET, archive)


def test_an_archive_may_not_name_files_outside_of_it(export, here, error_of):
    archive = export()

    def escape(members):
        table = members["results/simulated/runs.csv"]
        members["results/simulated/runs.csv"] = table.replace(
            b"results/simulated/trainings", b"results/simulated/../.."
        )

    rewrite(archive, escape, sign=True)
    here()
    assert "names directories outside results/simulated" in error_of("compare", DATASET, archive)


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

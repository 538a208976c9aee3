"""The table of post-processing, from made-up runs and made-up smoothed predictions."""

import re
from pathlib import Path

import pandas as pd
import pytest
from sklearn import metrics as sk
from smoothed import change, sign, write_smoothed
from synthetic import make_runs

from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation.bootstrap import bootstrap_differences, subject_confusions
from sleepbench.reporting.page import report
from sleepbench.reporting.tables import main as tables
from sleepbench.reporting.tables import postprocessing
from sleepbench.reporting.tables.main import read_runs

MODEL = "ulw_sleepnet"


@pytest.fixture
def runs(tmp_path):
    return make_runs(tmp_path / "runs", models=("ULW-SleepNet", "TinySleepNet"), seeds=(1, 2), nights_per_fold=4)


def write(tmp_path, runs, parameters, models=(MODEL,), protocols=("clean",)) -> tuple[Path, str, str]:
    paths = [tmp_path / f"postprocessing.{form}" for form in ("csv", "md", "tex")]
    postprocessing.write_postprocessing(str(runs), parameters, models, protocols, "simulated", True, *map(str, paths))
    return paths[0], paths[1].read_text(encoding="utf-8"), paths[2].read_text(encoding="utf-8")


def read_all(runs: pd.DataFrame, parameters: list[str] | None = None) -> list[pd.DataFrame]:
    """The predictions of each seed, plain or smoothed."""
    of_key = {Path(path).parent.name: Path(path).with_name("predictions.parquet") for path in parameters or ()}
    by_seed = []
    for _, of_seed in runs.groupby("seed"):
        own = of_seed.apply(lambda run: Path(run.directory) / run.selection / "predictions.parquet", axis=1)
        paths = [of_key.get(key, path) for key, path in zip(of_seed.run_key, own, strict=True)]
        by_seed.append(pd.concat(map(pd.read_parquet, paths), ignore_index=True))
    return by_seed


def test_a_row_holds_plain_and_smoothed_metrics_and_the_interval_of_their_change(tmp_path, runs):
    parameters = write_smoothed(tmp_path / "smoothed", runs)
    csv, _, _ = write(tmp_path, runs, parameters)
    (row,) = pd.read_csv(csv, dtype={"run_keys": str}).itertuples()
    assert (row.protocol, row.title, row.channels, row.recipe) == ("clean", "ULW-SleepNet", "four", "released")
    mine = read_runs(runs).query("protocol == 'clean' and model == @MODEL")
    assert row.run_keys.split() == mine.run_key.tolist() and row._fields[-1] == "run_keys"
    plain, smoothed = read_all(mine), read_all(mine, parameters)
    for column, by_seed in (("", plain), ("_smoothed", smoothed)):
        accuracy = [100 * sk.accuracy_score(p.stage, p.predicted) for p in by_seed]
        f1 = [100 * sk.f1_score(p.stage, p.predicted, average="macro") for p in by_seed]
        kappa = [sk.cohen_kappa_score(p.stage, p.predicted) for p in by_seed]
        for name, values in (("accuracy", accuracy), ("macro_f1", f1), ("cohen_kappa", kappa)):
            assert getattr(row, name + column) == pytest.approx(sum(values) / 2)
    expected = bootstrap_differences(*(subject_confusions(t, check=False) for t in (plain, smoothed))).loc["accuracy"]
    assert row.accuracy_change == pytest.approx(row.accuracy_smoothed - row.accuracy) and row.accuracy_change > 0
    assert [row.accuracy_change_low, row.accuracy_change_high] == pytest.approx(
        [100 * expected.low, 100 * expected.high]
    )
    pairs = zip(plain, smoothed, strict=True)
    corrected = [(p.predicted != p.stage).sum() - (s.predicted != s.stage).sum() for p, s in pairs]
    assert row.epochs_changed == pytest.approx(100 * sum(corrected) / 2 / len(plain[0]))
    assert (row.n_epochs, row.n_subjects, row.folds, row.seeds) == (len(plain[0]), 4, "2 of 2", 2)


def test_it_is_rendered_as_every_other_table(tmp_path, runs):
    csv, markdown, latex = write(
        tmp_path, runs, write_smoothed(tmp_path / "smoothed", runs), (MODEL, "tinysleepnet"), ("released", "clean")
    )
    assert tables.SIMULATED in markdown.splitlines()[0]
    assert r"\label{tab:simulated:postprocessing}" in latex and "SIMULATED" in latex
    assert markdown.count("| ULW-SleepNet ") == markdown.count("| TinySleepNet ") == 2
    assert re.search(r"\| +\+\d+\.\d \[\+\d+\.\d, \+\d+\.\d\] \|", markdown)
    assert re.search(r"\| +\.\d{3} \| +\.\d{3} \| +\+\.\d{3} \[", markdown)
    assert re.search(r"4 subjects, 2 seeds, folds 2 of 2; smoothing changes \d+\.\d % of [\d,]+\s+epochs", markdown)
    known = report.known_table(csv)
    assert (known.heading, known.layout, known.caption) == (
        postprocessing.HEADING,
        postprocessing.LAYOUT,
        postprocessing.CAPTION,
    )


@pytest.mark.parametrize(("models", "protocols"), [((), ("clean",)), ((MODEL,), ("not_run",)), ((MODEL,), ())])
def test_without_post_processing_it_has_no_rows_and_says_so(tmp_path, runs, models, protocols):
    csv, markdown, latex = write(tmp_path, runs, [], models, protocols)
    assert pd.read_csv(csv).empty and "Nothing is smoothed" in markdown and "Nothing is smoothed" in latex


def problem_of(tmp_path, runs, parameters) -> str:
    with pytest.raises(BenchmarkError) as error:
        write(tmp_path, runs, parameters)
    assert not (tmp_path / "postprocessing.csv").exists()
    return str(error.value)


def test_what_cannot_be_used_is_named(tmp_path, runs):
    parameters = write_smoothed(tmp_path / "smoothed", runs)
    run = next(read_runs(runs).query("protocol == 'clean' and model == @MODEL").itertuples())
    path = tmp_path / "smoothed" / run.run_key / "hmm.json"
    others = [one for one in parameters if one != str(path)]
    assert f"(run {run.run_key}): is not smoothed" in problem_of(tmp_path, runs, others)

    change(path, training_json_sha256="0" * 64)
    assert f"{path}: is of another training than {run.directory}" in problem_of(tmp_path, runs, parameters)
    sign(path, run)

    smoothed = path.with_name("predictions.parquet")
    content, table = smoothed.read_bytes(), pd.read_parquet(smoothed)
    table.assign(predicted=0).to_parquet(smoothed, index=False)
    assert f"{smoothed}: was changed since it was written" in problem_of(tmp_path, runs, parameters)
    table[1:].to_parquet(smoothed, index=False)
    sign(path, run)
    assert "the smoothed predictions are of other epochs than the plain ones" in problem_of(tmp_path, runs, parameters)
    smoothed.write_bytes(content)
    sign(path, run)

    path.write_text('{"run_key": "')
    assert f"{path}: is not whole" in problem_of(tmp_path, runs, parameters)
    path.write_text('{"run_key": "1"}')
    assert f"{path}: lacks training_json_sha256, files" in problem_of(tmp_path, runs, parameters)

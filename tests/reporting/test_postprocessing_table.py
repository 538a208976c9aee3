"""The table of post-processing, from made-up runs and made-up smoothed predictions."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from fake_results import FakeResults, predictions_of, sign_smoothed
from sklearn import metrics as sk

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import write_document
from sleepbench.datasets.base import SIMULATED
from sleepbench.evaluation.bootstrap import bootstrap_differences, subject_confusions
from sleepbench.reporting.rendering import make_table
from sleepbench.reporting.tables.postprocessing import ARTEFACT

MODEL = "ulw_sleepnet"
CLEAN = ("clean",)


@pytest.fixture
def results(tmp_path: Path) -> FakeResults:
    made = FakeResults(tmp_path, models=("ULW-SleepNet", "TinySleepNet"), seeds=(1, 2), nights_per_fold=4)
    made.write_smoothed()
    return made


def write(
    results: FakeResults,
    models: tuple[str, ...] = (MODEL,),
    protocols: tuple[str, ...] = CLEAN,
    smoothed: list[Path] | None = None,
) -> tuple[Path, str, str]:
    """The table's CSV, and what Markdown and LaTeX hold."""
    files: dict[str, Any] = {} if smoothed is None else {"smoothed": smoothed}
    inputs = results.inputs(ARTEFACT, files, smoothed_models=list(models), smoothed_protocols=list(protocols))
    paths = [results.root / f"postprocessing.{form}" for form in ("csv", "md", "tex")]
    make_table(ARTEFACT, inputs, *paths)
    return paths[0], paths[1].read_text(encoding="utf-8"), paths[2].read_text(encoding="utf-8")


def by_seed(results: FakeResults, runs: pd.DataFrame, smoothed: bool) -> list[pd.DataFrame]:
    """The predictions of each seed, plain or smoothed."""

    def read(run: Any) -> pd.DataFrame:
        key = results.key(run.protocol, run.title, run.seed, run.fold)
        return (
            pd.read_parquet(results.smoothed(key, run.selection) / "predictions.parquet")
            if smoothed
            else predictions_of(run)
        )

    return [pd.concat(map(read, mine.itertuples()), ignore_index=True) for _, mine in runs.groupby("seed")]


def test_a_row_holds_plain_and_smoothed_metrics_and_the_interval_of_their_change(results):
    csv, _, _ = write(results)
    (row,) = pd.read_csv(csv, dtype={"run_keys": str}).itertuples()
    assert (row.protocol, row.title, row.input, row.recipe) == ("clean", "ULW-SleepNet", "four", "ulw")
    mine = results.read_runs().query("protocol == 'clean' and model == @MODEL")
    assert row.run_keys.split() == mine.run_key.tolist() and row._fields[-1] == "run_keys"
    plain, smoothed = (by_seed(results, mine, which) for which in (False, True))
    for column, tables in (("", plain), ("_smoothed", smoothed)):
        accuracy = [100 * sk.accuracy_score(p.stage, p.predicted) for p in tables]
        f1 = [100 * sk.f1_score(p.stage, p.predicted, average="macro") for p in tables]
        kappa = [sk.cohen_kappa_score(p.stage, p.predicted) for p in tables]
        for name, values in (("accuracy", accuracy), ("macro_f1", f1), ("cohen_kappa", kappa)):
            assert getattr(row, name + column) == pytest.approx(sum(values) / 2)
    expected = bootstrap_differences(*(subject_confusions(t, check=False) for t in (plain, smoothed))).loc["accuracy"]
    assert row.accuracy_change == pytest.approx(row.accuracy_smoothed - row.accuracy) and row.accuracy_change > 0
    bounds = [row.accuracy_change_low, row.accuracy_change_high]
    assert bounds == pytest.approx([100 * expected.low, 100 * expected.high])
    pairs = zip(plain, smoothed, strict=True)
    corrected = [(p.predicted != p.stage).sum() - (s.predicted != s.stage).sum() for p, s in pairs]
    assert row.epochs_changed == pytest.approx(100 * sum(corrected) / 2 / len(plain[0]))
    assert (row.n_epochs, row.n_subjects, row.folds, row.seeds) == (len(plain[0]), 4, "2 of 2", 2)


def test_it_is_rendered_as_every_other_table(results):
    _, markdown, latex = write(results, (MODEL, "tinysleepnet"), ("released", "clean"))
    assert SIMULATED in markdown.splitlines()[0]
    assert r"\label{tab:simulated:postprocessing}" in latex and "SIMULATED" in latex
    assert markdown.count("| ULW-SleepNet ") == markdown.count("| TinySleepNet ") == 2
    assert re.search(r"\| +\+\d+\.\d \[\+\d+\.\d, \+\d+\.\d\] \|", markdown)
    assert re.search(r"\| +\.\d{3} \| +\.\d{3} \| +\+\.\d{3} \[", markdown)
    assert re.search(r"4 subjects, 2 seeds, folds 2 of 2; smoothing changes \d+\.\d % of [\d,]+\s+epochs", markdown)


@pytest.mark.parametrize(("models", "protocols"), [((), CLEAN), ((MODEL,), ("not_run",)), ((MODEL,), ())])
def test_without_post_processing_it_has_no_rows_and_says_so(results, models, protocols):
    csv, markdown, latex = write(results, models, protocols, smoothed=[])
    assert pd.read_csv(csv).empty and "Nothing is smoothed" in markdown and "Nothing is smoothed" in latex


def problem_of(results: FakeResults, smoothed: list[Path] | None = None) -> str:
    with pytest.raises(BenchmarkError) as error:
        write(results, smoothed=smoothed)
    assert not (results.root / "postprocessing.csv").exists()
    return str(error.value)


def test_what_cannot_be_used_is_named(results):
    run = next(results.read_runs().query("protocol == 'clean' and model == @MODEL").itertuples())
    directory = results.smoothed(results.key(run.protocol, run.title, run.seed, run.fold), run.selection)
    others = [one for one in results.files["smoothed"] if one != directory]
    assert f"(run {run.run_key}): is not smoothed" in problem_of(results, others)

    sign_smoothed(directory, run, training_json_sha256="0" * 64)
    assert f"{directory}: is of another training than {run.directory}" in problem_of(results)
    sign_smoothed(directory, run)

    smoothed = directory / "predictions.parquet"
    content, table = smoothed.read_bytes(), pd.read_parquet(smoothed)
    table.assign(predicted=0).to_parquet(smoothed, index=False)
    assert f"{smoothed}: was changed since it was written" in problem_of(results)
    table[1:].to_parquet(smoothed, index=False)
    sign_smoothed(directory, run)
    assert "the smoothed predictions are of other epochs than the plain ones" in problem_of(results)
    smoothed.write_bytes(content)
    sign_smoothed(directory, run)

    (directory / "hmm.json").write_text('{"run_key": "')
    assert f"{directory / 'hmm.json'}: is not whole" in problem_of(results)
    write_document(directory / "hmm.json", {"run_key": "1"})
    assert f"{directory / 'hmm.json'}: lacks training_json_sha256, files" in problem_of(results)

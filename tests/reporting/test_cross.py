from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fake_results import LABELS, PROBABILITIES, FakeResults, predictions_of, sign_again

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_file, write_document
from sleepbench.evaluation.bootstrap import bootstrap_differences, bootstrap_intervals, subject_confusions
from sleepbench.reporting.artefacts import Inputs, cross_figures, cross_tables
from sleepbench.reporting.cross.labels import joint_label, marked
from sleepbench.reporting.cross.page import write_page
from sleepbench.reporting.cross.statistics import cross_statistics
from sleepbench.reporting.cross.tables.cross_matrix import change
from sleepbench.reporting.figures.style import make_figure
from sleepbench.reporting.rendering import make_table

HERE, THERE = "simulated", "sleep-edf-20"
SETTINGS = {
    "labels": {name: vars(label) for name, label in LABELS.items()},
    "not_tested": [{"trained": THERE, "tested": HERE, "reason": "epochs of another length", "contender": ""}],
}


def write_crossed(directory, trained, tested, ways=("as_is", "adabn"), seed=1, keep=None):
    """What the networks of `trained` give on the recordings of `tested`: another draw for each fold and way."""
    directory.mkdir(parents=True)
    clean = tested.read_runs().query("protocol == 'clean' and seed == 1")
    whole = pd.concat([predictions_of(run) for run in clean.itertuples()], ignore_index=True)
    whole = whole if keep is None else whole[whole.subject.isin(keep)].reset_index(drop=True)
    runs = trained.read_runs().query(f"protocol == 'clean' and seed == {seed}")
    files = {}
    for n, way in enumerate(ways):
        generator = np.random.default_rng([seed, n, len(trained.dataset)])
        draws = []
        for _ in range(2):
            logits = (1.2 + n) * np.eye(5)[whole.stage] + generator.normal(size=(len(whole), 5))
            draws.append(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
        table = whole[["recording", "subject", "night", "epoch", "stage"]].copy()
        table[PROBABILITIES] = np.mean(draws, axis=0).astype(np.float32)
        for fold, draw in enumerate(draws):
            table[f"fold_{fold}"] = draw.argmax(axis=1)
        table.to_parquet(directory / f"{way}.parquet", index=False)
        files[f"{way}.parquet"] = sha256_of_file(directory / f"{way}.parquet")
    members = [
        {
            **{"fold": run.fold, "run_key": run.run_key, "training_key": "0" * 16, "training_epoch": 2},
            "training_json_sha256": sha256_of_file(f"{run.directory}/training.json"),
        }
        for run in runs.itertuples()
    ]
    audit = {
        **{"people_trained": 2, "people_tested": whole.subject.nunique(), "known_from": "two tables"},
        **{"tested": [*whole.recording.unique()], "removed": {"SC subject 00": ["SC4001", "SC4002"]}},
        "not_prepared": ["SC4999"],
        "channels": {"eeg1": ["EEG Fpz-Cz", "EEG F4-M1"], "eog": ["EOG", "EOG"]},
    }
    write_document(
        directory / "cross.json",
        {
            **{"trained": trained.dataset, "tested": tested.dataset, "model": "ulw_sleepnet", "title": "ULW-SleepNet"},
            **{"input": "four", "recipe": "ulw", "seed": seed, "members": members, "audit": audit, "ways": list(ways)},
            **{"lacking": {"finetuned_5": "of 2 people too few are left to be tested"}, "files": files},
        },
    )
    return directory


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two datasets of four people, and their networks on each other."""
    root = tmp_path_factory.mktemp("results")
    here, there = (FakeResults(root / name, name, nights_per_fold=4) for name in (HERE, THERE))
    return here, there, write_crossed(root / "on-there", here, there), write_crossed(root / "on-here", there, here)


@pytest.fixture(scope="module")
def statistics(results):
    here, there, *crossed = results
    return cross_statistics(crossed, [here.runs, there.runs])


def inputs_of(results, statistics, path):
    statistics.to_csv(path, index=False)
    labels = {name: LABELS[name] for name in (HERE, THERE)}
    return Inputs({"statistics/cross": path, "crossed": list(results[2:])}, SETTINGS, joint_label(labels))


def row(statistics, trained, tested, way, metric="accuracy"):
    found = statistics.query("trained == @trained and tested == @tested and way == @way and metric == @metric")
    (one,) = found.itertuples()
    return one


def test_each_fold_is_scored_alone_and_averaged(results, statistics):
    table = pd.read_parquet(results[2] / "as_is.parquet")
    alone = [table.assign(predicted=table[f"fold_{fold}"]) for fold in range(2)]
    mean = np.mean([(one.predicted == one.stage).mean() for one in alone])
    found = row(statistics, HERE, THERE, "as_is")
    assert found.estimate == pytest.approx(mean) and (found.networks, found.seeds, found.n_subjects) == (2, 1, 4)
    confusions = subject_confusions(alone, check=False)[1]
    expected = bootstrap_intervals(confusions, metrics=("accuracy",)).loc["accuracy"]
    assert (found.low, found.high) == (expected.low, expected.high)
    together = (table[PROBABILITIES].to_numpy().argmax(axis=1) == table.stage).mean()
    assert row(statistics, HERE, THERE, "together").estimate == pytest.approx(together) != found.estimate


def test_the_drop_is_from_the_tested_datasets_own_networks_over_the_same_people(results, statistics):
    _, there, crossed, _ = results
    clean = there.read_runs().query("protocol == 'clean'")
    own = pd.concat([predictions_of(run) for run in clean.itertuples()], ignore_index=True)
    table = pd.read_parquet(crossed / "as_is.parquet")
    alone = [table.assign(predicted=table[f"fold_{fold}"]) for fold in range(2)]
    expected = bootstrap_differences(
        subject_confusions(own, check=False), subject_confusions(alone, check=False), metrics=("macro_f1",)
    ).loc["macro_f1"]
    found = row(statistics, HERE, THERE, "as_is", "macro_f1")
    assert (found.change, found.change_low, found.change_high) == (expected.estimate, expected.low, expected.high)
    diagonal = row(statistics, THERE, THERE, "own")
    assert diagonal.estimate == pytest.approx((own.stage == own.predicted).mean()) and pd.isna(diagonal.change)


def test_a_remedy_is_held_against_the_networks_as_they_are(statistics):
    plain, adapted = (row(statistics, HERE, THERE, way) for way in ("as_is", "adabn"))
    assert adapted.gain == pytest.approx(adapted.estimate - plain.estimate) and adapted.gain_low > 0
    assert pd.isna(plain.gain)


def test_over_fewer_people_both_sides_of_a_difference_are_of_these(tmp_path, results):
    here, there, *_ = results
    people = sorted({one.subject for one in there.recordings})[:3]
    found = cross_statistics([write_crossed(tmp_path / "few", here, there, keep=people)], [here.runs, there.runs])
    clean = there.read_runs().query("protocol == 'clean'")
    own = pd.concat([predictions_of(run) for run in clean.itertuples()]).query("subject in @people")
    one = row(found, HERE, THERE, "as_is")
    assert one.n_shared == 3
    assert one.estimate - one.change == pytest.approx((own.stage == own.predicted).mean())


def test_without_own_networks_there_is_no_change(results):
    here, _, crossed, _ = results
    found = cross_statistics([crossed], [here.runs])
    assert found.change.isna().all() and (found.n_shared == 0).all() and "own" not in set(found.way)


def test_all_others_together_leave_the_tested_dataset_out(tmp_path, results):
    here, there, crossed, _ = results
    runs = here.read_runs().assign(dataset="third")
    runs.to_csv(tmp_path / "third.csv", index=False)
    third = SimpleNamespace(dataset="third", read_runs=lambda: runs)
    other = write_crossed(tmp_path / "on-there", third, there)
    found = cross_statistics([crossed, other], [here.runs, tmp_path / "third.csv", there.runs])
    tables = [pd.read_parquet(directory / "as_is.parquet") for directory in (crossed, other)]
    mean = np.mean([table[PROBABILITIES].to_numpy(np.float64) for table in tables], axis=0)
    expected = (mean.argmax(axis=1) == tables[0].stage).mean()
    one = row(found, "all others", THERE, "together")
    assert one.estimate == pytest.approx(expected) and one.networks == 4


def test_what_is_damaged_or_of_other_runs_is_refused(tmp_path, results):
    here, there, *_ = results
    crossed = write_crossed(tmp_path / "crossed", here, there)
    table = pd.read_parquet(crossed / "as_is.parquet")
    table.assign(fold_0=0).to_parquet(crossed / "as_is.parquet", index=False)
    with pytest.raises(BenchmarkError, match=r"as_is\.parquet: was changed .* delete .*crossed and run again"):
        cross_statistics([crossed], [here.runs, there.runs])
    again = FakeResults(tmp_path / "again", HERE, nights_per_fold=4)
    other = write_crossed(tmp_path / "other", again, there)
    sign_again_with_more(again)
    with pytest.raises(BenchmarkError, match=r"is of run .*, which is not among the runs of the table now"):
        cross_statistics([other], [again.runs, there.runs])


def sign_again_with_more(results):
    """Train the first clean fold once more, as far as its files tell."""
    directory = Path(results.read_runs().query("protocol == 'clean'").directory.iloc[0])
    (directory / "more.csv").write_text("x\n")
    sign_again(directory)


def test_labels_of_all_datasets_are_in_every_title(tmp_path, results, statistics):
    inputs = inputs_of(results, statistics, tmp_path / "cross.csv")
    texts = []
    for table in cross_tables().values():
        files = [tmp_path / f"{table.name}.{form}" for form in ("csv", "md", "tex")]
        make_table(table, inputs, *files)
        texts.append(files[1].read_text())
        assert "SIMULATED data" in files[1].read_text().splitlines()[0] and "SIMULATED" in files[2].read_text()
    drawn = []
    for figure in cross_figures().values():
        files = [tmp_path / f"figure.{form}" for form in ("png", "pdf", "csv")]
        make_figure(figure, inputs, *files)
        assert pd.read_csv(files[2]).simulated.all()
        drawn.append((figure, files[0]))
    write_page(inputs.label, [tmp_path / f"{name}.md" for name in cross_tables()], drawn, tmp_path / "report.md")
    page = (tmp_path / "report.md").read_text()
    assert all(text.strip() in page for text in texts) and page.startswith("# Beyond one dataset (SIMULATED data")
    matrix, audit = texts
    assert "AdaBN (transductive)" in matrix
    assert f"simulated: {LABELS[HERE].warning}" in " ".join(matrix.split())
    assert "4, too few [" in matrix and "Nothing is concluded from fewer than 10 subjects" in " ".join(matrix.split())
    assert "eeg1: EEG Fpz-Cz in training, EEG F4-M1 here" in " ".join(matrix.split())
    assert "without finetuned_5: of 2 people too few are left" in audit
    assert "not tested: epochs of another length" in audit and "SC subject 00: SC4001, SC4002" in audit
    assert "SC4999" in audit


def test_nothing_tested_is_said(tmp_path, results):
    empty = cross_statistics([], [])
    inputs = inputs_of(results, empty, tmp_path / "cross.csv")
    table, figure = cross_tables()["cross_matrix"], cross_figures()["cross_matrix"]
    make_table(table, inputs, *(tmp_path / f"matrix.{form}" for form in ("csv", "md", "tex")))
    assert "No network was tested on another dataset" in (tmp_path / "matrix.md").read_text()
    make_figure(figure, inputs, *(tmp_path / f"matrix.{form}" for form in ("png", "pdf", "csv")))


def test_a_dataset_is_named_with_the_beginning_of_its_warning():
    assert marked(HERE, LABELS) == "simulated (SIMULATED data)" and marked(THERE, LABELS) == THERE
    assert marked("all others", LABELS) == "all others"
    joint = joint_label(LABELS)
    assert joint.simulated and joint.warning == LABELS[HERE].warning and joint.dataset == "cross"


def test_a_change_over_fewer_people_than_were_tested_says_where_they_are_too_few():
    row = pd.Series({"accuracy_change": -3.0, "accuracy_change_low": -5.0, "accuracy_change_high": -1.0})
    assert change(pd.concat([row, pd.Series({"n_subjects": 20, "n_shared": 9})])) == "-3.0 [-5.0, -1.0], too few"
    assert change(pd.concat([row, pd.Series({"n_subjects": 20, "n_shared": 10})])) == "-3.0 [-5.0, -1.0]"

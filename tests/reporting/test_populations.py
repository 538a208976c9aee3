"""Tables of who people are: night, age and sex."""

import numpy as np
import pandas as pd
import pytest
from fake_results import FakeResults, predictions_of

from sleepbench.reporting.rendering import make_table
from sleepbench.reporting.statistics.subjects import ARTEFACT as STATISTICS
from sleepbench.reporting.tables import night_order, people_model


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Twelve people with two nights each."""
    return FakeResults(tmp_path_factory.mktemp("results"), n_folds=2, nights_per_fold=12)


def rendered(artefact, inputs, directory):
    files = [directory / f"table.{form}" for form in ("csv", "md", "tex")]
    make_table(artefact, inputs, *files)
    return " ".join(files[1].read_text().split())


def test_nights_are_scored_apart_and_compared_within_people(results, tmp_path):
    inputs = results.inputs(night_order.ARTEFACT)
    table = night_order.build(inputs)
    clean = results.read_runs().query("protocol == 'clean'")
    whole = pd.concat([predictions_of(run) for run in clean.itertuples()])
    for row in table.itertuples():
        mine = whole[whole.night == row.night]
        assert row.accuracy == pytest.approx(100 * (mine.stage == mine.predicted).mean())
    assert table.night.tolist() == [1, 2] and set(table.protocol) == {"clean"}
    first, second = table.accuracy
    assert table.accuracy_change[1] == pytest.approx(second - first) and np.isnan(table.accuracy_change[0])
    assert table.n_both[1] == 12
    text = rendered(night_order.ARTEFACT, inputs, tmp_path)
    assert "change over the 12 subjects with both nights" in text and "(SIMULATED data" in text


def test_people_with_one_night_have_no_order(tmp_path):
    results = FakeResults(tmp_path / "one", nights_per_fold=2)
    for position, run in enumerate(results.read_runs().itertuples()):
        results.rewrite(position, predictions_of(run).assign(night=1))
    text = rendered(night_order.ARTEFACT, results.inputs(night_order.ARTEFACT), tmp_path)
    assert "Everybody has one night" in text


def test_effects_are_in_points_with_their_intervals(results, tmp_path):
    subjects = STATISTICS.build(results.inputs(STATISTICS))["subjects"]
    path = tmp_path / "subjects.csv"
    subjects.to_csv(path, index=False)
    inputs = results.inputs(people_model.ARTEFACT, {"statistics/subjects": path})
    table = people_model.build(inputs)
    assert len(table) == 2 and (table.n_subjects >= 11).all()
    row = table[table.protocol == "clean"].iloc[0]
    assert row.age_low < row.age < row.age_high and row.sex_low < row.sex < row.sex_high
    text = rendered(people_model.ARTEFACT, inputs, tmp_path)
    assert "p of age" in text and "older people differ in health and sleep as well" in text


def test_few_people_have_no_effects_and_the_cells_say_so(tmp_path):
    results = FakeResults(tmp_path / "few")
    path = tmp_path / "subjects.csv"
    STATISTICS.build(results.inputs(STATISTICS))["subjects"].to_csv(path, index=False)
    inputs = results.inputs(people_model.ARTEFACT, {"statistics/subjects": path})
    assert people_model.build(inputs)[["age", "sex"]].isna().all(axis=None)
    text = rendered(people_model.ARTEFACT, inputs, tmp_path)
    assert "2, too few" in text and "nothing is concluded from fewer than 10" in text

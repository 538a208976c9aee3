import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sleepbench.evaluation.people_model import people_model


def people(n=40, age=-0.002, sex=0.03, noise=0.02, seed=0):
    """Subjects whose accuracy falls by `age` a year, and is higher by `sex` in men."""
    generator = np.random.default_rng(seed)
    ages, men = generator.integers(25, 90, n), np.arange(n) % 2
    accuracy = 0.9 + age * ages + sex * men + noise * (1 + men) * generator.normal(size=n)
    return pd.DataFrame({"accuracy": accuracy, "age": ages, "sex": np.where(men, "M", "F")})


def test_estimates_and_intervals_are_those_of_the_formula():
    subjects = people()
    x = np.column_stack([subjects.age / 10, (subjects.sex == "M").astype(float), np.ones(len(subjects))])
    bread = np.linalg.inv(x.T @ x)
    accuracy = subjects.accuracy.to_numpy()
    beta = bread @ x.T @ accuracy
    left = accuracy - x @ beta
    leverage = np.einsum("ij,jk,ik->i", x, bread, x)
    covariance = bread @ (x.T * (left / (1 - leverage)) ** 2) @ x @ bread  # HC3, MacKinnon and White 1985
    half = stats.t.ppf(0.975, len(subjects) - 3) * np.sqrt(np.diag(covariance))
    found = people_model(subjects)
    for i, name in enumerate(("age", "sex")):
        effect = found.effects[name]
        assert (effect.estimate, effect.low, effect.high) == pytest.approx(
            (beta[i], beta[i] - half[i], beta[i] + half[i])
        )
    assert found.r_squared == pytest.approx(1 - left.var() / accuracy.var()) and found.n_subjects == 40
    assert found.lacking == {}


def test_intervals_cover_the_truth_as_often_as_they_say():
    effects = [people_model(people(20, seed=seed)).effects for seed in range(60)]
    covered = np.mean([one["sex"].low <= 0.03 <= one["sex"].high for one in effects])
    assert 0.88 <= covered <= 0.99
    assert np.mean([one["age"].estimate for one in effects]) == pytest.approx(-0.02, abs=0.001)


def test_nothing_is_concluded_from_fewer_than_ten():
    found = people_model(people(9))
    assert not found.effects and found.n_subjects == 9 and np.isnan(found.r_squared)
    assert "nothing is concluded from fewer than 10" in found.lacking["age"]
    assert people_model(people(10)).effects


@pytest.mark.parametrize(
    ("change", "lacking", "told"),
    [
        ({"sex": "F"}, {"sex": "everybody is of one sex"}, ["age"]),
        ({"age": 40}, {"age": "everybody is of one age"}, ["sex"]),
        ({"sex": None}, {"sex": "the sex of nobody is known"}, ["age"]),
        ({"sex": None, "age": None}, {"sex": "the sex of nobody is known", "age": "the age of nobody is known"}, []),
    ],
)
def test_what_cannot_be_told_is_said_and_the_rest_is_fitted(change, lacking, told):
    found = people_model(people().assign(**change))
    assert found.lacking == lacking and [*found.effects] == told


def test_one_man_tells_nothing_of_men_and_age_that_goes_with_sex_nothing_of_either():
    alone = people().assign(sex=["M", *"F" * 39])
    assert people_model(alone).lacking == {"sex": "of one sex there is 1 subject alone"}
    subjects = people()
    together = people_model(subjects.assign(age=np.where(subjects.sex == "M", 60, 30)))
    assert not together.effects and "go together" in together.lacking["age"] == together.lacking["sex"]


def test_subjects_of_unknown_age_are_left_out():
    subjects = people()
    subjects.loc[:4, "age"] = np.nan
    assert people_model(subjects).n_subjects == 35

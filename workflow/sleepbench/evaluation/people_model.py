"""How accuracy goes with age and sex: a linear model over subjects, with its uncertainty.

accuracy = intercept + a * age + b * (man), of each subject's own accuracy by ordinary least squares. A subject's
accuracy is a mean of a thousand and more epochs, and far from 0 and 1, so that a line in points is what it says; a
binomial model of the epochs would take those of one night for independent. Subjects differ in spread, and there are
few: the standard errors are robust (HC3: Long and Ervin, The American Statistician 2000), the intervals by the t
distribution.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels.regression.linear_model import OLS

from sleepbench.evaluation.bootstrap import LEVEL

LEAST_SUBJECTS = 10
"""With fewer nothing is fitted."""
LEAST_OF_A_SEX = 2
"""Of one alone there is nothing to tell a sex from a person by."""
DECADE = 10


@dataclass(frozen=True)
class Effect:
    """A difference in accuracy in 0..1 with its 95 % interval and p value."""

    estimate: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class PeopleModel:
    """What was fitted.

    effects : by "age" (per ten years) and "sex" (men less women); fewer where one cannot be told
    lacking : why one is not there
    r_squared : the share of the variance between subjects that goes with what was fitted; NaN where nothing was
    """

    n_subjects: int
    effects: Mapping[str, Effect]
    lacking: Mapping[str, str]
    r_squared: float


def people_model(subjects: pd.DataFrame) -> PeopleModel:
    """Fit the model to subjects with the columns accuracy (0..1), age (years) and sex ("F" or "M").

    Subjects of unknown age count where the sex alone is fitted, and the other way round.
    """
    columns = {
        "age": subjects.age.astype(float) / DECADE,
        "sex": subjects.sex.map({"F": 0.0, "M": 1.0}).astype(float),
    }
    lacking = {name: why for name, values in columns.items() if (why := _cannot_tell(name, values))}
    used = pd.DataFrame({name: values for name, values in columns.items() if name not in lacking}, subjects.index)
    known = used.notna().all(axis=1) & subjects.accuracy.notna()
    n = int(known.sum())
    if n < LEAST_SUBJECTS:
        few = f"{n} subjects are known, nothing is concluded from fewer than {LEAST_SUBJECTS}"
        return PeopleModel(n, {}, {name: lacking.get(name, few) for name in columns}, np.nan)
    if used.empty:
        return PeopleModel(n, {}, lacking, np.nan)
    design = used[known].assign(intercept=1.0)
    if np.linalg.matrix_rank(design) < design.shape[1]:
        together = "age and sex go together, so that neither can be told from the other"
        return PeopleModel(n, {}, {name: lacking.get(name, together) for name in columns}, np.nan)
    fitted = OLS(subjects.accuracy[known].astype(float), design).fit(cov_type="HC3", use_t=True)
    bounds = fitted.conf_int(alpha=1 - LEVEL)
    effects = {
        name: Effect(float(fitted.params[name]), *map(float, bounds.loc[name]), float(fitted.pvalues[name]))
        for name in used
    }
    return PeopleModel(n, effects, lacking, float(fitted.rsquared))


def _cannot_tell(name: str, values: pd.Series) -> str:
    """Why nothing can be said about a column; empty where something can."""
    known = values.dropna()
    if known.empty:
        return f"the {name} of nobody is known"
    if known.nunique() < 2:
        return f"everybody is of one {name}"
    if name == "sex" and (fewest := int(known.value_counts().min())) < LEAST_OF_A_SEX:
        return f"of one sex there is {fewest} subject alone"
    return ""

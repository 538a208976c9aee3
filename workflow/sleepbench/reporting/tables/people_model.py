"""Table: how accuracy goes with age and sex over subjects."""

import pandas as pd

from sleepbench.evaluation.people_model import Effect, people_model
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.cells import MODEL, PROTOCOL, SOURCE_IS, interval, trained_as
from sleepbench.reporting.few import FEW_IS, SUBJECTS
from sleepbench.reporting.reading import KEY, read_statistics
from sleepbench.reporting.rendering import DASH, Column, number

NONE = Effect(*[float("nan")] * 4)
PARTS = ("low", "high", "p")


def build(inputs: Inputs) -> pd.DataFrame:
    """One row per protocol and contender; effects in points of accuracy."""
    subjects = read_statistics(inputs, "subjects", (*KEY, "subject", "age", "sex", "accuracy"))
    rows = []
    for key, mine in subjects.groupby(list(KEY), sort=False):
        found = people_model(mine)
        row = dict(zip(KEY, key, strict=True)) | {"n_subjects": found.n_subjects, "r_squared": found.r_squared}
        for name in ("age", "sex"):
            effect = found.effects.get(name, NONE)
            row |= {name: 100 * effect.estimate, f"{name}_low": 100 * effect.low, f"{name}_high": 100 * effect.high}
            row |= {f"{name}_p": effect.p, f"{name}_lacking": found.lacking.get(name)}
        rows.append(row | {"run_keys": " ".join(dict.fromkeys(" ".join(mine.run_keys).split()))})
    effects = [f"{name}{end}" for name in ("age", "sex") for end in ("", *(f"_{part}" for part in PARTS), "_lacking")]
    return pd.DataFrame(rows, columns=[*KEY, "n_subjects", *effects, "r_squared", "run_keys"])


def effect_of(heading: str, name: str) -> Column:
    """A column of an effect with its interval; a dash where there is none, whose reason is in the note."""
    cell = interval("accuracy", name, "+")
    return Column(heading, lambda row: DASH if pd.isna(row[name]) else cell(row), sort_by=name)


def note(row: pd.Series) -> str:
    """Input and recipe, p values, and why something is not there."""
    said = [trained_as(row)]
    for name in ("age", "sex"):
        if not pd.isna(row[f"{name}_p"]):
            p = row[f"{name}_p"]
            said.append(f"p of {name} {'< .001' if p < 0.001 else f'{p:.3f}'}")
        elif isinstance(row[f"{name}_lacking"], str):
            said.append(f"nothing is said about {name}: {row[f'{name}_lacking']}")
    return "; ".join(said)


ARTEFACT = Table(
    name="people_model",
    place=114,
    heading="Accuracy by age and sex, over subjects",
    caption=(
        "Each subject's own accuracy by ordinary least squares on age (that of the first night) and sex together: "
        "points of accuracy for ten years more, and of men less women, with 95 % intervals by robust standard errors "
        "(HC3) and the t distribution. R2: the share of the variance between subjects that goes with both. What goes "
        "with age is not for that reason of age: older people differ in health and sleep as well. The p values in the "
        f"notes are not corrected for the number of rows. {FEW_IS} {SOURCE_IS}"
    ),
    inputs=("statistics/subjects",),
    build=build,
    columns=(
        MODEL,
        PROTOCOL,
        SUBJECTS,
        effect_of("Ten years more", "age"),
        effect_of("Men less women", "sex"),
        Column("R2", number("r_squared", ".2f"), sort_by="r_squared"),
    ),
    note=note,
    row_keys=KEY,
)

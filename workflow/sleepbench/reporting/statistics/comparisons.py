"""Models compared pairwise over subjects, among those of one protocol, input and recipe."""

from collections.abc import Mapping, Sequence

import pandas as pd

from sleepbench.evaluation.bootstrap import paired_comparisons
from sleepbench.reporting.reading import COMPARED
from sleepbench.reporting.statistics.contender import ContenderStatistics

OWN = "own"
"""The recipes of the models' own papers, all of them together."""

COLUMNS = (
    *("protocol", "input", "recipe", "metric", "first", "second", "n_subjects", "n_undefined", "n_zero"),
    *("median_difference", "statistic", "p", "p_holm", "smallest_p", "rank_biserial"),
    *("first_recipe", "second_recipe", "run_keys"),
)
Family = tuple[str, str, str]
"""Protocol, input and recipe of models that are compared."""


def comparisons_table(results: Sequence[ContenderStatistics], own_recipes: Mapping[str, str]) -> pd.DataFrame:
    """Models compared pairwise over subjects.

    There are no rows where each protocol, input and recipe has one model only. Models that differ in input or recipe
    too are not compared: nobody could say what a difference is due to. But models that are each trained by the recipe
    of its own paper (`own_recipes`, by title) are: as published. Holm's correction is over the pairs of one protocol,
    input, recipe and metric.
    """
    tables = []
    for (protocol, input, recipe), models in compared_together(results, own_recipes).items():
        for metric in COMPARED if len(models) > 1 else ():
            pairs = paired_comparisons({title: model.per_subject[metric] for title, model in models.items()}, metric)
            keys = {title: model.run_keys() for title, model in models.items()}
            recipes = {title: model.key[3] for title, model in models.items()}
            named = pairs.assign(protocol=protocol, input=input, recipe=recipe)
            named["first_recipe"], named["second_recipe"] = pairs["first"].map(recipes), pairs.second.map(recipes)
            named["run_keys"] = pairs["first"].map(keys) + " " + pairs.second.map(keys)
            tables.append(named[list(COLUMNS)])
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(COLUMNS))


def compared_together(
    results: Sequence[ContenderStatistics], own_recipes: Mapping[str, str]
) -> dict[Family, dict[str, ContenderStatistics]]:
    """The models of each protocol, input and recipe, by their titles; OWN is a recipe here.

    Left out is what another one holds: the models of a recipe where all of them are trained by their own and others
    too, and those of OWN where all have one recipe.
    """
    families: dict[Family, dict[str, ContenderStatistics]] = {}
    for result in results:
        protocol, title, input, recipe = result.key
        families.setdefault((protocol, input, recipe), {})[title] = result
        if own_recipes.get(title) == recipe:
            families.setdefault((protocol, input, OWN), {})[title] = result
    members = {family: {model.key for model in models.values()} for family, models in families.items()}
    held = {
        one
        for one in families
        for other in families
        if members[one] < members[other] or (members[one] == members[other] and one[2] == OWN != other[2])
    }
    return {family: models for family, models in families.items() if family not in held}

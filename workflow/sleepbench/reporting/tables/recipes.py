"""Table: how the authors trained their networks, setting by setting, and how they are trained here.

What the authors have is in workflow/resources/published_recipes.csv; what is here, where it is a key of a recipe, is
taken from the configuration.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation.published import read_published_recipes
from sleepbench.models.registry import model_names
from sleepbench.reporting.artefacts import Inputs, Table
from sleepbench.reporting.rendering import Column, text

COLUMNS = ("recipe", "setting", "theirs", "ours", "same", "why", "source")
SAME_IN_EFFECT = "the same:"
"""What `why` begins with where two values are one setting: of a sum here, say, and of a mean there."""
NOT_KNOWN = "not known"
PRETRAIN = "pretrain"
CHANGED = "changed in this configuration"
"""Why a setting is another one here where the published recipes do not say it."""


def recipe_rows(published: pd.DataFrame, recipes: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """One row per setting of a published recipe, as the authors have it and as it is here.

    Parameters
    ----------
    published : as `read_published_recipes` gives it
    recipes : by name, all settings of the configured recipes

    Returns
    -------
    columns COLUMNS, all text: `same` is "yes", "in effect" or "no", none where either is not known. BenchmarkError for
    a row of something that is neither a recipe nor a model.
    """
    rows = []
    for row in published.to_dict("records"):
        name, setting = row["recipe"], row["setting"]
        if name not in recipes and name not in model_names():
            raise BenchmarkError(
                f"published recipes: {name} is neither a recipe nor a model; correct the row {setting}"
            )
        ours = row["ours"] or _ours(recipes, name, setting)
        same = _same(row["theirs"], ours, row["why"])
        why = row["why"] or (CHANGED if same == "no" else None)
        rows.append({**row, "ours": ours, "same": same, "why": why})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _ours(recipes: Mapping[str, Mapping[str, Any]], name: str, setting: str) -> str | None:
    """A setting of a recipe as text; None where there is no such recipe or setting."""
    settings = recipes.get(name, {})
    if setting not in settings:
        return None
    return _first_phase(settings[PRETRAIN], recipes) if setting == PRETRAIN else said(settings[setting])


def _first_phase(settings: Mapping[str, Any] | None, recipes: Mapping[str, Mapping[str, Any]]) -> str:
    """A first phase by the recipe that it follows, or by all of its settings where it follows none."""
    if settings is None:
        return said(None)
    how = {key: value for key, value in settings.items() if key not in ("model", "submodule")}
    followed = [name for name, recipe in recipes.items() if how == {key: recipe.get(key) for key in how}]
    by = f"recipe {followed[0]}" if followed else f"{settings['model']} ({said(how)})"
    return f"{by}, then its {settings['submodule']}"


def said(value: Any) -> str:
    """A setting as text, as published_recipes.csv writes it: yes, none, 0.0001, 1e-05, "1, 1.5", "10: 0.0001"."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{value:g}"
    if value is None or value in ([], {}):
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {said(one)}" for key, one in value.items())
    if isinstance(value, list | tuple):
        pairs = all(isinstance(one, list | tuple) for one in value)
        return ", ".join(": ".join(map(said, one)) if pairs else said(one) for one in value)
    return str(value)


def _same(theirs: str, ours: str | None, why: str) -> str | None:
    if ours is None or theirs.startswith(NOT_KNOWN):
        return None
    if theirs == ours:
        return "yes"
    return "in effect" if why.startswith(SAME_IN_EFFECT) else "no"


def build(inputs: Inputs) -> pd.DataFrame:
    """The rows of the models that are run."""
    published = read_published_recipes(inputs.path("published_recipes"))
    mine = published[published.recipe.isin(inputs.settings["recipes_of_models"])]
    return recipe_rows(mine, inputs.settings["recipes"])


def note(row: pd.Series) -> str:
    """Why a setting is another one here, and where theirs is from."""
    return row["source"] if pd.isna(row["why"]) else f"{row['why']}; {row['source']}"


ARTEFACT = Table(
    name="recipes",
    place=65,
    heading="How the authors train, and how it is done here",
    caption=(
        "Each setting of the published recipe of every model that was run, as its authors' program has it (theirs) and "
        "as the recipe of that name has it here (ours); a model without a published recipe has a row that says what is "
        "known. Same: in effect, where a value differs because something else does, such as a mean in place of a sum; "
        "the notes say why it is not the same, and where theirs is from. Where the dataset caps the training epochs, "
        "the main table says how many there were."
    ),
    inputs=("published_recipes",),
    settings=("recipes", "recipes_of_models"),
    build=build,
    columns=(
        Column("Recipe", text("recipe"), "left"),
        Column("Setting", text("setting"), "left"),
        Column("Theirs", text("theirs"), "left"),
        Column("Ours", text("ours"), "left"),
        Column("Same", text("same"), "left"),
    ),
    note=note,
)

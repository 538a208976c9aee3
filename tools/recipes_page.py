"""The page of recipes, docs/recipes.md: how the authors trained their networks, and how they are trained here.

python tools/recipes_page.py writes it, from workflow/resources/published_recipes.csv and the configured recipes.
"""

import textwrap
from pathlib import Path

import pandas as pd

from sleepbench.config.load import load
from sleepbench.core.files import write_text
from sleepbench.evaluation.published import read_published_recipes
from sleepbench.models.registry import describe, model_names
from sleepbench.reporting.rendering import DASH
from sleepbench.reporting.tables.recipes import recipe_rows

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "recipes.md"
PUBLISHED = ROOT / "workflow" / "resources" / "published_recipes.csv"
WIDTH = 120
OPENING = """
Every setting of every recipe that is known of a network's authors: as their program has it, as the recipe of that name
in [`recipes.yaml`](../workflow/definitions/recipes.yaml) has it, and why where the two differ. The authors' side is
[`published_recipes.csv`](../workflow/resources/published_recipes.csv), ours is the configuration itself; a run's report
has the same table of the models that it ran. A key of a recipe is printed as `code`, and `Recipe` in
`workflow/sleepbench/config/recipe.py` says what it means. What the networks compute is on the page of
[the rivals](rivals.md).
"""


def page() -> str:
    """The page, as Markdown."""
    recipes = {name: recipe.model_dump(mode="json") for name, recipe in load(ROOT / "config.yaml").recipes.items()}
    table = recipe_rows(read_published_recipes(PUBLISHED), recipes).fillna("")
    sections = [part for name, rows in table.groupby("recipe", sort=False) for part in section(name, rows, recipes)]
    made = "<!-- Made by `python tools/recipes_page.py`; edit workflow/resources/published_recipes.csv instead. -->"
    return "\n\n".join(["# Recipes, theirs and ours", made, filled(OPENING), *sections]) + "\n"


def section(name: str, rows: pd.DataFrame, recipes: dict) -> list[str]:
    """Heading, table and sources of a recipe."""
    titles = [describe(model).title for model in model_names() if name in (model, describe(model).published_recipe)]
    lines = ["| setting | theirs | ours | why | source |", "|---|---|---|---|---|"]
    sources = list(dict.fromkeys(rows.source))
    for row in rows.itertuples():
        setting = f"`{row.setting}`" if row.setting in recipes["common"] else row.setting
        ours = row.ours or DASH
        cells = (setting, row.theirs, ours if ours != row.theirs else "same", row.why, sources.index(row.source) + 1)
        lines.append("| " + " | ".join(str(cell).replace("|", r"\|") for cell in cells) + " |")
    numbered = "\n".join(f"{number}. {source}" for number, source in enumerate(sources, start=1))
    return [f"## {name}", filled(f"Of {'; '.join(titles)}."), "\n".join(lines), numbered]


def filled(text: str) -> str:
    """Running text, wrapped."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    write_text(PAGE, page())

"""The table of recipes: theirs, ours, and why they differ; every setting of a published recipe has its row."""

import pandas as pd
import pytest
from fake_results import LABELS, RESOURCES, FakeResults

from sleepbench.config.load import load
from sleepbench.config.recipe import Recipe
from sleepbench.core.errors import BenchmarkError
from sleepbench.evaluation.published import read_published_recipes
from sleepbench.models.registry import describe, model_names
from sleepbench.reporting.artefacts import Inputs
from sleepbench.reporting.rendering import make_table, read_cells
from sleepbench.reporting.tables.recipes import ARTEFACT, CHANGED, SAME_IN_EFFECT, recipe_rows, said

PUBLISHED = RESOURCES / "published_recipes.csv"
ROWS = read_published_recipes(PUBLISHED)
RECIPES = load().recipes
SETTINGS = {name: recipe.model_dump(mode="json") for name, recipe in RECIPES.items()}
OWN = sorted({describe(name).published_recipe for name in model_names()} - {None})
WITHOUT_RECIPE = (
    *("micro_sleepnet", "light_sleepnet", "sleepnet_lite", "nano_sleepnet", "nano_sleepnet_tcn"),
    *("nano_sleepnet_tcn_causal", "chambon2018", "eegnet", "sleep_satelight_ft", "sleep_satelight_ftc"),
)
SOURCE = "doi:10.1000/182"


def rows(*added: dict) -> pd.DataFrame:
    blank = {"recipe": "r", "setting": "batch_size", "theirs": "32", "ours": "", "why": "", "source": SOURCE}
    return pd.DataFrame([blank | one for one in added])


@pytest.mark.parametrize("name", OWN)
def test_every_setting_of_a_published_recipe_has_its_row(name):
    missing = set(RECIPES[name].settings()) - set(ROWS.setting[ROWS.recipe == name])
    assert not missing, f"{PUBLISHED} has no row of {name} for {', '.join(sorted(missing))}"


@pytest.mark.parametrize("name", WITHOUT_RECIPE)
def test_a_model_without_recipe_has_a_row_that_says_what_is_known(name):
    (row,) = ROWS[(ROWS.recipe == name) & (ROWS.setting == "whole recipe")].itertuples()
    assert row.ours and len(row.why) > 40


def test_every_row_is_the_same_or_says_why():
    table = recipe_rows(ROWS, SETTINGS)
    assert set(table.same.dropna()) == {"yes", "no", "in effect"}
    unexplained = table[table.why == CHANGED]
    assert unexplained.empty, f"{PUBLISHED} does not say why: {unexplained[['recipe', 'setting']].to_numpy().tolist()}"
    assert (table.why[table.same == "in effect"].str.startswith(SAME_IN_EFFECT)).all()


def test_what_is_ours_is_written_only_where_no_recipe_says_it():
    written, keys = ROWS.ours != "", ROWS.setting.isin(Recipe.model_fields)
    assert (written != keys).all(), ROWS[written == keys][["recipe", "setting"]].to_numpy().tolist()


def test_texts_fit_a_table():
    table = recipe_rows(ROWS, SETTINGS)
    assert table.theirs.str.len().max() <= 52 and table.ours.dropna().str.len().max() <= 52


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[(True, "yes"), (False, "no"), (None, "none"), ([], "none"), ({}, "none"), ("adam", "adam"), (0.0, "0")],
        *[
            (1e-4, "0.0001"),
            (5e-6, "5e-06"),
            (12000, "12000"),
            ([1, 1.5, 1], "1, 1.5, 1"),
            ([[10, 1e-4]], "10: 0.0001"),
        ],
        ({"feature_extractor": 1e-6}, "feature_extractor: 1e-06"),
    ],
)
def test_settings_as_text(value, text):
    assert said(value) == text


def test_ours_is_taken_from_the_recipe():
    settings = {"r": {"batch_size": 32, "epsilon": 1e-7}}
    table = recipe_rows(rows({}, {"setting": "epsilon", "theirs": "1e-8", "why": "the same: w"}), settings)
    assert table[["ours", "same"]].to_numpy().tolist() == [["32", "yes"], ["1e-07", "in effect"]]
    table = recipe_rows(rows({"why": "a larger one"}), {"r": {"batch_size": 64}})
    assert table[["ours", "same", "why"]].to_numpy().tolist() == [["64", "no", "a larger one"]]


def test_a_first_phase_is_named_by_the_recipe_that_it_follows():
    first = {"learning_rate": 1e-4, "batch_size": 100}
    settings = {
        "r": {"batch_size": 10, "pretrain": {**first, "model": "m", "submodule": "s"}},
        "own": {**first, "patience": None},
    }
    row = {"setting": "pretrain", "theirs": "recipe own, then its s"}
    assert recipe_rows(rows(row), settings).same[0] == "yes"
    settings["own"]["batch_size"] = 99
    table = recipe_rows(rows(row), settings)
    assert table[["ours", "same", "why"]].to_numpy().tolist() == [
        ["m (learning_rate: 0.0001, batch_size: 100), then its s", "no", CHANGED]
    ]


def test_a_setting_that_the_user_changed_says_so_and_an_unknown_name_is_an_error():
    (row,) = recipe_rows(rows({}), {"r": {"batch_size": 64}}).itertuples()
    assert (row.ours, row.same, row.why) == ("64", "no", CHANGED)
    with pytest.raises(BenchmarkError, match="r is neither a recipe nor a model"):
        recipe_rows(rows({}), {})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"theirs": ""}, "theirs is empty"),
        ({"setting": ""}, "setting is empty"),
        ({"recipe": ""}, "recipe is empty"),
        ({"source": "a paper"}, "source is 'a paper', expected one that can be followed"),
        ({"theirs": "33"}, "batch_size is there twice; leave one"),
    ],
)
def test_a_wrong_row_of_the_file_is_named(tmp_path, changed, message):
    path = tmp_path / "recipes.csv"
    rows({}, changed).to_csv(path, index=False)
    with pytest.raises(BenchmarkError) as error:
        read_published_recipes(path)
    assert f"{path}, line 3 (" in str(error.value) and message in str(error.value)


@pytest.mark.parametrize("models", [[], ["ulw"], [*OWN, *WITHOUT_RECIPE]])
def test_the_table_of_the_models_that_are_run_is_written_and_read_back(models, tmp_path):
    csv, markdown, latex = (tmp_path / f"recipes.{form}" for form in ("csv", "md", "tex"))
    settings = {"recipes": SETTINGS, "recipes_of_models": models}
    make_table(ARTEFACT, Inputs({"published_recipes": PUBLISHED}, settings, LABELS["simulated"]), csv, markdown, latex)
    cells = read_cells(ARTEFACT, csv)
    assert list(dict.fromkeys(row[0] for row in cells.texts)) == [n for n in dict.fromkeys(ROWS.recipe) if n in models]
    assert latex.read_text().isascii() and "nan" not in markdown.read_text().lower().replace("nano", "")
    assert max(map(len, markdown.read_text().splitlines())) <= 190
    if "ulw" in models:
        at = next(i for i, row in enumerate(cells.texts) if row[:2] == ["ulw", "batch_size"])
        assert cells.texts[at] == ["ulw", "batch_size", "32", "32", "yes"]
        assert "ULW-SLEEPNET at ff5839b" in cells.notes[cells.note_numbers[at] - 1]


def test_a_run_has_the_recipes_of_its_models(tmp_path):
    results = FakeResults(tmp_path)
    table = ARTEFACT.build(results.inputs(ARTEFACT, recipes=SETTINGS, recipes_of_models=["ulw", "eegnet"]))
    assert list(dict.fromkeys(table.recipe)) == ["ulw", "eegnet"]

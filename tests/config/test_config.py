import copy
import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from sleepbench.config.load import (
    SCHEMA,
    data_directory,
    dataset_of,
    load,
    models_of,
    networks_of,
    not_trained_sentences,
    plan,
    recipe_settings,
    seeds_of,
    simulation_ids,
    validate,
)
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_json
from sleepbench.models import describe, model_names

CONFIG = yaml.safe_load((Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8"))
RIVALS = CONFIG["datasets"]["simulated"].pop("models")


SIMULATION = CONFIG["datasets"]["simulated"]["simulation"]


def changed(path: str, value: object) -> dict:
    """The project's own config with one key, given as a dotted path, set."""
    config = copy.deepcopy(CONFIG)
    *parents, last = path.split(".")
    section = config
    for key in parents:
        section = section[key]
    section[last] = value
    return config


def rehearsal() -> dict:
    """A config whose files under the real names are simulated."""
    config = changed("data.simulated", True)
    config["data"]["table"] = "results/rehearsal/recordings.csv"
    return config


def test_own_config_is_valid_and_unchanged_by_validation():
    config = copy.deepcopy(CONFIG)
    validate(config)
    assert config == CONFIG


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("protocls", {}, r"top level: unknown key 'protocls'; the nearest known name is 'protocols'"),
        ("run.model", ["x"], r"run: unknown key 'model'; the nearest known name is 'models'"),
        ("protocols.clean.windw", "x", r"protocols\.clean: unknown key 'windw'; .* 'window'"),
        ("run.datasets", ["sleep-edf-2O"], r"run\.datasets: unknown name 'sleep-edf-2O'; .* 'sleep-edf-20'"),
        ("run.protocols", ["cleen"], r"run\.protocols: unknown name 'cleen'; .* 'clean'"),
        ("run.models", ["ulw_sleepnett"], r"run\.models: unknown name 'ulw_sleepnett'; .* 'ulw_sleepnet'"),
        ("run.channels", ["fore"], r"run\.channels: unknown name 'fore'"),
        (
            "run.channels_only_for",
            {"tow": ["u_sleep"]},
            r"run\.channels_only_for: unknown name 'tow'; .* 'two'",
        ),
        (
            "run.channels_only_for",
            {"two": ["u_slep"]},
            r"run\.channels_only_for\.two: unknown name 'u_slep'; .* 'u_sleep'",
        ),
        ("run.channels_only_for", {"two": []}, r"run\.channels_only_for\.two"),
        ("run.channels_only_four", {}, r"run: unknown key 'channels_only_four'; .* 'channels_only_for'"),
        ("run.recipes", ["relesed"], r"run\.recipes: unknown name 'relesed'; .* 'released'"),
        ("run.recipes", ["publishd"], r"run\.recipes: unknown name 'publishd'; .* 'published'"),
        ("run.recipe", "released", r"run: unknown key 'recipe'; the nearest known name is 'recipes'"),
        ("recipes.published", CONFIG["recipes"]["common"], r"recipes\.published: the name stands for"),
        ("channels.four", ["EEG Fpz-C"], r"channels\.four: unknown name 'EEG Fpz-C'; .* 'EEG Fpz-Cz'"),
        ("protocols.clean.folds", {"simulatd": 2}, r"protocols\.clean\.folds: unknown name 'simulatd'"),
        ("protocols.clean.window", "standart", r"protocols\.clean\.window: found 'standart'; .* 'standard'"),
        ("training.threads", "two", r"training\.threads: found 'two', expected a whole number"),
        ("run.seeds", 32, r"run\.seeds: found 32, expected a list"),
        ("recipes.released.learning_rate", "1e-3", r"learning_rate: found '1e-3', expected number"),
        ("protocols.clean.validation_subjects", False, r"protocols\.clean: selection 'best_validation' needs"),
        ("datasets.sleep-edf-20.simulation", None, r"datasets\.sleep-edf-20\.simulation: found None"),
        ("data.base_url", "ftp://x", r"data\.base_url: found 'ftp://x', expected an address that starts with http://"),
        ("training.folds_per_job", 1.0, r"training\.folds_per_job: found 1\.0, expected a whole number"),
        ("training.folds_per_job", "all", r"training\.folds_per_job: found 'all', expected auto or a whole number"),
        ("recipes.released.learning_rate", float("inf"), r"learning_rate: found inf, expected number"),
        ("recipes.released.schedule", "constant", r"recipes\.released: .*first_cycle_steps"),
        ("recipes.common.weight_decay", "1e-4", r"weight_decay: found '1e-4', expected number"),
        ("recipes.common.weight_decay", -1, r"recipes\.common\.weight_decay: -1 is less than"),
        ("recipes.common.clip_norm", "none", r"clip_norm: found 'none', expected number or null"),
        ("recipes.common.class_weights", "balance", r"recipes\.common: .*class_weights is 'balance', expected none"),
        ("recipes.common.class_weights", [1, 2, 3, 4], r"recipes\.common: .*a number above 0 for each of W, N1"),
        ("recipes.common.batch_unit", "sequence", r"batch_unit: found 'sequence'; .* 'sequences'"),
        ("recipes.common.augmentation", ["roll"], r"augmentation\.0: found 'roll'; .* 'roll_10'"),
        ("recipes.common.patience", 0, r"recipes\.common\.patience: 0 is less than"),
        ("recipes.common.label_smoothing", 1, r"recipes\.common\.label_smoothing: 1 is greater than"),
        ("recipes.common.balanced_sampling", "no", r"balanced_sampling: found 'no', expected true or false"),
        ("recipes.common.l2", None, r"recipes\.common\.l2: found None, expected number"),
        ("recipes.attn_sleep.steps", [[10, "x"]], r"steps\.0\.1: found 'x', expected number"),
        ("recipes.attn_sleep.steps", [[10, 1e-4], [5, 1e-5]], r"recipes\.attn_sleep: .*steps is .*ascending"),
        ("recipes.common.schedule", "steps", r"recipes\.common: .*steps is None, expected pairs"),
        ("recipes.deep_sleepnet.learning_rate_of", {"x": 0}, r"learning_rate_of\.x: 0 is less than or equal"),
        ("recipes.deep_sleepnet.pretrain.modl", "x", r"deep_sleepnet\.pretrain: unknown key 'modl'; .* 'model'"),
        ("recipes.deep_sleepnet.pretrain.patience", 5, r"deep_sleepnet\.pretrain: unknown key 'patience'"),
        ("recipes.deep_sleepnet.pretrain.model", "deep_cnn", r"pretrain\.model: unknown name 'deep_cnn'; .*'deep"),
        ("protocols.clean.folds.simulated", 50, r"protocols\.clean\.folds\.simulated: 50 folds by subject of 6"),
        ("datasets.simulated.simulation.single_night_subjects", [9], r"single_night_subjects: \[9\], expected 0 to 5"),
        ("datasets.sleep-edf-20.subjects", 100, r"datasets\.sleep-edf-20\.subjects: 100 is greater than"),
        (
            "datasets.sleep-edf",
            {"simulation": SIMULATION},
            r"datasets\.sleep-edf: simulated data cannot go by the name",
        ),
        ("ladder", ["released", "cleen"], r"ladder: unknown name 'cleen'; .* 'clean'"),
        ("datasets.sleep-edf-20.seeds", {"cleen": [1]}, r"seeds: unknown name 'cleen'; .* 'clean'"),
        ("postprocessing.hm", [], r"postprocessing: unknown key 'hm'; .* 'hmm'"),
        ("postprocessing.hmm", True, r"postprocessing\.hmm: found True, expected a list"),
        ("postprocessing.hmm", ["ulw_sleepnett"], r"postprocessing\.hmm: unknown name .* 'ulw_sleepnet'"),
        ("postprocessing.protocols", ["cleen"], r"postprocessing\.protocols: unknown name 'cleen'; .* 'clean'"),
        ("postprocessing.protocols", [], r"postprocessing\.protocols"),
        ("data.simulated", "yes", r"data\.simulated: found 'yes', expected true or false"),
        (
            "datasets.simulated-20.simulation.shape",
            "sleep-edf-30",
            r"shape: found 'sleep-edf-30'; .* 'sleep-edf-20'",
        ),
        ("datasets.simulated-20.simulation.subjects", 3, r"give either 'shape', or both 'subjects' and"),
        (
            "datasets.simulated.simulation",
            {"subjects": 3, "psg_hours": 2, "seed": 1},
            r"give either 'shape', or both 'subjects' and",
        ),
        ("datasets.try-real.only_folds", [0, 2], r"only_folds: \[2\], but the protocol 'trial' has the folds 0 to 1"),
        ("protocols.clean.folds.simulated-20", 21, r"simulated-20: 21 folds by subject of 20"),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest_known_name(path, value, message):
    with pytest.raises(BenchmarkError, match=message):
        validate(changed(path, value))


def test_no_model_need_be_smoothed():
    validate(changed("postprocessing.hmm", []))


def test_missing_key_and_missing_number_of_folds_are_named():
    config = copy.deepcopy(CONFIG)
    del config["tracking"]
    del config["data"]["channels"]
    with pytest.raises(BenchmarkError) as error:
        validate(config)
    assert "top level: the key 'tracking' is missing" in str(error.value)
    assert "data: the key 'channels' is missing" in str(error.value)
    with pytest.raises(
        BenchmarkError, match=r"protocols\.clean\.folds: no number of folds for the dataset 'simulated'"
    ):
        validate(changed("protocols.clean.folds", {"sleep-edf-20": 20}))


def test_dataset_is_either_real_or_simulated():
    both = changed("datasets.simulated.subjects", 3)
    neither = changed("datasets.sleep-edf-20", {"training_epochs": 1})
    for config in (both, neither):
        with pytest.raises(BenchmarkError, match=r"either 'subjects' .* or 'simulation'"):
            validate(config)
    assert dataset_of(CONFIG, "simulated").simulated
    assert dataset_of(CONFIG, "simulated").source == "simulated"
    assert not dataset_of(CONFIG, "sleep-edf-20").simulated
    assert dataset_of(CONFIG, "sleep-edf-20").source == dataset_of(CONFIG, "sleep-edf-78").source == "sleep-edf"


def test_the_official_table_and_simulated_data_exclude_each_other():
    validate(rehearsal())
    for key, value in (("simulated", False), ("table", CONFIG["data"]["table"])):
        config = rehearsal()
        config["data"][key] = value
        with pytest.raises(BenchmarkError, match="a rehearsal has a table of its own and simulated: true"):
            validate(config)


def test_home_is_understood_in_the_data_directory():
    assert data_directory(changed("data.directory", "~/edf")) == Path.home() / "edf"
    assert data_directory(CONFIG) == Path("results/data/sleep-edf/raw")


@pytest.mark.parametrize(
    ("content", "message"), [(None, "not found in .*root of the repository"), ("run: [", "cannot be read as YAML")]
)
def test_config_that_cannot_be_read_is_said(tmp_path, content, message):
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(BenchmarkError, match=message):
        load(tmp_path / "config.yaml")


def test_a_rehearsal_makes_real_names_simulated_and_leaves_their_files_where_they_are():
    assert dataset_of(rehearsal(), "sleep-edf-20").simulated
    assert dataset_of(rehearsal(), "sleep-edf-20").source == "sleep-edf"


def test_shapes_have_the_numbers_of_the_real_datasets():
    by_shape = {name: simulation_ids({"shape": name}) for name in ("demo", "sleep-edf-20", "sleep-edf-78")}
    assert {name: len(ids) for name, ids in by_shape.items()} == {"demo": 11, "sleep-edf-20": 39, "sleep-edf-78": 153}
    assert by_shape["demo"] == simulation_ids(SIMULATION)
    assert "SC4362" in by_shape["sleep-edf-78"] and "SC4361" not in by_shape["sleep-edf-78"]
    assert dataset_of(CONFIG, "try-real").only_folds == (0,)
    assert dataset_of(CONFIG, "sleep-edf-20").only_folds is None


def test_only_the_dataset_may_change_a_recipes_training_epochs():
    assert recipe_settings(CONFIG, "released", "sleep-edf-78") == CONFIG["recipes"]["released"]
    demo = recipe_settings(CONFIG, "released", "simulated")
    assert demo["training_epochs"] == CONFIG["datasets"]["simulated"]["training_epochs"] != 50
    assert CONFIG["recipes"]["released"]["training_epochs"] == 50


def test_the_dataset_also_shortens_a_first_stage():
    recipe = recipe_settings(CONFIG, "deep_sleepnet", "simulated")
    assert (
        recipe["training_epochs"]
        == recipe["pretrain"]["training_epochs"]
        == CONFIG["datasets"]["simulated"]["training_epochs"]
    )
    config = changed("datasets.simulated.training_epochs", 150)
    recipe = recipe_settings(config, "deep_sleepnet", "simulated")
    assert (recipe["training_epochs"], recipe["pretrain"]["training_epochs"]) == (150, 100)
    assert recipe_settings(CONFIG, "deep_sleepnet", "sleep-edf-20") == CONFIG["recipes"]["deep_sleepnet"]


def of_run(**settings: object) -> dict:
    return CONFIG | {"run": CONFIG["run"] | settings}


def test_published_is_the_recipe_of_each_models_paper_and_a_model_without_one_is_skipped():
    config = of_run(
        models=["chambon2018", "ulw_sleepnet", "tiny_sleepnet"], recipes=["common", "published"], channels=["fpz"]
    )
    validate(config)
    networks, skipped = plan(config)
    assert networks == [
        ("chambon2018", "fpz", "common"),
        ("ulw_sleepnet", "fpz", "common"),
        ("ulw_sleepnet", "fpz", "released"),
        ("tiny_sleepnet", "fpz", "common"),
        ("tiny_sleepnet", "fpz", "tiny_sleepnet"),
    ]
    assert skipped == [
        ("chambon2018", "published", None, "no recipe of the paper is known; only common is offered"),
    ]
    both, _ = plan(of_run(recipes=["released", "published"]))
    assert both == [("ulw_sleepnet", "four", "released")]


def test_channels_that_a_model_is_not_defined_for_are_skipped():
    config = of_run(models=["micro_sleepnet", "ulw_sleepnet"], recipes=["common"], channels=["four", "fpz"])
    networks, skipped = plan(config)
    assert networks == [
        ("micro_sleepnet", "fpz", "common"),
        ("ulw_sleepnet", "four", "common"),
        ("ulw_sleepnet", "fpz", "common"),
    ]
    assert [str(one) for one in skipped] == [
        "micro_sleepnet, four: the architecture is not defined for 4 channel(s), only for 1"
    ]


def test_some_channels_are_for_some_models_only_and_nothing_is_said_of_the_others():
    config = of_run(
        models=["ulw_sleepnet", "eegnet", "u_sleep"], recipes=["common"], channels=["fpz", "two", "three", "four"]
    )
    networks, skipped = plan(config)
    assert {model: [n.channels for n in networks if n.model == model] for model in config["run"]["models"]} == {
        "ulw_sleepnet": ["fpz", "two", "three", "four"],
        "eegnet": ["fpz", "four"],
        "u_sleep": ["fpz", "two", "four"],
    }
    assert skipped == []
    config["run"]["channels_only_for"] = {}
    assert {n.channels for n in plan(config)[0] if n.model == "eegnet"} == {"fpz", "two", "three", "four"}


def test_every_model_is_run_on_its_published_channels_by_make_rivals():
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    channels = re.search(r"channels: \[(fpz[^]]*)\]", makefile)[1].split(", ")
    networks, _ = plan(of_run(models=list(model_names()), recipes=["common"], channels=channels))
    for name in model_names():
        on = [CONFIG["channels"][network.channels] for network in networks if network.model == name]
        assert list(describe(name).published_channels) in on


def test_what_is_not_trained_is_told_once_for_each_reason():
    config = of_run(
        models=["micro_sleepnet", "chambon2018", "light_sleepnet"], recipes=["common", "published"], channels=["four"]
    )
    assert not_trained_sentences(plan(config)[1]) == [
        "Input four: the architecture is not defined for 4 channel(s), only for 1 (MicroSleepNet; LightSleepNet).",
        "Recipe published: no recipe of the paper is known; only common is offered (SleepStagerChambon2018).",
    ]


@pytest.mark.parametrize("name", ["fpz", "two", "three", "four"])
def test_ulw_sleepnet_can_be_run_on_one_to_four_channels(name):
    assert plan(of_run(channels=[name])) == ([("ulw_sleepnet", name, "released")], [])
    assert len(CONFIG["channels"][name]) == ("fpz", "two", "three", "four").index(name) + 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": ["chambon2018"], "recipes": ["published"]}, r"run: nothing is trained; chambon2018, published: no"),
        (
            {"models": ["eegnet"], "channels": ["two", "three"]},
            r"run: nothing is trained; run\.channels_only_for leaves two to ulw_sleepnet, u_sleep; .* three to ulw_sle",
        ),
        ({"models": ["micro_sleepnet"]}, r"run: nothing is trained; micro_sleepnet, four: the architecture is not"),
        (
            {"recipes": ["deep_sleepnet"]},
            r"recipes\.deep_sleepnet\.pretrain\.model: deep_sleepnet_cnn and ulw_sleepnet, .* are in different files",
        ),
    ],
)
def test_a_run_that_trains_nothing_or_the_wrong_model_is_said(settings, message):
    with pytest.raises(BenchmarkError, match=message):
        validate(of_run(**settings))


def test_every_published_recipe_is_configured_and_accepted():
    for name in model_names():
        recipe = describe(name).published_recipe
        if recipe is None:
            continue
        channels = "fpz" if 1 in describe(name).supported_channels else "four"
        config = of_run(models=[name], recipes=["published"], channels=[channels])
        validate(config)
        assert plan(config) == ([(name, channels, recipe)], [])
    config = of_run(models=["tiny_sleepnet"], recipes=["published"], channels=["fpz"])
    del (config | {"recipes": (recipes := dict(CONFIG["recipes"]))})["recipes"]["tiny_sleepnet"]
    with pytest.raises(BenchmarkError, match=r"run\.recipes: published is the recipe 'tiny_sleepnet' for the model"):
        validate(config | {"recipes": recipes})


def test_the_released_recipe_is_what_it_was():
    """Its settings are part of the keys of trainings that exist."""
    assert sha256_of_json(CONFIG["recipes"]["released"]) == (
        "1e5124f0d919f04ecc64f5bb97d008b9cf48a8b17d49180347fcebdc5b9823da"
    )


def test_a_protocol_may_be_left_out_of_a_dataset_but_not_all_of_them():
    validate(changed("protocols.clean.folds.simulated", None))
    config = changed("protocols.clean.folds.simulated", None)
    config["run"]["protocols"] = ["clean"]
    with pytest.raises(BenchmarkError, match="none of clean is run on the dataset 'simulated'"):
        validate(config)


def test_the_ladder_changes_one_choice_a_rung():
    choices = ("unit", "recordings", "validation_subjects", "window", "selection")
    for dataset in ("sleep-edf-20", "sleep-edf-78"):
        rungs = [CONFIG["protocols"][name] for name in CONFIG["ladder"]]
        rungs = [rung for rung in rungs if rung["folds"][dataset]]
        described = [[*(rung[choice] for choice in choices), rung["folds"][dataset]] for rung in rungs]
        for below, above in pairwise(described):
            changed_choices = sum(a != b for a, b in zip(below, above, strict=True))
            assert changed_choices == 1, (below, above)
        assert rungs[0] is CONFIG["protocols"]["released"] and rungs[-1] is CONFIG["protocols"]["clean"]
    assert len(CONFIG["ladder"]) == 7


def test_protocols_that_share_trainings_share_their_seeds():
    for protocol, seeds in (("released", [32, 33, 34]), ("clean", [32, 33, 34]), ("validation_held_out", [32, 33, 34])):
        assert seeds_of(CONFIG, "sleep-edf-20", protocol) == seeds
    assert seeds_of(CONFIG, "sleep-edf-20", "subject_folds") == [32]
    assert seeds_of(CONFIG, "simulated", "clean") == [32]


def test_cycle_ends_need_cycles():
    config = changed("protocols.clean.selection", "cycle_end")
    validate(config)
    constant = {**config["recipes"]["released"], "schedule": "constant"}
    config["recipes"]["released"] = {k: v for k, v in constant.items() if not k.startswith(("first_", "cycle_"))}
    with pytest.raises(BenchmarkError, match="selection 'cycle_end' needs cycles"):
        validate(config)


def test_real_datasets_run_the_published_protocols():
    released = CONFIG["protocols"]["released"]["folds"]
    assert {name: k for name, k in released.items() if name.startswith("sleep-edf")} == {
        "sleep-edf-20": 10,
        "sleep-edf-78": 10,
    }
    assert CONFIG["protocols"]["clean"]["folds"]["sleep-edf-20"] == 20
    assert CONFIG["protocols"]["clean"]["folds"]["sleep-edf-78"] == 10


def keys_of(mapping: dict) -> set[str]:
    """Keys of a mapping and of every mapping below it."""
    nested = [keys_of(value) for value in mapping.values() if isinstance(value, dict)]
    return set(mapping).union(*nested)


def properties_of(schema: object) -> set[str]:
    """Names of the properties that a schema and every schema within it allow."""
    if isinstance(schema, list):
        return set().union(*map(properties_of, schema))
    if not isinstance(schema, dict):
        return set()
    return set(schema.get("properties", {})).union(*map(properties_of, schema.values()))


def test_config_and_schema_know_the_same_keys_and_each_is_explained_once():
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    names = {name for section in ("channels", "datasets", "protocols", "recipes") for name in CONFIG[section]}
    names |= {part for recipe in CONFIG["recipes"].values() for part in recipe.get("learning_rate_of", ())}
    assert keys_of(CONFIG) - names == properties_of(schema) - names
    lines = (Path(__file__).parents[2] / "config.yaml").read_text(encoding="utf-8").splitlines()
    leaves = properties_of(schema) - {
        "run",
        "data",
        "datasets",
        "channels",
        "recipes",
        "training",
        "tracking",
        "simulation",
    }
    for key in leaves:
        assert any(line.strip().startswith(f"{key}:") and " # " in line for line in lines), f"{key} has no comment"


def test_a_protocol_may_have_models_of_its_own_and_shares_them_with_those_that_read_the_same_trainings():
    config = changed("datasets.simulated.models", {"clean": ["eegnet"]})
    validate(config)
    assert models_of(config, "simulated", "clean") == ["ulw_sleepnet", "eegnet"]
    assert models_of(config, "simulated", "validation_held_out") == ["ulw_sleepnet", "eegnet"]
    assert models_of(config, "simulated", "released") == ["ulw_sleepnet"]
    assert [network.model for network in networks_of(config, "simulated", "released")] == ["ulw_sleepnet"]
    assert [network.model for network in plan(config)[0]] == ["ulw_sleepnet", "eegnet"]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"cleaner": ["eegnet"]}, "datasets.simulated.models: unknown name 'cleaner'"),
        (
            {"clean": ["eggnet"]},
            "datasets.simulated.models.clean: unknown name 'eggnet'; the nearest known name is 'eegnet'",
        ),
        ({"clean": []}, "datasets.simulated.models.clean"),
    ],
)
def test_models_of_a_protocol_are_checked(models, message):
    with pytest.raises(BenchmarkError, match=re.escape(message)):
        validate(changed("datasets.simulated.models", models))


def test_the_demo_trains_small_rivals_under_the_clean_protocol():
    assert set(RIVALS) == {"clean"} and len(RIVALS["clean"]) == 3


def test_an_unknown_dataset_is_named_with_the_nearest_known_one():
    with pytest.raises(
        BenchmarkError, match=r"config\.yaml: unknown dataset 'sleep-edf20'; .* 'sleep-edf-20' \(known: "
    ):
        dataset_of(CONFIG, "sleep-edf20")

"""Everything wrong in a configuration is named by its key, with what was found and the nearest known name."""

import copy
import re
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from sleepbench.config.load import DEFINITIONS, load, validate
from sleepbench.config.models import Experiment
from sleepbench.config.plan import dataset, plan
from sleepbench.core.errors import BenchmarkError

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
DEFINED = {
    name: yaml.safe_load((DEFINITIONS / f"{name}.yaml").read_text(encoding="utf-8"))
    for name in ("protocols", "recipes", "datasets", "inputs")
}


def changed(path: str, value: object) -> dict:
    """The project's own configuration with one key, given as a dotted path, set."""
    config = copy.deepcopy(CONFIG)
    *parents, last = path.split(".")
    section = config
    for key in parents:
        section = section[int(key)] if isinstance(section, list) else section.setdefault(key, {})
    section[last] = value
    return config


def test_own_configuration_is_valid_and_unchanged_by_validation():
    config = copy.deepcopy(CONFIG)
    validate(config)
    assert config == CONFIG


def test_configuration_is_short_and_explains_every_key():
    lines = (ROOT / "config.yaml").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 110
    first = lines[
        lines.index(
            "experiments: # every combination of an entry's lists is trained once; entries of one name belong together"
        ) :
    ]
    for key in Experiment.model_fields:
        assert any(re.match(rf"\s+(- )?{key}: .+ # ", line) for line in first) or key in ("datasets",), key


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("protocls", {}, r"top level: unknown key 'protocls'; the nearest known name is 'protocols'"),
        ("run.model", ["x"], r"run: unknown key 'model'; the nearest known name is 'models'"),
        ("experiments.0.seed", [1], r"experiments\.0: unknown key 'seed'; .* 'seeds'"),
        ("protocols.clean.trimmin", "x", r"protocols\.clean: unknown key 'trimmin'; .* 'trimming'"),
        ("run.experiment", "papper", r"run\.experiment \(line \d+\): unknown name 'papper'; .* 'paper'"),
        ("run.datasets", ["sleep-edf-2O"], r"run\.datasets: unknown name 'sleep-edf-2O'; .* 'sleep-edf-20'"),
        ("run.protocols", ["cleen"], r"run\.protocols: unknown name 'cleen'; .* 'clean'"),
        ("run.models", ["ulw_sleepnett"], r"run\.models: unknown name 'ulw_sleepnett'; .* 'ulw_sleepnet'"),
        ("run.inputs", ["fore"], r"run\.inputs: unknown name 'fore'"),
        ("run.recipes", ["commn"], r"run\.recipes: unknown name 'commn'; .* 'common'"),
        ("run.recipe", "ulw", r"run: unknown key 'recipe'; the nearest known name is 'recipes'"),
        ("experiments.0.models", ["eggnet"], r"experiments\.0\.models \(line \d+\): unknown name 'eggnet'; .*'eegnet'"),
        ("experiments.0.inputs", [], r"experiments\.0\.inputs \(line \d+\): found an empty list"),
        ("run.seeds", [1, 1], r"run\.seeds: 1 is there more than once"),
        ("run.models", [], r"run\.models: found an empty list, expected at least one"),
        ("run.models", ["eegnet", "eegnet"], r"run\.models: eegnet is there more than once"),
        ("run.models", "eegnet", r"run\.models: found 'eegnet'; the nearest known name is 'all'"),
        ("run.seeds", 32, r"run\.seeds: found 32, expected a list"),
        ("recipes.own", DEFINED["recipes"]["common"], r"recipes\.own: the name stands for"),
        ("inputs.four", ["eeg9"], r"inputs\.four\.0: found 'eeg9'; .* 'eeg"),
        ("protocols.clean.trimming", "standart", r"protocols\.clean\.trimming: unknown name 'standart'; .* 'standard'"),
        ("protocols.clean.from", "validation_held_ou", r"clean\.from: unknown name .* 'validation_held_out'"),
        ("protocols.released.from", "clean", r"protocols\.\w+\.from: '\w+' is itself from"),
        ("protocols.clean.n_folds", 1, r"protocols\.clean\.n_folds: found 1, expected at least 2"),
        ("training.threads", "two", r"training\.threads \(line \d+\): found 'two', expected a whole number"),
        ("training.folds_per_job", 1.0, r"training\.folds_per_job .*found 1\.0, expected auto or a whole number"),
        ("training.folds_per_job", "all", r"training\.folds_per_job .*found 'all', expected auto or a whole number"),
        ("recipes.ulw.learning_rate", "1e-3", r"learning_rate: found '1e-3', .*YAML reads this as text: write 1\.0e-3"),
        ("recipes.ulw.learning_rate", float("inf"), r"learning_rate: expected a finite number"),
        ("recipes.ulw.schedule", "constant", r"recipes\.ulw: first_cycle_steps is 10, but the schedule constant"),
        ("recipes.common.weight_decay", -1, r"recipes\.common\.weight_decay: found -1, expected at least 0"),
        ("recipes.common.class_weights", "balance", r"class_weights: found 'balance', expected none"),
        ("recipes.common.patience", 0, r"recipes\.common\.patience: found 0, expected at least 1"),
        ("recipes.common.l2", None, r"recipes\.common\.l2: found None, expected a number"),
        ("recipes.attn_sleep.steps", [[10, 1e-4], [5, 1e-5]], r"recipes\.attn_sleep\.steps: .*ascending"),
        ("recipes.deep_sleepnet.pretrain.model", "deep_cnn", r"pretrain\.model: unknown name 'deep_cnn'; .*'deep"),
        ("protocols.clean.validation_subjects", False, r"protocols\.clean: selection 'best_validation' needs"),
        ("data.sleep-edf.base_url", "ftp://x", r"base_url \(line \d+\): found 'ftp://x', expected an address"),
        ("ladder", ["released", "cleen"], r"ladder: unknown name 'cleen'; .* 'clean'"),
        ("postprocessing.hm", [], r"postprocessing: unknown key 'hm'; .* 'hmm'"),
        ("postprocessing.hmm", True, r"postprocessing\.hmm \(line \d+\): found True, expected a list"),
        ("postprocessing.hmm", ["ulw_sleepnett"], r"postprocessing\.hmm .*unknown name .* 'ulw_sleepnet'"),
        ("comparisons.margins", [], r"comparisons\.margins \(line \d+\): found an empty list"),
        ("comparisons.margins", [0, 1], r"comparisons\.margins\.0.*: found 0, expected a number above 0"),
        ("comparisons.margins", [1, 100], r"comparisons\.margins\.1.*: found 100, expected a number below 100"),
        ("comparisons.margins", [1, 1.0], r"comparisons\.margins .*1\.0 is there more than once"),
        ("comparisons.margins", [2, 1], r"comparisons\.margins .*found \[2\.0, 1\.0\], expected the smallest first"),
        ("comparisons.margins", 1, r"comparisons\.margins .*found 1, expected a list"),
        ("figures.titles", "maybe", r"figures\.titles \(line \d+\): found 'maybe', expected"),
        ("comparisons.margin", [1], r"comparisons: unknown key 'margin'; .* 'margins'"),
        ("comparisons.margins", ["one"], r"comparisons\.margins.*found 'one', expected a number"),
        ("datasets.try-real.only_folds", [0, 0], r"only_folds: 0 is there more than once"),
        ("datasets", [], r"datasets: found \[\], expected a mapping"),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest_known_name(path, value, message):
    with pytest.raises(BenchmarkError, match=message):
        validate(changed(path, value), ROOT / "config.yaml")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("protocols.clean.window", "standard", "it is now trimming"),
        ("protocols.clean.recordings", "all", r"it is now remainder \(dropped or kept\)"),
        ("channels", {}, "it is now inputs"),
        ("run.recipes", ["released"], "'released' is now called 'ulw'"),
        ("run.recipes", ["published"], "'published' is now called 'own'"),
        ("run.inputs", ["fpz"], "'fpz' is now called 'one'"),
        ("run.protocols", ["standard_window"], "'standard_window' is now called 'standard_trimming'"),
        ("protocols.clean.trimming", "released", "'released' is now called 'authors'"),
    ],
)
def test_an_old_name_says_the_new_one(path, value, message):
    with pytest.raises(BenchmarkError, match=message):
        validate(changed(path, value))


def test_margins_may_come_as_text_from_the_command_line():
    assert validate(changed("comparisons.margins", ["1", "2.5"])).comparisons.margins == [1, 2.5]


def test_of_what_may_be_several_things_one_problem_is_said():
    for path, value in (("run.models", ["eegnet", "eegnet"]), ("recipes.ulw.class_weights", [1, 1, 1, 1, 0])):
        with pytest.raises(BenchmarkError) as error:
            validate(changed(path, value))
        assert len(str(error.value).splitlines()) == 2, error.value  # a heading, and it


def test_everything_wrong_is_said_at_once():
    config = changed("trainin", {})
    del config["tracking"]
    with pytest.raises(BenchmarkError) as error:
        validate(config)
    assert "top level: unknown key 'trainin'" in str(error.value)
    wrong = changed("training.threads", "two")
    wrong["training"]["engine"] = "quick"
    del wrong["tracking"]
    with pytest.raises(BenchmarkError) as error:
        validate(wrong)
    assert "top level: the key 'tracking' is missing" in str(error.value)
    assert "found 'two'" in str(error.value) and "found 'quick'" in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "not found in .*root of a checkout of the repository"), ("run: [", "cannot be read as YAML")],
)
def test_configuration_that_cannot_be_read_is_said(tmp_path, content, message):
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(BenchmarkError, match=message):
        load(tmp_path / "config.yaml")


def test_sections_of_the_configuration_add_to_definitions_and_replace_single_keys():
    config = changed("protocols.mine", {"from": "clean", "n_folds": 5})
    config["recipes"] = {"ulw": {"batch_size": 64}}
    read = validate(config)
    assert read.protocols["mine"] == read.protocols["clean"].model_copy(update={"n_folds": 5})
    assert read.recipes["ulw"].batch_size == 64
    assert read.recipes["ulw"].settings() == {**validate(CONFIG).recipes["ulw"].settings(), "batch_size": 64}


def test_run_replaces_lists_of_an_experiment():
    config = load(ROOT / "config.yaml", {"experiment": "demo", "models": ["eegnet"], "protocols": ["clean"]})
    assert {key.model for key in plan(config).trainings} == {"eegnet"}
    # As snakemake's --config gives numbers within a mapping.
    assert load(ROOT / "config.yaml", {"seeds": ["5"]}).run.seeds == [5]


def test_home_is_a_directory_of_its_own_for_each_source():
    read = validate(changed("data.sleep-edf.directory", "~/edf"))
    assert dataset(read, "sleep-edf-20").source == dataset(read, "sleep-edf-78").source == "sleep-edf"
    assert dataset(read, "simulated").source == "simulated"


def test_each_rung_of_the_ladder_changes_one_key():
    protocols = DEFINED["protocols"]
    ladder = protocols["ladder"]
    for below, above in pairwise(ladder):
        assert protocols[above]["from"] == below and len(protocols[above]) == 2
    assert ladder[0] == "released" and ladder[-1] == "clean" and len(ladder) == 7


def test_every_definition_is_explained():
    for name in DEFINED:
        lines = (DEFINITIONS / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        for entry in DEFINED[name]:
            heads = [line for line in lines if line.startswith(f"{entry}:")]
            assert heads and "#" in heads[0], f"{name}.yaml: {entry} has no comment"

from pathlib import Path

import pytest
import yaml

from sleepbench.config.crosses import crosses, montages, never_seen
from sleepbench.config.keys import CrossKey
from sleepbench.config.load import validate
from sleepbench.config.plan import plan
from sleepbench.core.errors import BenchmarkError

ROOT = Path(__file__).resolve().parents[2]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
COHORT = {"reader": "simulated", "subjects": 4, "single_night_subjects": [], "psg_hours": 2, "n_folds": 2}


def asked(datasets, test_on, definitions=None, **run):
    """What a run asks for, of ULW-SleepNet under the protocol clean unless told otherwise."""
    said = {"protocols": ["clean"], "models": ["ulw_sleepnet"], "inputs": ["one"], "recipes": ["ulw"], **run}
    config = CONFIG | {"run": {"experiment": "demo", "datasets": datasets, "test_on": test_on, **said}}
    config["datasets"] = definitions or {}
    config = validate(config)
    return config, crosses(config, plan(config))


def test_networks_of_each_dataset_are_tested_on_each_other():
    two = {name: {**COHORT, "seed": seed} for name, seed in (("a", 1), ("b", 2))}
    _, found = asked(["a", "b"], ["a", "b"], two, seeds=[1, 2])
    pairs = [(key.trained, key.tested, key.seed) for key in found.networks]
    assert pairs == [("a", "b", 1), ("a", "b", 2), ("b", "a", 1), ("b", "a", 2)]
    assert [len(networks) for networks in found.networks.values()] == [2] * 4
    assert found.not_tested == () and found.datasets == ["a", "b"]


def test_a_dataset_is_not_tested_on_itself_as_its_own_protocol_does_that():
    _, found = asked(["simulated"], ["simulated"])
    assert not found and not found.datasets


def test_a_dataset_may_be_tested_on_alone():
    _, found = asked(["sleep-edf-20"], ["simulated"])
    assert [*found.networks] == [CrossKey("sleep-edf-20", "simulated", "ulw_sleepnet", "one", "ulw", 32)]
    assert found.tested == ["simulated"]


def test_people_of_both_are_left_out():
    config, found = asked(["sleep-edf-20"], ["sleep-edf-78"])
    left, shared = never_seen(config, "sleep-edf-20", "sleep-edf-78")
    assert len(left) == 153 - 39 and len(shared) == 20 and sum(map(len, shared.values())) == 39
    assert shared["SC subject 13"] == ["SC4131"]
    assert not {*left} & {id for ids in shared.values() for id in ids} and len(found.networks) == 1


def test_a_pair_without_anybody_left_is_refused_and_says_from_what_it_is_known():
    _, found = asked(["sleep-edf-78"], ["sleep-edf-20"])
    (reason,) = found.not_tested
    assert not found.networks
    assert "all 20 people of sleep-edf-20 are in sleep-edf-78 too (SC-subjects.xls" in str(reason)


def test_excerpts_are_of_the_people_of_the_whole_recordings():
    config, found = asked(["sleep-edf-20"], ["sleep-edf-20-5s"])
    assert never_seen(config, "sleep-edf-20", "sleep-edf-20-5s")[0] == []
    assert "3,000 samples of an epoch, sleep-edf-20-5s has 500" in found.not_tested[0].reason


def test_the_same_seed_makes_the_same_simulated_people():
    three = {"a": {**COHORT, "seed": 1}, "b": {**COHORT, "seed": 1, "psg_hours": 3}, "c": {**COHORT, "seed": 2}}
    config, found = asked(["a"], ["b", "c"], three)
    assert [key.tested for key in found.networks] == ["c"]
    assert never_seen(config, "a", "b")[0] == [] and "all 4 people" in found.not_tested[0].reason


def test_real_and_simulated_people_with_the_same_numbers_are_others():
    config, _ = asked(["simulated"], ["sleep-edf-20"])
    assert never_seen(config, "simulated", "sleep-edf-20")[1] == {}


def test_channels_that_are_not_there_are_a_reason_for_the_contender_alone():
    cut = {"a": {**COHORT, "reader": "simulated_excerpts", "seed": 1}, "b": {**COHORT, "seed": 2}}
    _, found = asked(["b"], ["a"], cut, inputs=["one", "two"])
    assert {one.contender for one in found.not_tested} == {None}  # epochs of another length, whatever the channels
    config, found = asked(["sleep-edf-20-5s"], ["a"], cut)
    assert len(found.networks) == 1
    assert montages(config, "sleep-edf-20-5s", "a", "one") == {"eeg1": ("EEG Fpz-Cz", "EEG Fpz-Cz")}


def test_without_the_clean_protocol_there_are_no_networks_to_test():
    two = {name: {**COHORT, "seed": seed} for name, seed in (("a", 1), ("b", 2))}
    _, found = asked(["a"], ["b"], two, protocols=["released"])
    assert found.not_tested[0].reason == "the protocol clean is not run on a"


@pytest.mark.parametrize(
    ("section", "value", "message"),
    [
        ("run", {"test_on": ["simulatd"]}, r"run\.test_on: unknown name 'simulatd'; .* 'simulated'"),
        ("cross", {"remedies": ["scale"]}, r"cross\.remedies\.0.*'scale'"),
        ("datasets", {"cross": COHORT | {"seed": 1}}, "results/cross is of networks tested on other datasets"),
    ],
)
def test_what_is_wrong_is_named(section, value, message):
    with pytest.raises(BenchmarkError, match=message):
        validate(CONFIG | {section: CONFIG.get(section, {}) | value})

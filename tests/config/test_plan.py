"""The plan of a configuration: every training once, and the runs that read it."""

import copy
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from sleepbench.config import paths
from sleepbench.config.keys import Contender, TrainingKey
from sleepbench.config.load import load, validate
from sleepbench.config.plan import dataset, folds_trained, plan, protocol_on, recipe_on, recordings
from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.simulated import SimulatedCohort
from sleepbench.models import describe, model_names

ROOT = Path(__file__).parents[2]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


def running(experiment: str = "demo", **lists: object):
    return load(ROOT / "config.yaml", {"experiment": experiment, **lists})


def test_the_demo_trains_ulw_sleepnet_on_the_ladder_and_two_rivals_under_clean():
    planned = plan(running()).datasets["simulated"]
    assert list(planned.protocols) == [
        *("released", "all_recordings", "subject_folds", "standard_trimming", "validation_held_out", "clean"),
    ]
    rivals = {key.model for key in planned.trainings} - {"ulw_sleepnet"}
    assert sorted(describe(model).kind for model in rivals) == ["estimator", "network"]
    assert {run.protocol for run in planned.runs if run.training.model in rivals} == {"validation_held_out", "clean"}
    # Two protocols read the same trainings by different rules.
    assert len(planned.trainings) == 14 and len(planned.runs) == 20


@pytest.mark.parametrize(("name", "n"), [("sleep-edf-20", 150), ("sleep-edf-78", 90)])
def test_the_paper_has_as_many_trainings_as_it_says(name, n):
    assert len(plan(running("paper", datasets=[name])).trainings) == n


def test_a_dataset_with_folds_of_its_own_has_no_rung_that_only_changes_their_number():
    planned = plan(running("paper", datasets=["sleep-edf-78"]))
    assert "twenty_folds" not in planned.datasets["sleep-edf-78"].protocols
    assert "with the 10 folds of this dataset it is the protocol subject_folds" in str(planned.skipped[0])
    assert {p.n_folds for p in planned.datasets["sleep-edf-78"].protocols.values()} == {10}
    twenty = plan(running("paper", datasets=["sleep-edf-20"])).datasets["sleep-edf-20"].protocols
    assert [p.n_folds for p in twenty.values()] == [10, 10, 10, 20, 20, 20, 20]


def test_what_a_dataset_lacks_is_skipped_with_the_reason(monkeypatch):
    monkeypatch.setattr(SimulatedCohort, "montage", {"eeg1": "EEG Fpz-Cz", "eog": "EOG horizontal"})
    monkeypatch.setattr(SimulatedCohort, "trimmings", ("standard",))
    planned = plan(running(inputs=["two", "four"], models=["ulw_sleepnet"]))
    assert {c.input for c in planned.contenders} == {"two"}
    assert list(planned.datasets["simulated"].protocols) == ["standard_trimming", "validation_held_out", "clean"]
    reasons = [str(one) for one in planned.skipped]
    assert "simulated, input four: its montage has no eeg2 and no emg, only eeg1, eog" in reasons
    assert "simulated, protocol released: its nights can be trimmed by standard, not by authors" in reasons
    with pytest.raises(BenchmarkError, match=r"nothing is trained on simulated: .*no eeg2 and no emg.*\. Ask for"):
        plan(running(inputs=["four"], models=["ulw_sleepnet"]))


def test_excerpts_have_a_ladder_of_their_own_each_rung_of_which_changes_one_key():
    planned = plan(running(experiment="real-5s"))
    (rungs,) = [one.protocols for one in planned.datasets.values()]
    *ladder, ten = rungs
    assert ladder[0] == "window_released" and ladder[-1] == "clean" and ten == "clean_ten"
    settings = [rungs[name].model_dump() for name in ladder]
    assert [sum(a[key] != b[key] for key in a) for a, b in pairwise(settings)] == [1] * 5
    assert {protocol.trimming for protocol in rungs.values()} == {"standard"}
    assert {one.what for one in planned.skipped} == {"epochs of 500 samples"}


def test_who_is_made_for_whole_epochs_is_not_trained_on_excerpts():
    planned = plan(running(experiment="real-5s-full"))
    trained = {key.model for key in planned.trainings}
    assert {"ulw_sleepnet", "ulw_flatten", "tiny_sleepnet", "band_power"} <= trained
    lacking = {one.model: one.reason for one in planned.skipped if one.what == "epochs of 500 samples"}
    assert set(lacking) == {name for name in model_names() if describe(name).takes(1)} - trained
    assert lacking["u_sleep"] == "the architecture reads a sequence as one unbroken signal"
    assert lacking["attn_sleep"] == "the architecture is made for epochs of 3,000 samples"
    assert any(text.startswith("Epochs of 500 samples: the architecture is made") for text in planned.not_trained())


def test_protocols_that_share_trainings_share_their_seeds_and_models():
    planned = plan(running("paper", datasets=["sleep-edf-20"])).datasets["sleep-edf-20"]
    seeds = {name: {r.training.seed for r in planned.runs if r.protocol == name} for name in planned.protocols}
    assert seeds["released"] == seeds["clean"] == seeds["validation_held_out"] == {32, 33, 34}
    assert seeds["subject_folds"] == {32}


def test_own_is_the_recipe_of_each_models_paper_and_a_model_without_one_is_skipped():
    models = ["chambon2018", "ulw_sleepnet", "tiny_sleepnet"]
    planned = plan(running(models=models, recipes=["common", "own"], inputs=["one"], protocols=["clean"]))
    assert planned.contenders == [
        Contender("chambon2018", "one", "common"),
        Contender("ulw_sleepnet", "one", "common"),
        Contender("ulw_sleepnet", "one", "ulw"),
        Contender("tiny_sleepnet", "one", "common"),
        Contender("tiny_sleepnet", "one", "tiny_sleepnet"),
    ]
    assert list(map(str, planned.skipped)) == [
        "chambon2018, recipe own: no recipe of the paper is known; there are common and tuned"
    ]
    assert plan(running(recipes=["ulw", "own"], models=["ulw_sleepnet"])).contenders == [
        Contender("ulw_sleepnet", "four", "ulw")
    ]


def test_inputs_that_a_model_is_not_defined_for_are_skipped_and_told_once_for_each_reason():
    models = ["micro_sleepnet", "chambon2018", "light_sleepnet"]
    planned = plan(running(models=models, recipes=["common", "own"], inputs=["four"], protocols=["clean"]))
    assert planned.contenders == [Contender("chambon2018", "four", "common")]
    assert planned.not_trained() == [
        "Input four: the architecture is not defined for 4 channel(s), only for 1 (MicroSleepNet; LightSleepNet).",
        "Recipe own: no recipe of the paper is known; there are common and tuned (SleepStagerChambon2018).",
    ]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (
            {"models": ["chambon2018"], "recipes": ["own"]},
            "nothing is trained on simulated: chambon2018, recipe own",
        ),
        ({"models": ["micro_sleepnet"]}, "nothing is trained on simulated: micro_sleepnet, input four: the archit"),
        ({"recipes": ["deep_sleepnet"], "models": ["ulw_sleepnet"]}, "deep_sleepnet_cnn and ulw_sleepnet, .*different"),
    ],
)
def test_a_run_that_trains_nothing_or_the_wrong_model_is_said(lists, message):
    with pytest.raises(BenchmarkError, match=message):
        plan(running(**lists))


def test_every_own_recipe_is_defined_and_every_model_is_run_on_its_published_roles_by_rivals():
    config = running("rivals", datasets=["simulated-tiny"])
    contenders = plan(config).contenders
    for name in model_names():
        mine = [contender for contender in contenders if contender.model == name]
        assert list(describe(name).published_roles) in [config.inputs[contender.input] for contender in mine]
        own = describe(name).published_recipe
        assert own is None or own in {contender.recipe for contender in mine}


def test_an_own_recipe_of_days_is_run_where_it_is_named_or_short():
    lists = {"models": ["u_time", "attn_sleep"], "inputs": ["one"], "protocols": ["clean"]}
    planned = plan(running("rivals", **lists, recipes=["common", "own"]))
    assert {(c.model, c.recipe) for c in planned.contenders} == {
        *(("u_time", "common"), ("attn_sleep", "common"), ("attn_sleep", "attn_sleep"))
    }
    said = "it has up to 2,000 training epochs, days for a fold; to run it, name it: --recipes u_time"
    assert str(planned.skipped[0]) == f"u_time, own recipe u_time: {said}"
    for run in ({"datasets": ["simulated"], "recipes": ["own"]}, {"recipes": ["u_time"]}):
        models = {"models": ["u_time"]}
        assert [c.recipe for c in plan(running("rivals", **lists | models, **run)).contenders] == ["u_time"]


def test_a_recipe_is_tuned_where_validation_subjects_are_held_out():
    lists = {"models": ["eegnet"], "recipes": ["tuned"]}
    assert plan(running(**lists, protocols=["clean"])).trainings
    estimators = plan(running(**lists | {"models": ["eegnet", "band_power"]}, protocols=["clean"]))
    assert {c.model for c in estimators.contenders} == {"eegnet"}
    assert "band_power, recipe tuned: it is fitted in one go" in str(estimators.skipped[0])
    message = r"protocols\.released: holds out no validation subjects, on which the recipe 'tuned' chooses its learning"
    with pytest.raises(BenchmarkError, match=message):
        plan(running(**lists, protocols=["clean", "released"]))


def test_folds_that_the_recordings_do_not_have_are_said():
    config = copy.deepcopy(CONFIG)
    config["protocols"] = {"clean": {"n_folds": 50}}
    config["datasets"] = {"simulated": {"n_folds": None}}
    with pytest.raises(BenchmarkError, match=r"protocols\.clean: 50 folds by subject of 6 subjects of simulated"):
        plan(validate(config | {"run": {"experiment": "demo", "protocols": ["clean"]}}))
    config = copy.deepcopy(CONFIG)
    config["datasets"] = {"try-real": {"only_folds": [0, 2]}}
    with pytest.raises(BenchmarkError, match=r"only_folds: \[2\], but the protocol 'trial' has the folds 0 to 1"):
        plan(validate(config | {"run": {"experiment": "try-real"}}))


def test_cycle_ends_need_cycles():
    config = copy.deepcopy(CONFIG)
    config["protocols"] = {"clean": {"selection": "cycle_end"}}
    plan(validate(config | {"run": {"experiment": "demo", "protocols": ["clean"]}}))
    with pytest.raises(BenchmarkError, match="selection 'cycle_end' needs cycles; the recipe 'common' has none"):
        plan(validate(config | {"run": {"experiment": "demo", "protocols": ["clean"], "recipes": ["common"]}}))


def test_only_the_dataset_may_change_a_recipes_training_epochs():
    config = running()
    assert recipe_on(config, "ulw", "sleep-edf-78") == config.recipes["ulw"]
    assert recipe_on(config, "ulw", "simulated").training_epochs == config.datasets["simulated"].training_epochs != 50
    first = recipe_on(config, "deep_sleepnet", "simulated")
    assert first.training_epochs == first.pretrain.training_epochs == config.datasets["simulated"].training_epochs
    longer = config.recipes["deep_sleepnet"].at_most(150)
    assert (longer.training_epochs, longer.pretrain.training_epochs) == (150, 100)


def test_the_settings_of_ulw_are_what_they_were():
    """They are part of the keys of trainings that exist."""
    assert running().recipes["ulw"].settings() == {
        **{"learning_rate": 1e-3, "schedule": "cosine_restarts", "first_cycle_steps": 10, "cycle_multiplier": 2},
        **{"batch_size": 32, "training_epochs": 50, "amsgrad": True, "epsilon": 1e-7},
    }


def test_datasets_have_the_recordings_they_say():
    config = running()
    counts = {name: len(recordings(config, name)) for name in config.datasets}
    assert counts == {
        **{"simulated": 11, "simulated-tiny": 7, "simulated-20": 39, "simulated-78": 153},
        **{"try-real": 4, "sleep-edf-20": 39, "sleep-edf-78": 153},
        **{"sleep-edf-20-5s-full": 39, "sleep-edf-20-5s": 39, "sleep-edf-20-5s-quick": 39},
        **{"sleep-edf-st": 44, "hmc": 151, "dod-h": 25, "dod-o": 55, "isruc-s3": 10},
        **{"simulated-sleep-edf-st": 8, "simulated-hmc": 4, "simulated-dod-h": 4, "simulated-dod-o": 4},
        "simulated-isruc-s3": 4,
        **{"simulated-20-5s": 39, "simulated-5s-quick": 39},
    }
    assert folds_trained(config, "try-real", 2) == [0] and folds_trained(config, "simulated", 2) == [0, 1]
    assert protocol_on(config, "clean", "sleep-edf-78").n_folds == 10
    with pytest.raises(BenchmarkError, match=r"unknown dataset 'sleep-edf20'; .* 'sleep-edf-20'"):
        dataset(config, "sleep-edf20")


def test_paths_of_a_training_name_all_of_its_key():
    key = TrainingKey("d", "subject-2-kept-validation0", "standard", "eegnet", "one", "common", 3, 1)
    home = "results/d/trainings/subject-2-kept-validation0/standard/eegnet/one/common/seed-3"
    assert paths.training(key) == f"{home}/fold-1" and paths.training(key, fold=False) == home
    assert paths.stack(key, 0, 4) == f"{home}/stack-0-4.json"
    assert paths.log(paths.training(key)) == f"{home.replace('results', 'results/logs')}/fold-1.log"
    assert paths.smoothed(key, "last") == f"{home.replace('trainings', 'postprocessed')}/fold-1/last"

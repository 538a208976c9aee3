"""What the rules ask of a configuration."""

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from sleepbench import jobs
from sleepbench.config import paths
from sleepbench.config.keys import TrainingKey
from sleepbench.config.load import validate
from sleepbench.config.made import name_memory, recorded
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import write_json
from sleepbench.models import registry
from sleepbench.reporting.declared import Declared, declared
from sleepbench.runs.others import store
from sleepbench.workflow import Workflow

ROOT = Path(__file__).parents[1]
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))


def workflow(**sections: object) -> Workflow:
    return Workflow(copy.deepcopy(CONFIG) | sections, ROOT)


def wildcards(**values: str) -> SimpleNamespace:
    return SimpleNamespace(**values)


KEY = {
    **{"dataset": "sleep-edf-20", "folds": "subject-20-kept-validation0", "trimming": "standard"},
    **{"model": "ulw_sleepnet", "input": "four", "recipe": "ulw", "seed": "32"},
}


def test_products_are_every_table_and_figure_in_every_form_and_all_trainings():
    products = workflow().products("simulated")
    assert len([path for path in products if "/trainings/" in path]) == 14
    for name in declared("tables"):
        assert {f"results/simulated/tables/{name}.{form}" for form in ("csv", "md", "tex")} <= set(products)
    for name in declared("figures"):
        assert {f"results/simulated/figures/{name}.{form}" for form in ("csv", "pdf", "png")} <= set(products)
    assert products[-2:] == ["results/simulated/summary.md", "results/simulated/report.html"]


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A workflow on the simulated cohort whose files were all made; they hold their names."""
    monkeypatch.chdir(tmp_path)
    name_memory()
    w = workflow(tracking={"uri": "sqlite:///results/mlflow.db"})
    outputs = [output for stage in w._stages("simulated") for output, _ in stage]
    with recorded([], [path for path in outputs if "/fold-" not in path], also=["results/mlflow.db"]):
        for path in (*outputs, "results/mlflow.db"):
            file = Path(path, "training.json") if "/fold-" in path else Path(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(path)
    with recorded([], [path for path in outputs if "/fold-" in path]):
        pass
    return w


def test_nothing_is_made_again_that_is_as_it_was_made(made):
    assert made.again() == ([], [])


SIMULATED = "results/simulated"
CLEAN = f"{SIMULATED}/trainings/subject-2-kept-validation0/standard/ulw_sleepnet/four/ulw/seed-32"


FILES = (
    *(f"results/data/simulated/prepared/SC4001.{form}" for form in ("npy", "epochs.csv", "json", "quality.json")),
    *("results/data/simulated/verified/SC4001.json", "results/profile/ulw_sleepnet-4.json"),
    *(f"{SIMULATED}/recordings.json", f"{SIMULATED}/folds/subject-2-kept-validation0.json"),
    *(f"{SIMULATED}/totals/subject-2-kept-validation0-standard.json", f"{CLEAN}/fold-0/training.json"),
    *(f"{SIMULATED}/logged_runs.json", f"{SIMULATED}/runs.csv", f"{SIMULATED}/statistics/ranks.csv"),
    *(f"{SIMULATED}/tables/audit.json", f"{SIMULATED}/tables/ladder.csv", f"{SIMULATED}/tables/ladder.md"),
    *(f"{SIMULATED}/figures/confusion.png", f"{SIMULATED}/report.html", "results/mlflow.db"),
)
OUTPUTS = {f"{CLEAN}/fold-0/training.json": f"{CLEAN}/fold-0", "results/mlflow.db": f"{SIMULATED}/logged_runs.json"}


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("other")], ids=["deleted", "changed"])
def test_every_file_that_is_deleted_or_changed_is_noticed(made, damage):
    for path in map(Path, FILES):
        content, output = path.read_bytes(), OUTPUTS.get(str(path), str(path))
        damage(path)
        again, said = made.again()
        assert again == [output] and said[0].endswith(f": {path if path.suffix == '.db' else output}.")
        path.write_bytes(content)
    assert made.again() == ([], [])


def test_without_snakemake_s_memory_everything_is_looked_at_again(made):
    everything = [output for stage in made._stages("simulated") for output, _ in stage]
    shutil.rmtree(".snakemake")
    again, said = made.again()
    assert again == everything
    assert f"and {len(everything) - 4:,} more" in said[0] and "Finished trainings" in said[-1]


def test_a_target_makes_again_what_it_may_depend_on_and_nothing_beyond(made):
    night, table = "results/data/simulated/prepared/SC4001.npy", f"{SIMULATED}/tables/ladder.csv"
    for path in (night, f"{CLEAN}/fold-0/training.json", f"{SIMULATED}/runs.csv", table):
        Path(path).unlink()
    assert made.again(["data"])[0] == []
    assert made.again(["prepared"])[0] == [night]
    assert made.again([f"{CLEAN}/fold-1"])[0] == [night]
    assert made.again([f"{SIMULATED}/runs.csv"])[0] == [night, f"{CLEAN}/fold-0", f"{SIMULATED}/runs.csv"]
    assert made.again()[0] == [night, f"{CLEAN}/fold-0", f"{SIMULATED}/runs.csv", table]


def test_of_a_fresh_start_nothing_is_said_and_a_target_makes_only_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    w = workflow()
    assert w.again()[1] == []
    assert w.again(["results/data/simulated/prepared/SC4001.npy"]) == ([], [])


def test_on_a_cpu_a_job_trains_one_fold_and_owns_its_directory():
    w = workflow(run={"experiment": "paper", "datasets": ["sleep-edf-20"]})
    assert w.stacks("sleep-edf-20", 20) == [(fold,) for fold in range(20)]
    key = TrainingKey.named(wildcards(**KEY, fold="3"))
    assert w.made_by(key) == paths.training(key)
    assert w.keys(wildcards(**KEY, fold="3")) == [key]


@pytest.mark.parametrize("is_here", [False, True])
def test_on_a_cluster_the_configuration_says_whether_there_is_a_gpu(monkeypatch, is_here):
    """Not the machine that submits jobs, nor, when it reads the rules again, the node."""
    monkeypatch.setattr("sleepbench.core.gpu.has_gpu", lambda: is_here)
    monkeypatch.setattr("sleepbench.core.gpu.is_built_for_cuda", lambda: True)
    for device, expected in (("auto", False), ("cpu", False), ("cuda", True)):
        content = copy.deepcopy(CONFIG) | {"training": CONFIG["training"] | {"device": device}}
        assert Workflow(content, ROOT, elsewhere=True).uses_gpu is expected
        assert Workflow(content, ROOT).uses_gpu is (is_here and device != "cpu")
        given = validate(content)
        assert jobs._device(given, gpu=False) == ("cpu" if device == "auto" else device)
        assert jobs._device(given, gpu=True) == device


def test_of_short_epochs_a_job_trains_several_folds_and_a_network_is_profiled_on_them():
    w = workflow(run={"experiment": "real-5s"})
    assert w.stacks("sleep-edf-20-5s", 10) == [tuple(range(5)), tuple(range(5, 10))]
    assert "results/profile/ulw_sleepnet-1x500.json" in w.profiles("sleep-edf-20-5s")
    assert w.experiment("sleep-edf-20-5s").startswith("sleep-edf-20-5s (REAL EEG, first 5 s of each epoch")
    whole = workflow(run={"experiment": "rivals"})
    assert "results/profile/ulw_sleepnet-1.json" in whole.profiles("sleep-edf-20")


def test_several_folds_a_job_make_a_receipt_and_stand_for_each_of_their_folds():
    training = CONFIG["training"] | {"folds_per_job": 8}
    w = workflow(run={"experiment": "paper", "datasets": ["sleep-edf-20"]}, training=training)
    assert w.stacks("sleep-edf-20", 20) == [tuple(range(8)), tuple(range(8, 16)), tuple(range(16, 20))]
    key = TrainingKey.named(wildcards(**KEY, fold="17"))
    assert w.made_by(key) == paths.stack(key, 16, 19)
    assert [one.fold for one in w.keys(wildcards(**KEY, stack="16-19"))] == [16, 17, 18, 19]
    with pytest.raises(BenchmarkError, match="no job trains the folds 16 to 18"):
        w.keys(wildcards(**KEY, stack="16-18"))


def test_folds_and_recordings_that_are_not_there_are_named():
    w = workflow(run={"experiment": "paper", "datasets": ["sleep-edf-20"]})
    with pytest.raises(BenchmarkError, match="has no fold 20 among those, 0 to 19"):
        w.stack_of(TrainingKey(**{**KEY, "seed": 32}, fold=20))
    with pytest.raises(BenchmarkError, match="no protocol of this run has the folds 'subject-5"):
        w.fold_settings("sleep-edf-20", "subject-5-kept-validation0")
    with pytest.raises(BenchmarkError, match="no dataset of this run has a recording 'SC4991'"):
        w.dataset_reading("sleep-edf", "SC4991")
    only = workflow(run={"experiment": "try-real"})
    key = TrainingKey("try-real", "subject-2-kept-no_validation", "standard", "ulw_sleepnet", "four", "ulw", 32, 1)
    with pytest.raises(
        BenchmarkError, match=r"no fold 1 among those that are trained \(datasets\.try-real\.only_folds"
    ):
        only.stack_of(key)


def test_datasets_that_share_a_source_share_its_files():
    w = workflow(run={"experiment": "paper"})
    assert w.dataset_reading("sleep-edf", "SC4001") == "sleep-edf-20"
    assert w.dataset_reading("sleep-edf", "SC4822") == "sleep-edf-78"
    assert set(w.receipts("sleep-edf-20")) < set(w.receipts("sleep-edf-78"))


def test_the_smoothed_runs_are_those_that_the_configuration_asks_for():
    directories = workflow().smoothed("simulated")
    assert len(directories) == 2 and all(d.endswith("/best_validation") and "/ulw_sleepnet/" in d for d in directories)
    assert workflow(postprocessing={"hmm": [], "protocols": ["clean"]}).smoothed("simulated") == []


def test_predictions_of_others_are_those_that_were_imported_for_the_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inputs = lambda dataset: workflow().artefact_inputs(declared("tables")["others_predictions"], dataset)  # noqa: E731
    assert inputs("simulated") == {"imported": []}
    for name, dataset in {"b": "simulated", "a": "simulated", "c": "sleep-edf-20", ".d.old": "simulated"}.items():
        home = Path(paths.imported(name))
        home.mkdir(parents=True)
        write_json(home / "description.json", {"format": store.FORMAT, "dataset": dataset, "files": {}})
    (Path(paths.IMPORTED) / "empty").mkdir()
    assert inputs("simulated") == {"imported": [f"results/imported/{name}/description.json" for name in "ab"]}
    (Path(paths.imported("c")) / "description.json").write_text('{"format": ')
    with pytest.raises(BenchmarkError, match=r"c/description\.json: .*import the table again, or delete"):
        inputs("simulated")


def test_each_trained_model_is_held_against_other_programs_once(monkeypatch):
    w = workflow(run={"experiment": "rivals", "datasets": ["sleep-edf-20"]})
    files = w.parity("sleep-edf-20")
    assert len(set(files)) == len(files)
    assert {"results/parity/u_sleep.json", "results/parity/band_power.json"} < set(files)
    before = {name: w.parity_sha256(name) for name in ("eegnet", "u_sleep")}
    monkeypatch.setitem(registry.MODELS, "eegnet", replace(registry.MODELS["eegnet"], differs="a little"))
    assert {name for name in before if w.parity_sha256(name) != before[name]} == {"eegnet"}


def test_the_network_as_c_is_of_a_run_that_did_not_choose_it_by_its_test_fold():
    w = workflow()
    run = w.deployed("simulated")
    assert (run.training.model, run.protocol, run.selection) == ("ulw_sleepnet", "clean", "best_validation")
    assert w.deployment("simulated") == ["results/simulated/deployment.json"]
    assert "workflow/sleepbench/deployment/c/board/board.c" in w.c_sources()
    for run in ({"models": ["eegnet"]}, {"protocols": ["released"]}):
        other = workflow(run={"experiment": "demo", **run})
        assert other.deployed("simulated") is None and other.deployment("simulated") == []


def test_an_artefact_is_given_the_files_and_settings_that_it_names():
    w = workflow()
    one = Declared("one", "tables", inputs=("runs", "statistics/ladder", "claims"), settings=("ladder", "alone"))
    inputs = {**w.artefact_inputs(Declared("one", "tables", inputs=("runs", "statistics/ladder")), "simulated")}
    assert inputs == {
        "runs": "results/simulated/runs.csv",
        "statistics_ladder": "results/simulated/statistics/ladder.csv",
    }
    assert w.artefact_resources(one) == {"claims": "workflow/resources/claims.yaml"}
    assert w.artefact_settings(one, "simulated")["alone"] == "one"
    for wrong in (Declared("one", "tables", inputs=("runz",)), Declared("one", "tables", settings=("laddr",))):
        with pytest.raises(BenchmarkError, match="expected one of"):
            w.artefact_inputs(wrong, "simulated")
            w.artefact_settings(wrong, "simulated")


def test_reading_the_rules_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    w = workflow()
    for dataset in w.plan.datasets:
        w.products(dataset), w.store_state(), w.runs_sha256(dataset)
    assert list(tmp_path.iterdir()) == []


CROSSED = {**KEY, "trained": "sleep-edf-20", "tested": "simulated"}


def crossing(*test_on: str) -> Workflow:
    """Networks of Sleep-EDF-20 under the protocol clean, tested on other datasets."""
    run = {"experiment": "paper", "datasets": ["sleep-edf-20"], "protocols": ["clean"], "test_on": list(test_on)}
    return workflow(run=run)


def test_networks_are_tested_elsewhere_from_their_trainings_and_both_indexes():
    w = crossing("simulated")
    inputs = w.cross_inputs(wildcards(**CROSSED))
    assert len(inputs["trainings"]) == 20 and inputs["folds"] == paths.folds("sleep-edf-20", KEY["folds"])
    assert inputs["recordings"] == ["results/sleep-edf-20/recordings.json", "results/simulated/recordings.json"]
    assert w.cross_runs() == ["results/sleep-edf-20/runs.csv"]
    assert len(w.crossed()) == 3 == len({*w.crossed()})  # one a seed
    assert w.crossed()[0].startswith("results/cross/trained/sleep-edf-20/tested/simulated/ulw_sleepnet/four/ulw/seed-")
    assert "results/cross/report.md" in w.cross_products()


def test_a_dataset_that_is_tested_alone_is_prepared_and_not_trained_on():
    w = crossing("simulated")
    assert [*w.datasets] == ["sleep-edf-20", "simulated"] and [*w.plan.datasets] == ["sleep-edf-20"]
    assert "simulated" in w.wildcard_patterns()["dataset"].split("|")
    assert w.dataset_reading("simulated", "SC4001") == "simulated"
    assert len(w._stages("simulated")) == 3
    with pytest.raises(BenchmarkError, match="simulated: nothing is trained on it in this run"):
        w.of("simulated")


def test_a_pair_that_is_refused_says_why_and_has_a_table_of_it():
    w = crossing("sleep-edf-20-5s")
    with pytest.raises(BenchmarkError, match=r"3,000 samples of an epoch, sleep-edf-20-5s has 500"):
        w.cross_inputs(wildcards(**CROSSED | {"tested": "sleep-edf-20-5s"}))
    with pytest.raises(BenchmarkError, match=r"does not ask for it \(test_on\)"):
        w.cross_inputs(wildcards(**CROSSED))
    assert "results/cross/tables/cross_audit.md" in w.cross_products() and not w.crossed()
    assert w.cross_settings()["not_tested"][0]["tested"] == "sleep-edf-20-5s"


def test_without_other_datasets_nothing_is_made_of_them():
    assert workflow().cross_products() == []


def test_what_is_changed_of_other_datasets_is_made_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name_memory()
    w = crossing("simulated")
    files = w.cross_reports()
    with recorded([], files):
        for path in files:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(path)
    page, table = "results/cross/report.md", "results/cross/tables/cross_matrix.csv"
    Path(table).write_text("changed")
    assert table in w.again([page])[0] and table in w.again()[0]
    assert table not in w.again(["results/sleep-edf-20/report.html"])[0]

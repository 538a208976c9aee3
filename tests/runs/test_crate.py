"""The crate of an archive: another program reads it, and it says of every run what it was made from and by."""

import json
import zipfile

import pytest
from planned_results import DATASET
from rocrate.rocrate import ROCrate

from sleepbench.config.load import load_known
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_json
from sleepbench.runs import crate as writing
from sleepbench.runs.crate import METADATA, PROFILES, write_crate


@pytest.fixture(scope="module")
def described(ordinary, tmp_path_factory):
    """What was said, the crate, and its entities by id."""
    path = tmp_path_factory.mktemp("crate") / "crate.zip"
    said = write_crate(load_known(), ordinary, path)
    with zipfile.ZipFile(path) as file:
        graph = json.loads(file.read(METADATA))["@graph"]
    return said, path, {entity["@id"]: entity for entity in graph}


def ids(values):
    return [value["@id"] for value in ([values] if isinstance(values, dict) else values)]


def test_every_file_is_described_and_every_entity_is_there(described, ordinary):
    _, path, entities = described
    with zipfile.ZipFile(path) as file, zipfile.ZipFile(ordinary) as archive:
        names, archived = set(file.namelist()), set(archive.namelist())
        assert all(file.read(name) == archive.read(name) for name in archived)
    files = {id for id, one in entities.items() if "File" in one["@type"]}
    assert files == names - {METADATA} and archived < files and "workflow/rules/training.smk" in files
    assert set(ids(entities["./"]["hasPart"])) == files
    for entity in entities.values():
        for value in entity.values():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, dict) and not one["@id"].startswith("http"):
                    assert one["@id"] in entities, entity["@id"]


def test_another_program_reads_it_as_a_workflow_run(described, tmp_path):
    _, path, _ = described
    crate = ROCrate(path)
    assert {*PROFILES} == {profile.id for profile in crate.root_dataset["conformsTo"]}
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow"} == {*crate.mainEntity.type}
    assert crate.mainEntity["programmingLanguage"]["name"] == "Snakemake"
    assert "SIMULATED" in crate.name and "SIMULATED" in crate.description
    assert crate.license["name"] == "Apache License 2.0" and crate.root_dataset["datePublished"]


def test_each_run_says_what_it_was_made_from_and_by(described, pristine):
    said, _, entities = described
    actions = {id: one for id, one in entities.items() if one["@type"] == "CreateAction"}
    records = [read_json(path) for path in pristine.root.glob(f"results/{DATASET}/trainings/**/training.json")]
    # The two protocols that were run read their trainings by one rule each.
    assert len(actions) == len(records) + 1 and f"of its {len(records)} runs" in said
    for record in records:
        key = next(run["run_key"] for run in record["runs"].values() if f"#run-{run['run_key']}" in actions)
        action = actions[f"#run-{key}"]
        made_by = {entities[id]["name"]: entities[id].get("value") for id in ids(action["object"])}
        assert ids(action["instrument"]) == ["workflow/Snakefile"]
        assert (made_by["seed"], made_by["fold"]) == (record["settings"]["seed"], record["settings"]["fold"])
        assert made_by["code_sha256"] == record["code_sha256"] and made_by["torch"] == record["environment"]["torch"]
        assert made_by["recipe.batch_size"] == record["settings"]["recipe"]["batch_size"]
        made = {id.rpartition("/")[2]: entities[id] for id in ids(action["result"])}
        assert {"training.json", "predictions.parquet", "metrics.json"} <= {*made}
        listed = record["files"][f"{made_by['selection']}/predictions.parquet"]
        assert made["predictions.parquet"]["sha256"] == listed
    assert len(ids(actions["#tables"]["object"])) == len(records)


def test_an_action_says_when_it_was_where_that_is_recorded(ordinary, tmp_path, monkeypatch):
    read = writing.read_archived

    def dated(*arguments):
        manifest, results = read(*arguments)
        for run in results.table.run:
            run.record.update(ended="2026-01-02T03:04:05+00:00", duration_s=60.0)
        return manifest, results

    monkeypatch.setattr(writing, "read_archived", dated)
    write_crate(load_known(), ordinary, tmp_path / "crate.zip")
    actions = ROCrate(tmp_path / "crate.zip").get_by_type("CreateAction")
    times = {(one.get("startTime"), one.get("endTime")) for one in actions if one.id != "#tables"}
    assert times == {("2026-01-02T03:03:05+00:00", "2026-01-02T03:04:05+00:00")}


def test_what_is_no_archive_and_an_installed_package_are_refused(ordinary, tmp_path, monkeypatch):
    with pytest.raises(BenchmarkError, match=r"ends in \.zip"):
        write_crate(load_known(), ordinary, tmp_path / "crate")
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    with pytest.raises(BenchmarkError, match="damaged or no zip file"):
        write_crate(load_known(), tmp_path / "bad.zip")
    monkeypatch.setattr(writing, "CHECKOUT", tmp_path)
    with pytest.raises(BenchmarkError, match="in a checkout of the repository"):
        write_crate(load_known(), ordinary, tmp_path / "crate.zip")
    assert {path.name for path in tmp_path.iterdir()} == {"bad.zip"}

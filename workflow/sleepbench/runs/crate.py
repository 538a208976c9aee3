"""An exported archive as a Workflow Run RO-Crate: its files, the workflow, and what each run was made from and by.

The crate is a zip that repositories of research data read: `ro-crate-metadata.json` in it is JSON-LD by the profile
Workflow Run Crate 0.5, https://w3id.org/ro/wfrun/workflow/0.5, on RO-Crate 1.1, which validators know.
"""

import json
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sleepbench.config import paths, plan
from sleepbench.config.models import Config
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import replacing, sha256_of_json
from sleepbench.core.provenance import git_commit
from sleepbench.core.shipped import PACKAGE
from sleepbench.datasets.base import Dataset
from sleepbench.runs.archive import add_member, describe_run
from sleepbench.runs.archived import explained, read_archived
from sleepbench.runs.run import Run
from sleepbench.runs.unpack import MANIFEST
from sleepbench.runs.verify import is_archived
from sleepbench.training.keys import RECORD

if TYPE_CHECKING:
    from rocrate.model import ContextEntity, File
    from rocrate.rocrate import ROCrate

CHECKOUT = PACKAGE.parents[1]
WORKFLOW = "workflow/Snakefile"
WITH_WORKFLOW = ("Snakefile", "workflow/rules/*.smk", "envs/requirements.lock", "envs/environment.yaml", "CITATION.cff")
METADATA = "ro-crate-metadata.json"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
TERMS = "https://w3id.org/ro/terms/workflow-run/context"
FORMATS = {
    ".json": "application/json",
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".tex": "application/x-tex",
    ".parquet": "application/vnd.apache.parquet",
    ".yaml": "application/yaml",
    ".cff": "application/yaml",
    ".lock": "text/plain",
    ".smk": "text/plain",
    "": "text/plain",
}


def write_crate(config: Config, archive: Path, crate: Path | None = None) -> str:
    """Write an archive's content, the workflow of this checkout and their description as one zip; say what is in it.

    BenchmarkError where the archive is not whole, or there is no workflow, as in what pip installs.
    """
    crate = crate or archive.with_name(f"{archive.stem}-crate.zip")
    if crate.suffix != ".zip":
        raise BenchmarkError(f"{crate}: a crate's name ends in .zip; give such a name")
    if not (CHECKOUT / WORKFLOW).is_file():
        raise BenchmarkError(
            f"{CHECKOUT / WORKFLOW}: is missing, and a crate holds it; run this in a checkout of the repository"
        )
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        with explained(archive):
            manifest, results = read_archived(config, archive, root)
        runs = {run.key: run for run in results.table.run}
        with zipfile.ZipFile(archive) as file:  # its manifest is checked, and not unpacked
            (root / MANIFEST).write_bytes(file.read(MANIFEST))
        files = {name: root / name for name in (*manifest["files"], MANIFEST)}
        files |= {path.relative_to(CHECKOUT).as_posix(): path for path in workflow_files()}
        metadata = _described(plan.dataset(config, results.label.dataset), manifest, runs, files)
        with replacing(crate) as temporary, zipfile.ZipFile(temporary, "w") as file:
            add_member(file, METADATA, (json.dumps(metadata, indent=1, sort_keys=True) + "\n").encode())
            for name in sorted(files):
                add_member(file, name, files[name].read_bytes())
    return (
        f"{crate}: {crate.stat().st_size / 1e6:.2f} MB, a Workflow Run RO-Crate of {len(files)} files on "
        f"{results.label.title(results.label.dataset)}; {METADATA} says of each of its {len(runs)} runs what "
        "it was made from, by which settings, code and versions, and what came out."
    )


def workflow_files() -> list[Path]:
    """The files of this checkout that say what was run."""
    return [CHECKOUT / WORKFLOW, *sorted(path for pattern in WITH_WORKFLOW for path in CHECKOUT.glob(pattern))]


def _described(
    dataset: Dataset, manifest: Mapping[str, Any], runs: Mapping[str, Run], files: Mapping[str, Path]
) -> dict[str, Any]:
    """The JSON-LD of a crate."""
    from rocrate.rocrate import ROCrate

    crate = ROCrate(version="1.1")
    crate.metadata.extra_contexts.append(TERMS)
    root, label = crate.root_dataset, dataset.label
    crate.name = label.title(f"Results of sleepbench on {label.dataset}")
    crate.description = (
        f"Predictions, metrics and tables of {len(runs)} runs on {label.title(label.dataset)}, by sleepbench "
        f"{manifest['sleepbench']} at commit {manifest['git_commit']}; no signals and no weights."
    )
    root["datePublished"] = datetime.now(UTC).date().isoformat()
    # Stages of the data's scorers are in the predictions: what the data ask for holds.
    licence = _entity(crate, "#licence", "CreativeWork", name=dataset.licence, description="The licence of the data")
    crate.license = licence
    main = _workflow(crate, manifest)
    for profile, name in PROFILES.items():
        version = profile.rpartition("/")[2]
        root.append_to("conformsTo", _entity(crate, profile, "CreativeWork", name=name, version=version))
    described = {name: _file(crate, name, path, manifest) for name, path in files.items() if name != WORKFLOW}
    recordings = _entity(
        crate,
        "#recordings",
        "CreativeWork",
        name=f"Recordings of {label.title(label.dataset)}",
        license=licence,
        citation=dataset.citation,
    )
    actions = [_run(crate, main, run, recordings, described) for run in runs.values()]
    tables = [file for name, file in described.items() if name.startswith(f"{paths.home(label.dataset)}/tables/")]
    predictions = [described[_name(run, run.predictions_name)] for run in runs.values()]
    if tables:
        actions.append(
            crate.add_action(main, "#tables", predictions, tables, _said("Tables and statistics of all runs"))
        )
    root["mentions"] = actions
    return crate.metadata.generate()


def _workflow(crate: "ROCrate", manifest: Mapping[str, Any]) -> "File":
    """The main workflow, which is of this checkout; runs say which commit they were made with."""
    main = crate.add_workflow(CHECKOUT / WORKFLOW, WORKFLOW, main=True, lang="snakemake")
    main["name"] = "sleepbench: from EDF files to tables"
    main["description"] = f"As it is at commit {git_commit(CHECKOUT)}; each run says which commit it was made with"
    profile = "https://bioschemas.org/profiles/ComputationalWorkflow/1.0-RELEASE"
    main["conformsTo"] = _entity(crate, profile, "CreativeWork", name="ComputationalWorkflow", version="1.0-RELEASE")
    main["version"] = manifest["sleepbench"]
    main["license"] = "https://spdx.org/licenses/Apache-2.0"
    main["creator"] = _entity(crate, "#developers", "Organization", name="The sleepbench developers")
    return main


def _file(crate: "ROCrate", name: str, path: Path, manifest: Mapping[str, Any]) -> "File":
    said: dict[str, Any] = {"name": name, "contentSize": str(path.stat().st_size)}
    if encoding := FORMATS.get(path.suffix):
        said["encodingFormat"] = encoding
    if sha256 := manifest["files"].get(name):
        said["sha256"] = sha256
    return crate.add_file(path, name, properties=said)


def _run(
    crate: "ROCrate", main: "File", run: Run, recordings: "ContextEntity", files: Mapping[str, "File"]
) -> "ContextEntity":
    """The making of a run: recordings, folds and settings in, predictions, metrics and history out."""
    dataset = run.training.dataset
    inputs = [files[name] for name in ("config.yaml", paths.folds(dataset, run.settings["folds"])) if name in files]
    values = {
        "fold": run.training.fold,
        "seed": run.training.seed,
        "git_commit": run.record["provenance"].get("git_commit"),
        "training_epoch_selected": run.selected_epoch,
        **describe_run(run),
    }
    said = {name: value for name, value in values.items() if value is not None}
    results = [files[_name(run, name)] for name in (RECORD, *run.record["files"]) if is_archived(run, name)]
    properties = _said(f"Training and test of {run}")
    if run.record.get("ended"):
        started, ended = (datetime.fromtimestamp(at, UTC).isoformat() for at in run.started_and_ended)
        properties |= {"startTime": started, "endTime": ended}
    return crate.add_action(main, f"#run-{run.key}", [recordings, *inputs, *_values(crate, said)], results, properties)


def _said(what: str) -> dict[str, Any]:
    """An action that was finished."""
    return {"name": what, "description": what, "actionStatus": "http://schema.org/CompletedActionStatus"}


def _values(crate: "ROCrate", said: Mapping[str, Any]) -> Iterable["ContextEntity"]:
    """Each setting as an entity, which all runs of the same setting share."""
    for name, value in said.items():
        id = f"#{name}-{sha256_of_json([name, value])[:12]}"
        found = crate.get(id)
        yield found or _entity(crate, id, "PropertyValue", name=name, value=_plain(value))


def _plain(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else json.dumps(value)


def _entity(crate: "ROCrate", id: str, kind: str, **said: Any) -> "ContextEntity":
    from rocrate.model import ContextEntity

    return crate.add(ContextEntity(crate, id, properties={"@type": kind, **said}))


def _name(run: Run, name: str) -> str:
    """The name of a file of a run within the archive."""
    return f"{paths.training(run.training)}/{name}"

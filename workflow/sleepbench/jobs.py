"""What each job of the workflow does: one function a rule, called by the script of its name.

A job is given the configuration as Snakemake read it, what its path names, and the files that its rule declares.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sleepbench.config import paths
from sleepbench.config.crosses import PROTOCOL, montages, never_seen
from sleepbench.config.keys import CrossKey, TrainingKey
from sleepbench.config.load import validate
from sleepbench.config.made import recorded
from sleepbench.config.models import Config
from sleepbench.config.plan import dataset, plan, recipe_on
from sleepbench.core.files import read_json, replacing, sha256_of_json
from sleepbench.core.logs import logged
from sleepbench.core.provenance import git_commit
from sleepbench.datasets.base import DataLabel, read_receipt, write_receipt
from sleepbench.models import describe
from sleepbench.preparation.index import read_index
from sleepbench.protocols.folds import read_folds

if TYPE_CHECKING:
    from sleepbench.reporting.artefacts import Inputs

EXCERPTS = "sleep-edf-20-5s"
"""The real excerpts that a simulated cohort is compared with."""
Label = Mapping[str, Any]
"""A DataLabel as JSON."""


@contextmanager
def job(snakemake: Any, reads: Iterable[str] = (), also: Iterable[str] = ()) -> Iterator[None]:
    """What every script does around its one call: its log, and the hashes of what it reads and makes.

    `reads` is what it reads besides the inputs of its rule, `also` what it writes besides the outputs.
    """
    with logged(snakemake.log[0]), recorded([*snakemake.input, *reads], snakemake.output, also):
        yield


def fetch(content: Mapping[str, Any], name: str, recording: str, receipt: Path) -> None:
    """Make a recording's files present and right, and keep what was found."""
    of = dataset(validate(content), name)
    write_receipt(receipt, of.fetch(of.recording(recording), of.directory(paths.raw(of.files_source))))


def prepare(content: Mapping[str, Any], name: str, receipt: Path, signals: Path) -> None:
    """Cut a night into epochs."""
    from sleepbench.preparation.prepare import prepare_recording

    prepare_recording(dataset(validate(content), name), read_receipt(receipt), signals)


def index(
    content: Mapping[str, Any], name: str, prepared: Sequence[str], receipts: Sequence[str], output: Path
) -> None:
    """List what is prepared of a dataset."""
    from sleepbench.preparation.index import write_index

    write_index(dataset(validate(content), name), prepared, receipts, output)


def totals(content: Mapping[str, Any], name: str, trimming: str, folds: Path, recordings: Path, output: Path) -> None:
    """Check the epochs of a dataset against what is known of them."""
    from sleepbench.preparation.totals import check_totals

    check_totals(dataset(validate(content), name), trimming, folds, recordings, output)


def folds(name: str, recordings: Path, settings: Mapping[str, Any], committed: Path, output: Path) -> None:
    """Make and audit the folds of a dataset."""
    from sleepbench.protocols.audit import write_fold_file
    from sleepbench.protocols.folds import FoldSettings

    index = read_index(recordings)
    write_fold_file(name, index.recordings, FoldSettings(**settings), output, committed, index.excluded)


def train(
    content: Mapping[str, Any],
    keys: Sequence[TrainingKey],
    folds: Path,
    recordings: Path,
    threads: int,
    code_sha256: str,
    receipt: Path | None = None,
    gpu: bool = True,
) -> None:
    """Train some folds of one training, each into its directory; without `gpu` the job has none to itself."""
    from sleepbench.training.job import TrainingJob
    from sleepbench.training.job import train as train_folds

    config, key = validate(content), keys[0]
    train_folds(
        TrainingJob(
            directories={key: Path(paths.training(key)) for key in keys},
            folds=folds,
            prepared=read_index(recordings).prepared,
            recipe=recipe_on(config, key.recipe, key.dataset),
            roles=tuple(config.inputs[key.input]),
            engine=config.training.engine,
            device=_device(config, gpu),
            threads=threads,
            code_sha256=code_sha256,
            provenance={
                "title": describe(key.model).title,
                "n_folds": len(read_folds(folds)["folds"]),
                **_provenance(config, key.dataset),
                "config_sha256": sha256_of_json(content),
            },
            receipt=receipt,
        )
    )


def smooth(
    content: Mapping[str, Any],
    key: TrainingKey,
    selection: str,
    folds: Path,
    recordings: Path,
    output: Path,
    threads: int,
    code_sha256: str,
    gpu: bool = True,
) -> None:
    """Smooth the predictions of one run; without `gpu` the job has none to itself."""
    from sleepbench.postprocessing.job import SmoothingJob
    from sleepbench.postprocessing.job import smooth as smooth_run

    config = validate(content)
    smooth_run(
        SmoothingJob(
            training=Path(paths.training(key)),
            selection=selection,
            folds=folds,
            prepared=read_index(recordings).prepared,
            output=output,
            device=_device(config, gpu),
            threads=threads,
            code_sha256=code_sha256,
            provenance=_provenance(config, key.dataset),
        )
    )


def _device(config: Config, gpu: bool) -> str:
    """The device of a job: "auto" is no GPU where none was asked for it, as on a node that has one for others."""
    return "cpu" if config.training.device == "auto" and not gpu else config.training.device


def cross(
    content: Mapping[str, Any],
    key: CrossKey,
    trainings: Sequence[TrainingKey],
    folds: Path,
    output: Path,
    threads: int,
    code_sha256: Sequence[str],
    gpu: bool = True,
) -> None:
    """Test the networks of one dataset on another; without `gpu` the job has none to itself."""
    from sleepbench.cross.audit import audited
    from sleepbench.cross.job import CrossJob
    from sleepbench.cross.job import cross as cross_datasets

    config = validate(content)
    one, other = (dataset(config, name) for name in (key.trained, key.tested))
    trained_on, tested_on = (read_index(paths.recordings(name)) for name in (key.trained, key.tested))
    audit = {
        **audited(trained_on, tested_on, *never_seen(config, key.trained, key.tested)),
        "known_from": f"{key.trained}: {one.subjects_from}; {key.tested}: {other.subjects_from}",
        "channels": montages(config, key.trained, key.tested, key.input),
    }
    simulated = one.label.simulated or other.label.simulated
    cross_datasets(
        CrossJob(
            key=key,
            trainings={training.fold: Path(paths.training(training)) for training in trainings},
            selection=plan(config).datasets[key.trained].protocols[PROTOCOL].selection,
            folds=folds,
            trained_on=trained_on.prepared,
            tested_on={id: tested_on.prepared[id] for id in audit["tested"]},
            audit=audit,
            remedies=config.cross.remedies,
            output=output,
            device=_device(config, gpu),
            threads=threads,
            code_sha256=sha256_of_json(code_sha256),
            provenance={**_provenance(config, key.trained), "simulated": simulated},
        )
    )


def cross_report(inputs: Any, parameters: Any, page: Path) -> None:
    """Make the statistics, tables, figures and the page of networks tested on other datasets."""
    from sleepbench.reporting import artefacts
    from sleepbench.reporting.cross.labels import joint_label
    from sleepbench.reporting.cross.page import write_page
    from sleepbench.reporting.cross.statistics import cross_statistics
    from sleepbench.reporting.figures.style import make_figure
    from sleepbench.reporting.rendering import make_table

    crossed, runs = ([Path(path) for path in files] for files in (inputs.crossed, inputs.runs))
    statistics = Path(paths.cross_product("statistics", "cross", "csv"))
    with replacing(statistics) as temporary:
        cross_statistics(crossed, runs).to_csv(temporary, index=False)
    settings = parameters.settings
    label = joint_label({name: DataLabel(**one) for name, one in settings["labels"].items()})
    known = artefacts.Inputs({"statistics/cross": statistics, "crossed": crossed}, settings, label)
    tables, figures = artefacts.cross_tables().values(), artefacts.cross_figures().values()
    for table in tables:
        make_table(table, known, *(paths.cross_product("tables", table.name, form) for form in ("csv", "md", "tex")))
    for figure in figures:
        files = (paths.cross_product("figures", figure.name, form) for form in ("png", "pdf", "csv"))
        make_figure(figure, known, *files, parameters.titles)
    rendered = [Path(paths.cross_product("tables", table.name, "md")) for table in tables]
    drawn = [(figure, Path(paths.cross_product("figures", figure.name, "png"))) for figure in figures]
    write_page(label, rendered, drawn, page)


def log_runs(content: Mapping[str, Any], name: str, experiment: str, store: str, output: Path) -> None:
    """Log the finished runs on a dataset to MLflow."""
    from sleepbench.runs import mlflow

    config = validate(content)
    mlflow.log_runs(plan(config).datasets[name].runs, config.tracking.uri, store, experiment, output)


def collect_runs(content: Mapping[str, Any], name: str, experiment: str, output: Path) -> None:
    """Verify the runs on a dataset, and collect their metrics from MLflow."""
    from sleepbench.runs import mlflow
    from sleepbench.runs.verify import Expected

    config = validate(content)
    runs = plan(config).datasets[name].runs
    mlflow.collect_runs(runs, Expected(config, name, asked=True), config.tracking.uri, experiment, output)


def audit(
    protocols: Mapping[str, Any], folds: Sequence[str], totals: Sequence[str], label: Label, output: Path
) -> None:
    """Audit the protocols of a dataset."""
    from sleepbench.reporting.audit import write_audit

    write_audit(protocols, folds, totals, DataLabel(**label), output)


def statistics(name: str, inputs: Any, parameters: Any, outputs: Mapping[str, str]) -> None:
    """Compute a set of statistics."""
    from sleepbench.reporting.artefacts import find, make_statistics
    from sleepbench.reporting.artefacts import statistics as known

    make_statistics(find(known, name), _inputs(inputs, parameters, parameters.settings), outputs)


def tables(name: str, inputs: Any, parameters: Any) -> None:
    """Make the tables of a dataset, in three forms each."""
    from sleepbench.reporting import artefacts
    from sleepbench.reporting.rendering import make_table

    for table in artefacts.tables().values():
        print(f"table {table.name}", flush=True)
        files = (paths.table(name, table.name, form) for form in ("csv", "md", "tex"))
        make_table(table, _inputs(inputs, parameters, parameters.settings[table.name]), *files)


def figures(name: str, inputs: Any, parameters: Any) -> None:
    """Make the figures of a dataset as PNG and PDF, with the numbers drawn."""
    from sleepbench.reporting import artefacts
    from sleepbench.reporting.figures.style import make_figure

    for figure in artefacts.figures().values():
        print(f"figure {figure.name}", flush=True)
        files = (paths.figure(name, figure.name, form) for form in ("png", "pdf", "csv"))
        make_figure(figure, _inputs(inputs, parameters, parameters.settings[figure.name]), *files, parameters.titles)


def _inputs(declared: Any, parameters: Any, settings: Mapping[str, Any]) -> "Inputs":
    """What an artefact is built from, from the inputs and parameters of its rule."""
    from sleepbench.reporting.artefacts import STATISTICS, Inputs

    files: dict[str, Any] = {}
    for rule_name, found in declared.items():
        name = rule_name.replace(STATISTICS.replace("/", "_"), STATISTICS, 1)
        files[name] = Path(found) if isinstance(found, str) else [Path(path) for path in found]
    files |= {name: [Path(path) for path in found] for name, found in parameters.files.items()}
    files |= {name: Path(path) for name, path in parameters.resources.items()}
    return Inputs(files, settings, DataLabel(**parameters.label))


def measure_deployment(
    content: Mapping[str, Any], key: TrainingKey, folds: Path, recordings: Path, output: Path
) -> None:
    """Measure the network of a run as C."""
    from sleepbench.deployment.measuring import DeploymentJob, measure

    prepared = read_index(recordings).prepared
    measure(DeploymentJob(validate(content), Path(paths.training(key)), folds, prepared, output))


def report(inputs: Any, parameters: Any, output: Path) -> None:
    """Write the HTML page of a dataset."""
    from sleepbench.reporting.page.report import dataset_report

    dataset_report(
        DataLabel(**parameters.label),
        {Path(path).stem: Path(path) for path in inputs.tables},
        {Path(path).stem: Path(path) for path in inputs.figures},
        Path(inputs.runs),
        [Path(path) for path in inputs.folds],
        Path(inputs.audit),
        [Path(path) for path in inputs.profiles],
        output,
        parameters.not_trained,
    )


def summary(inputs: Any, parameters: Any, output: Path) -> None:
    """Join what the terminal shows of a dataset."""
    from sleepbench.reporting.page.summary import write_summary

    audits = read_json(inputs.audit)["protocols"]
    tables, figures = ([Path(path) for path in paths] for paths in (inputs.tables, inputs.figures))
    write_summary(DataLabel(**parameters.label), audits, tables, figures, output, parameters.not_trained)


def realism(content: Mapping[str, Any], name: str, recordings: Path, outputs: Mapping[str, str], threads: int) -> None:
    """Compare a simulated cohort with the statistics of the real recordings."""
    from sleepbench.reporting.realism.excerpts import are_here, read_excerpts
    from sleepbench.reporting.realism.page import realism_report

    config = validate(content)
    excerpts = dataset(config, EXCERPTS)
    directory = excerpts.directory(paths.raw(excerpts.files_source))
    real = read_excerpts(excerpts, directory) if are_here(excerpts, directory) else None
    missing = (
        f"The real excerpts are not in {directory}: `sleepbench data fetch --datasets {EXCERPTS}` downloads them, or "
        f"set `data: {{{excerpts.source}: {{directory: ...}}}}`; delete this report and ask for it again."
    )
    runs = plan(config).datasets[name].runs
    predictions = [Path(paths.training(run.training), run.selection, "predictions.parquet") for run in runs]
    files = (outputs[form] for form in ("md", "csv", "png", "pdf", "excerpts_png", "excerpts_pdf"))
    networks = list(dict.fromkeys(predictions))
    realism_report(dataset(config, name), recordings, networks, *files, threads, real, missing)


def _provenance(config: Config, name: str) -> dict[str, Any]:
    return {
        "simulated": dataset(config, name).label.simulated,
        "git_commit": git_commit(Path(__file__).resolve().parents[2]),
    }

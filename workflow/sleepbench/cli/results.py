"""Commands on what was run."""

import json
import os
import sys
from pathlib import Path

import click

from sleepbench.cli.run import make
from sleepbench.cli.selection import planned, selection, settings_of
from sleepbench.core.errors import printable


@click.command(epilog="Example: sleepbench tables --experiment paper --datasets sleep-edf-20")
@selection
def tables(**asked: str) -> None:
    """Print the main table so far, of an unfinished run too.

    Each row is marked with its number of folds; nothing is written.
    """
    from sleepbench.runs.progress import report

    config, plan = planned(settings_of(**asked))
    for name in plan.datasets:
        print(report(config, plan, name))


@click.command(epilog="Example: sleepbench report --experiment paper --datasets sleep-edf-20")
@selection
def report(**asked: str) -> int:
    """Write everything that was run into one HTML page."""
    from sleepbench.config import paths

    settings = settings_of(**asked)
    pages = [paths.report(name) for name in planned(settings)[1].datasets]
    if status := make(settings, pages):
        return status
    print("\n".join(pages))
    return 0


@click.command(epilog="Example: sleepbench verify")
def verify() -> int:
    """Give verdicts on the published claims.

    They are from whatever was run on real recordings, which are also set beside a re-run by others, fold by fold. It
    fails when something is not reproduced. Networks are profiled first where that was not done.
    """
    from sleepbench.runs.verdicts import print_verdicts

    return make({}, ["profiles"]) or print_verdicts(planned({})[0])


@click.command(epilog="Example: sleepbench trace sleep-edf-20 protocol=clean")
@click.argument("dataset")
@click.argument("terms", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="List the files of training recordings as well.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def trace(dataset: str, terms: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Trace a row of a table to its runs and recordings.

    TERMS choose a row of the main table (protocol=clean model=ulw_sleepnet), one of another table (table=ladder row=2),
    or are the first digits of a run's key.
    """
    from sleepbench.config.load import load
    from sleepbench.reporting.artefacts import tables
    from sleepbench.runs.trace import report, trace

    document = trace(load(), dataset, terms, {name: one.row_keys for name, one in tables().items() if one.row_keys})
    print(json.dumps(document, indent=2) if as_json else report(document, everything))


@click.group()
def results() -> None:
    """Exchange results, or delete them."""


@results.command(epilog="Example: sleepbench results export sleep-edf-20")
@click.argument("dataset")
@click.argument("archive", required=False, type=click.Path(path_type=Path))
def export(dataset: str, archive: Path | None) -> None:
    """Write results without weights to one small archive.

    ARCHIVE is results/DATASET-results.zip unless another is named.
    """
    from sleepbench.config.load import load
    from sleepbench.runs.archive import export

    print(printable(export(load(), dataset, archive)))


@results.command(epilog="Example: sleepbench results crate results/simulated-results.zip")
@click.argument("archive", type=click.Path(path_type=Path))
@click.argument("crate", required=False, type=click.Path(path_type=Path))
def crate(archive: Path, crate: Path | None) -> None:
    """Describe an archive for repositories of research data.

    Its files, the workflow and the provenance of every run as a Workflow Run RO-Crate. CRATE is ARCHIVE-crate.zip
    beside the archive unless another is named.
    """
    from sleepbench.config.load import load_known
    from sleepbench.runs.crate import write_crate

    print(printable(write_crate(load_known(), archive, crate)))


@results.command(epilog="Example: sleepbench results compare sleep-edf-20 theirs.zip")
@click.argument("dataset")
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--csv", type=click.Path(path_type=Path), help="Write the comparison to this file as well.")
def compare(dataset: str, archive: Path, csv: Path | None) -> None:
    """Compare results with somebody's archive, row by row."""
    from sleepbench.config.load import load
    from sleepbench.runs.archive import compare

    print(printable(compare(load(), dataset, archive, csv)))


@results.command("import", epilog="Example: sleepbench results import theirs.parquet")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--description", type=click.Path(path_type=Path), help="What the table is of; default: TABLE as .yaml.")
@click.option("--hypnograms", type=click.Path(path_type=Path), help="The dataset's hypnograms, if not prepared.")
def import_(table: Path, description: Path | None, hypnograms: Path | None) -> None:
    """Score predictions of others, apart from our runs.

    TABLE (.parquet or .csv) has the columns recording, epoch, stage, predicted and, if there are probabilities, p_W,
    p_N1, p_N2, p_N3, p_REM. Labels are checked against the hypnograms.
    """
    from sleepbench.config.load import load
    from sleepbench.runs.others.importing import import_predictions

    print(printable(import_predictions(load(), table, description, hypnograms)))


@results.command(epilog="Example: sleepbench results imported sleep-edf-20")
@click.argument("dataset")
def imported(dataset: str) -> int:
    """Print the table of others' predictions."""
    from sleepbench.config import paths
    from sleepbench.config.load import load
    from sleepbench.runs.text import experiment_with

    settings = {"experiment": experiment_with(load(), dataset), "datasets": [dataset]}
    table = paths.table(dataset, "others_predictions", "md")
    if status := make(settings, [table]):
        return status
    print(Path(table).read_text(encoding="utf-8"))
    return 0


@results.command(epilog="Example: sleepbench results check submissions/*.zip")
@click.argument("archives", nargs=-1, required=True, type=click.Path(path_type=Path))
def check(archives: tuple[Path, ...]) -> int:
    """Compute all numbers of archives again.

    They are computed from the predictions in an archive, and held against its tables, the folds, and what is known of
    the dataset. It fails where one is not what it says.
    """
    from sleepbench.config.load import load_known
    from sleepbench.runs.archived import check

    status = 0
    for said, is_whole in check(load_known(), archives):
        click.echo(printable(said) if is_whole else f"Error: {printable(said)}", err=not is_whole)
        status = status if is_whole else 1
    return status


@results.command(epilog="Example: sleepbench results site submissions/*.zip --output site")
@click.argument("archives", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Directory of the page, index.html.")
def site(archives: tuple[Path, ...], output: Path) -> None:
    """Show archives of several people on one page.

    Each is checked as by `results check` and called by its file's name.
    """
    from sleepbench.config.load import load_known
    from sleepbench.reporting.page.site import results_site

    print(results_site(load_known(), archives, output))


@results.command(epilog="Example: sleepbench results clean --yes")
@click.option("--yes", is_flag=True, help="Delete it all.")
def clean(yes: bool) -> None:
    """Say what results hold and cost, or delete them."""
    from sleepbench.config.load import load
    from sleepbench.runs.clean import clean

    print(clean(load(), yes))


@click.command(epilog="Example: sleepbench ui")
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True, help="Of 127.0.0.1.")
def ui(port: int) -> None:
    """Browse the runs in MLflow, until Ctrl-C."""
    from sleepbench.config.load import load
    from sleepbench.runs.mlflow import pages
    from sleepbench.runs.store import shown

    uri, address = load().tracking.uri, f"http://127.0.0.1:{port}"
    for experiment, place in pages(uri).items():
        print(f"{experiment}: {address}/{place}")
    print(f"MLflow on {address} shows {shown(uri)}; Ctrl-C ends it", flush=True)
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--port", str(port)])

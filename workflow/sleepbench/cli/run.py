"""Commands that run an experiment, or say what it takes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sleepbench.cli.progress import duration
from sleepbench.cli.selection import planned, selection, settings_of

if TYPE_CHECKING:
    from sleepbench.config.models import Config
    from sleepbench.config.plan import Plan
    from sleepbench.workflow import Workflow


WITHOUT_RUNS = {"data", "prepared", "profiles"}
"""Targets for which no run is logged."""
OTHER_CONFIG = {"--config", "-C", "--configfile", "--configfiles"}
CONDA = {"--software-deployment-method", "--sdm", "--use-conda"}
HERE = ("local", "dryrun", "touch")
"""Options of Snakemake: what it plans is not of config.yaml alone; jobs run where PyTorch is its CPU build. And the
executors whose jobs run on this machine: where they run on others there may be a GPU that is not here."""


class Passing(click.Command):
    """A command that passes what stands behind "--" to another program, as `passed`."""

    def parse_args(self, context: click.Context, arguments: list[str]) -> list[str]:
        """Take off what is passed, and read the rest."""
        own = arguments.index("--") if "--" in arguments else len(arguments)
        rest = super().parse_args(context, arguments[:own])
        context.params["passed"] = tuple(arguments[own + 1 :])
        return rest


@click.command(cls=Passing, epilog="Example: sleepbench run --experiment paper --datasets sleep-edf-20")
@selection
@click.option("-n", "--dry-run", is_flag=True, help="Plan only: list the jobs.")
@click.option("--cores", metavar="N", type=click.IntRange(1), help="Jobs at a time; default: as many as cores.")
@click.option("--verbose", is_flag=True, help="Print all that Snakemake says.")
@click.argument("targets", nargs=-1)
def run(
    dry_run: bool, cores: int | None, verbose: bool, targets: tuple[str, ...], passed: tuple[str, ...], **asked: str
) -> int:
    """Run an experiment, up to its tables, figures and report.

    Finished trainings are kept, an interrupted run resumes. A LIST is separated by commas and takes the place of the
    experiment's own. TARGETS are files under results/ to be made in place of all. Snakemake's own options go behind
    "--".
    """
    options = [*(["--dry-run"] if dry_run else []), *(["--cores", str(cores)] if cores else []), *passed]
    return make(settings_of(**asked), targets, options, verbose=verbose)


def make(
    settings: dict[str, Any], targets: Sequence[str] = (), options: Sequence[str] = (), *, verbose: bool = False
) -> int:
    """Check the configuration and make targets with Snakemake, by default all of them.

    Where all were made, print what came out. Returns Snakemake's exit status. BenchmarkError when the configuration
    is wrong.
    """
    from sleepbench.cli.launch import DRY_RUN, snakemake
    from sleepbench.config.crosses import crosses
    from sleepbench.core.gpu import require_gpu
    from sleepbench.runs.store import require_store

    started = time.monotonic()
    config, plan = planned(settings)
    print(*_to_accept(config, plan), sep="", end="", file=sys.stderr)
    if not DRY_RUN & set(options) and any(target not in WITHOUT_RUNS for target in targets or ["all"]):
        require_store(config.tracking.uri)
        if not is_elsewhere(options) and not _is_trained(plan):
            require_gpu(config.training.device)
    arguments = [*with_config(options, settings), *(["--", *targets] if targets else [])]
    status = snakemake(arguments, partial(_again, config, targets, options), verbose=verbose)
    if status == 0 and not targets and not DRY_RUN & set(options):
        is_crossed = bool(crosses(config, plan))
        print_outcomes(config, plan.datasets, time.monotonic() - started, is_crossed=is_crossed)
    return status


def _to_accept(config: Config, plan: Plan) -> list[str]:
    """A line for each database whose files are not all here: their size, and what getting them accepts."""
    from sleepbench.config import paths
    from sleepbench.config.plan import dataset

    said = []
    for one in (dataset(config, name) for name in plan.datasets):
        directory = one.directory(paths.raw(one.files_source))
        if (line := one.to_accept()) and any(
            not one.locate(file.name, directory).exists() for night in one.used() for file in night.files
        ):
            said.append(f"{line}\n")
    return said


def _is_trained(plan: Plan) -> bool:
    """Whether all of its trainings are there."""
    from sleepbench.config import paths

    return all(Path(paths.training(key)).exists() for one in plan.datasets.values() for key in one.trainings)


def _again(config: Config, targets: Sequence[str], options: Sequence[str]) -> list[str]:
    """The files that are not what was made, or not as Snakemake remembers; they are named.

    By itself Snakemake looks at time stamps, and at what it remembers.
    """
    from sleepbench.workflow import Workflow

    if OTHER_CONFIG & {*options}:
        print("With a configuration of its own, results are not compared with their records.", file=sys.stderr)
        return []
    workflow = Workflow(config, Path.cwd(), may_use_gpu=not CONDA & {*options}, elsewhere=is_elsewhere(options))
    files, said = workflow.again(targets)
    print(*said, sep="\n", end="\n" if said else "", file=sys.stderr)
    return [*files, *_lost_by_a_server(workflow)]


def _lost_by_a_server(workflow: Workflow) -> list[str]:
    """The lists of logged runs of which a store that is no local file holds none any more."""
    from sleepbench.config import paths

    logged = {workflow.experiment(name): Path(paths.logged(name)) for name in workflow.datasets}
    logged = {experiment: path for experiment, path in logged.items() if path.exists()}
    if workflow.store_file or not logged:
        return []
    from sleepbench.runs import mlflow

    lost = [str(path) for path in mlflow.lost(workflow.config.tracking.uri, logged)]
    if lost:
        print(f"The MLflow store has lost runs: they are logged again, {', '.join(lost)}.", file=sys.stderr)
    return lost


def is_elsewhere(options: Sequence[str]) -> bool:
    """Whether options of Snakemake let other machines do the jobs: by an executor, or by a profile that names one."""
    import yaml

    words = [word for option in options for word in option.split("=", 1)]
    for name, value in pairwise(words):
        if name in ("--executor", "-e"):
            return value not in HERE
        if name in ("--profile", "--workflow-profile") and (profile := Path(value, "config.yaml")).exists():
            content = yaml.safe_load(profile.read_text(encoding="utf-8")) or {}
            if content.get("executor", "local") not in HERE:
                return True
    return False


def with_config(options: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
    """Options of Snakemake and settings of `run`, these as one argument whatever is in them.

    Snakemake takes the last --config alone: one among the options gets them as well.
    """
    if not settings:
        return list(options)
    run = f"run={json.dumps(settings)}"
    for place, option in enumerate(options):
        if option in ("--config", "-C"):
            return [*options[: place + 1], run, *options[place + 1 :]]
    return [*options, "--config", run]


def print_outcomes(config: Config, datasets: Sequence[str], seconds: float, *, is_crossed: bool = False) -> None:
    """Print the main results of some datasets, what they took, and where their reports are.

    `is_crossed` says whether there is one on networks tested on other datasets.
    """
    from sleepbench.cli.outcome import outcome
    from sleepbench.config import paths
    from sleepbench.config.plan import dataset

    for name in datasets:
        print("", *outcome(dataset(config, name).label), sep="\n")
    pages = [*map(paths.report, datasets), *([paths.cross_page()] if is_crossed else [])]
    print(f"Took {duration(seconds)}", *(f"Open {page}" for page in pages), sep="\n")


@click.command(epilog="Example: sleepbench estimate --experiment paper --datasets sleep-edf-20")
@selection
@click.option("--check", is_flag=True, help="Compare an estimate of what is finished with what it took.")
@click.option("--slurm", is_flag=True, help="Say what to ask of SLURM for the longest training (docs/cluster.md).")
@click.option("--subjects", type=click.IntRange(10, 1_000_000), help="Of a large study, on paper, in place of a run.")
@click.option("--nights", type=click.IntRange(1, 100), help="Of each subject; default: 1.")
@click.option("--gpus", type=click.IntRange(0, 10_000), help="That it is trained on.")
def estimate(
    check: bool, slurm: bool, subjects: int | None, nights: int | None, gpus: int | None, **asked: str
) -> None:
    """Say how many hours and gigabytes a run takes here.

    Some steps of everything that is left to train are timed for a minute. Of a study of many --subjects, nothing is
    timed: it says files, gigabytes, hours by number of GPUs, and what breaks first.
    """
    if subjects is None and (nights, gpus) != (None, None):
        raise click.UsageError("--nights and --gpus are of a large study: give its --subjects too")
    if subjects is not None:
        if given := [name for name, value in {"check": check, "slurm": slurm, **asked}.items() if value]:
            raise click.UsageError(f"a study of --subjects is no experiment: leave --{' and --'.join(given)} away")
        from sleepbench.benchmarks.large_study import print_study

        print_study(subjects, nights or 1, gpus or 0)
        return
    if check and slurm:
        raise click.UsageError("--check is of what is finished, --slurm of what is left: give one of them")
    from sleepbench.benchmarks.estimate import check_estimate, estimate_run

    config, plan = planned(settings_of(**asked))
    if check:
        check_estimate(config, plan)
    else:
        estimate_run(config, plan, slurm)

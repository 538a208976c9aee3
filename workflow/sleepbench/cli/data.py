"""Commands on the recordings."""

from pathlib import Path

import click

from sleepbench.cli.run import make
from sleepbench.cli.selection import datasets_option, planned, settings_of_data

ONE_TRAINING = {
    "protocols": ["clean"],
    "models": ["ulw_sleepnet"],
    "inputs": ["four"],
    "recipes": ["ulw"],
    "seeds": [32],
}


@click.group()
def data() -> None:
    """Fetch, check and prepare recordings."""


@data.command(epilog="Example: sleepbench data fetch --datasets sleep-edf-20")
@datasets_option
def fetch(datasets: str | None) -> int:
    """Download or simulate files, and check them.

    What is there and right is not fetched again.
    """
    return make(settings_of_data(datasets), ["data"], ["--forcerun", "fetch"])


@data.command(epilog="Example: sleepbench data verify --datasets sleep-edf-20")
@datasets_option
@click.option("--threads", type=click.IntRange(1), help="Files hashed side by side; default: as many as cores.")
def verify(datasets: str | None, threads: int | None) -> int:
    """Hash the files on disk again; nothing is changed."""
    from sleepbench.preparation.verify import verify_dataset

    config, plan = planned(settings_of_data(datasets))
    right = [verify_dataset(config, name, threads) for name in plan.datasets]
    return 0 if all(right) else 1


@data.command(epilog="Example: sleepbench data prepare --datasets sleep-edf-20")
@datasets_option
def prepare(datasets: str | None) -> int:
    """Prepare recordings, and check the known totals."""
    return make(settings_of_data(datasets), ["prepared"])


@data.command(epilog="Example: sleepbench data simulate --like hmc /tmp/hmc")
@click.option("--like", required=True, metavar="NAME", help="A dataset of another database, such as hmc or dod-h.")
@click.option("--subjects", type=click.IntRange(1), default=4, show_default=True, help="The first so many.")
@click.option("--hours", type=click.FloatRange(1, 12), default=2.0, show_default=True, help="Of each night.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Another seed, other nights.")
@click.argument("directory", type=click.Path(path_type=Path))
def simulate(like: str, subjects: int, hours: float, seed: int, directory: Path) -> None:
    """Write simulated nights in the files of a database.

    Names, channels, rates, units and scorings are as in the real ones; the signals are made up, and each file says so.
    """
    from sleepbench.config.load import load
    from sleepbench.config.plan import dataset
    from sleepbench.core.errors import BenchmarkError
    from sleepbench.datasets import open_dataset
    from sleepbench.datasets.database import Database

    config = load()
    real = dataset(config, like)
    if not isinstance(real, Database):
        every = (dataset(config, name) for name in config.datasets)
        known = [one.name for one in every if isinstance(one, Database) and not one.label.simulated]
        raise BenchmarkError(f"{like}: has no simulated nights of this kind; expected one of {', '.join(known)}")
    asked = {"simulated": True, "subjects": subjects, "psg_hours": hours, "seed": seed}
    one = open_dataset(like, {"reader": config.datasets[like].reader, **asked}, {})
    nights = one.recordings()
    n_bytes = 0
    for night in nights:
        receipt = one.fetch(night, directory)
        n_bytes += sum(receipt[file.role]["bytes"] for file in night.files)
        print(f"{night.id}: {', '.join(file.name for file in night.files)}", flush=True)
    one.write_home(directory)
    said = ", ".join(f"{name}: {str(value).lower()}" for name, value in asked.items())
    print(
        f"{len(nights)} SIMULATED nights in the files of {real.printed}, {n_bytes / 1e6:.0f} MB, are in {directory}.",
        f"To run on them, add to config.yaml: datasets: {{{like}: {{{said}}}}} and data: {{{like}: {{directory: "
        f"{directory}, base_url: null}}}}",
        sep="\n",
    )


@data.command(epilog="Example: sleepbench data realism --dataset simulated-20")
@click.option("--dataset", default="simulated-20", show_default=True, help="A simulated cohort.")
def realism(dataset: str) -> int:
    """Say how near a simulated cohort is to real nights.

    39 full days are simulated and a network is trained on them, in 20 minutes; where the real excerpts of 5 s are,
    eight small trainings more, in 10.
    """
    from sleepbench.config import paths
    from sleepbench.config.plan import dataset as opened
    from sleepbench.core.errors import BenchmarkError

    settings = {"datasets": [dataset], **ONE_TRAINING}
    config, _ = planned(settings)
    if config.datasets[dataset].reader != "simulated" or not opened(config, dataset).label.simulated:
        raise BenchmarkError(f"{dataset}: holds no simulated cohort; name one, such as simulated-20 or simulated-78")
    page = f"{paths.home(dataset)}/realism.md"
    if status := make(settings, [page]):
        return status
    text = Path(page).read_text(encoding="utf-8")
    print(text, end="")
    if any(cell.strip() == "NO" for line in text.splitlines() for cell in line.split("|")):
        raise BenchmarkError(f"{page}: the simulated cohort is not within its bounds")
    return 0


@data.command(epilog="Example: sleepbench data rehearsal")
@click.argument("directory", type=click.Path(path_type=Path), default="results/rehearsal")
def rehearsal(directory: Path) -> int:
    """Rehearse the paper's run against a local server.

    Short simulated nights are served under the names of Sleep-EDF-20; 10 minutes. All of it stays in DIRECTORY.
    """
    from sleepbench.cli.rehearsal import rehearse

    return rehearse(directory)

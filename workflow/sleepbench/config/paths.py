"""Every path under results/: what is made, where. Nothing else spells one.

Names may be wildcards of Snakemake ("{dataset}"), so that rules and the package agree. Paths are text relative to the
root of the project.
"""

from collections.abc import Sequence
from pathlib import Path

from sleepbench.config.keys import CrossKey, TrainingKey
from sleepbench.core.stages import SAMPLES_PER_EPOCH

RESULTS = "results"
DATA = f"{RESULTS}/data"
LOGS = f"{RESULTS}/logs"
BENCHMARKS = f"{RESULTS}/benchmarks"
MADE = f"{RESULTS}/made"
PROFILES = f"{RESULTS}/profile"
PARITY = f"{RESULTS}/parity"
IMPORTED = f"{RESULTS}/imported"
ARTIFACTS = f"{RESULTS}/mlflow-artifacts"
CROSS = f"{RESULTS}/cross"
KEPT = "README.md"
"""The one file under results/ that git keeps."""

TRAINING = "{dataset}/trainings/{folds}/{trimming}/{model}/{input}/{recipe}/seed-{seed}"
POSTPROCESSED = TRAINING.replace("trainings", "postprocessed")
CROSSED = "trained/{trained}/tested/{tested}/{model}/{input}/{recipe}/seed-{seed}"
TABLE_FORMS, FIGURE_FORMS = ("csv", "md", "tex"), ("csv", "pdf", "png")


# ------------------------------------------------------------------------------------------------------- data


def raw(source: str) -> str:
    """Where the files of a source lie unless the configuration says another directory."""
    return f"{DATA}/{source}/raw"


def receipt(source: str, recording: str) -> str:
    """What was found when a recording's files were fetched and hashed."""
    return f"{DATA}/{source}/verified/{recording}.json"


def prepared(source: str, recording: str, suffix: str = "npy") -> str:
    """A file of a prepared recording: npy, epochs.csv, json or quality.json."""
    return f"{DATA}/{source}/prepared/{recording}.{suffix}"


# ------------------------------------------------------------------------------------------------------- dataset


def home(dataset: str) -> str:
    """Where everything made of a dataset lies."""
    return f"{RESULTS}/{dataset}"


def recordings(dataset: str, form: str = "json") -> str:
    """The index of a dataset's prepared recordings; as CSV, a view of it.

    It stands between the recordings and the trainings.
    """
    return f"{home(dataset)}/recordings.{form}"


def folds(dataset: str, name: str) -> str:
    """A fold file."""
    return f"{home(dataset)}/folds/{name}.json"


def totals(dataset: str, folds: str, trimming: str) -> str:
    """Epochs of a dataset compared with what is known of them."""
    return f"{home(dataset)}/totals/{folds}-{trimming}.json"


def training(key: TrainingKey, fold: bool = True) -> str:
    """The directory of a training; without `fold` the one that its folds share."""
    shared = f"{RESULTS}/{TRAINING.format(**vars(key))}"
    return f"{shared}/fold-{key.fold}" if fold else shared


def smoothed(key: TrainingKey, selection: str) -> str:
    """The directory of a run's smoothed predictions."""
    return f"{RESULTS}/{POSTPROCESSED.format(**vars(key))}/fold-{key.fold}/{selection}"


def stack(key: TrainingKey, first: int, last: int) -> str:
    """The receipt of folds that one job trains."""
    return f"{training(key, fold=False)}/stack-{stack_name(first, last)}.json"


def stack_name(first: int, last: int) -> str:
    """What a job's folds are called: "3" for one, "0-4" for several."""
    return str(first) if first == last else f"{first}-{last}"


# ------------------------------------------------------------------------------------------------------- reporting


def logged(dataset: str) -> str:
    """The list of runs that MLflow holds."""
    return f"{home(dataset)}/logged_runs.json"


def runs(dataset: str) -> str:
    """The table of runs: verified where it is made, trusted after that."""
    return f"{home(dataset)}/runs.csv"


def statistics(dataset: str, name: str) -> str:
    """A file of statistics."""
    return f"{home(dataset)}/statistics/{name}.csv"


def table(dataset: str, name: str, form: str = "csv") -> str:
    """A table in one of TABLE_FORMS."""
    return f"{home(dataset)}/tables/{name}.{form}"


def figure(dataset: str, name: str, form: str = "png") -> str:
    """A figure in one of FIGURE_FORMS; its CSV holds the numbers drawn."""
    return f"{home(dataset)}/figures/{name}.{form}"


def summary(dataset: str) -> str:
    """What the terminal shows at the end."""
    return f"{home(dataset)}/summary.md"


def report(dataset: str) -> str:
    """The HTML page."""
    return f"{home(dataset)}/report.html"


def crossed(key: CrossKey) -> str:
    """The directory of predictions on a dataset by the networks of another."""
    return f"{CROSS}/{CROSSED.format(**vars(key))}"


def cross_product(room: str, name: str, form: str) -> str:
    """A table, figure or file of statistics of all that is tested on another dataset."""
    return f"{CROSS}/{room}/{name}.{form}"


def cross_page() -> str:
    """The page of all that is tested on another dataset."""
    return f"{CROSS}/report.md"


def profile(model: str, shape: int | str) -> str:
    """Size, operations and latency of a network, by the `epoch_shape` that it is given."""
    return f"{PROFILES}/{model}-{shape}.json"


def epoch_shape(n_channels: int, n_samples: int = SAMPLES_PER_EPOCH) -> str:
    """An epoch's channels, "4", and its samples where these are fewer than a whole one's, "1x500"."""
    return str(n_channels) if n_samples == SAMPLES_PER_EPOCH else f"{n_channels}x{n_samples}"


def parity(model: str) -> str:
    """How near a model is to other programs of it."""
    return f"{PARITY}/{model}.json"


def deployment(dataset: str) -> str:
    """What a run's network does as C, on this machine and on emulated boards."""
    return f"{home(dataset)}/deployment.json"


def imported(name: str) -> str:
    """The directory of somebody else's predictions."""
    return f"{IMPORTED}/{name}"


def archive(dataset: str) -> str:
    """Results without weights as one file."""
    return f"{RESULTS}/{dataset}-results.zip"


# ------------------------------------------------------------------------------------------------------- jobs


def log(path: str) -> str:
    """The log of the job that makes a path under results/; its suffix is left out."""
    return f"{LOGS}/{_stem(path)}.log"


def benchmark(path: str) -> str:
    """Time and memory of the job that makes a path under results/."""
    return f"{BENCHMARKS}/{_stem(path)}.tsv"


def made(path: str) -> str:
    """The record of a file or directory that a job made: its hashes."""
    if path.startswith(f"{RESULTS}/"):
        return f"{MADE}{path.removeprefix(RESULTS)}.json"
    return f"{MADE}/elsewhere/{path.lstrip('/').replace('../', '')}.json"


def _stem(path: str) -> str:
    below = Path(path).relative_to(RESULTS)
    return str(below.with_suffix("")) if below.suffix else str(below)


def each(paths: Sequence[str], root: Path = Path()) -> list[Path]:
    """Paths below a root, such as that of an unpacked archive."""
    return [root / path for path in paths]

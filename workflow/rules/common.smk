import functools
import itertools
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Scripts may run in a conda environment that holds third-party packages only: let them find ours.
PACKAGE = str(Path(workflow.basedir) / "workflow")
sys.path.insert(0, PACKAGE)
os.environ.update(PYTHONPATH=PACKAGE)

from sleepbench.config.load import (
    data_directory,
    dataset_of,
    networks_of,
    not_trained_sentences,
    plan,
    recipe_settings,
    seeds_of,
    simulation_ids,
    validate,
)
from sleepbench.datasets.recordings import first_subjects, read_recordings
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_file, sha256_of_json
from sleepbench.core.gpu import takes_gpu
from sleepbench.models import describe, model_names
from sleepbench.protocols.folds import FoldSettings
from sleepbench.core.provenance import POSTPROCESSING, PREPARATION, TRAINING, code_sha256
from sleepbench.runs.store import renew_store_mark
from sleepbench.protocols.selection import SELECTIONS

try:
    validate(config)
except BenchmarkError as error:
    raise WorkflowError(str(error)) from None

ENVIRONMENT = "../../envs/environment.yaml"
# envs/environment.yaml has PyTorch's CPU build.
USES_GPU = takes_gpu(config) and not workflow.deployment_settings.deployment_method
PUBLISHED = "workflow/resources/published_results.csv"
PUBLISHED_SIZES = "workflow/resources/published_sizes.csv"
CLAIMS = "workflow/resources/claims.yaml"

PUBLISHED_FOLDS = "workflow/resources/folds"
KNOWN_TOTALS = "workflow/resources/known_totals.yaml"
KNOWN_EPOCHS = "workflow/resources/known_epochs.csv"

SUMMARY_TABLES = ["main_results", "ladder", "claims", "audit", "complexity"]
STATISTICS_TABLES = {
    "ladder": ["ladder"],
    "intervals": ["intervals", "subjects"],
    "classes": ["intervals"],
    "channels": ["channels"],
    "comparisons": ["comparisons"],
    "groups": ["groups"],
    "sleep_measures": ["sleep_measures"],
}
TABLES = [
    *SUMMARY_TABLES,
    "published_sizes",
    *(name for name in STATISTICS_TABLES if name not in SUMMARY_TABLES),
    *("postprocessing", "quality"),
]
STATISTICS = [
    *("intervals", "subjects", "groups", "comparisons", "ladder", "channels", "nights", "sleep_measures"),
    "reliability",
]
FIGURES = [
    *("ladder", "cost", "confusion", "subjects", "reliability", "sleep_agreement"),
    *("night", "training_curves", "hypnograms"),
]
REPORTING_CODE = code_sha256(
    [
        *("reporting/**/*.py", "reporting/**/*.jinja", "runs/run_files.py", "evaluation/*.py", "protocols/*.py"),
        *("signals/quality.py", "signals/hypnogram.py", "profiling/conventions.py"),
    ]
)
STORE_MARK = "results/mlflow-store.json"

TRAININGS = "results/{dataset}/trainings/{folds}/{window}/{model}/{channels}/{recipe}/seed-{seed}"
POSTPROCESSED = TRAININGS.replace("trainings", "postprocessed")

NETWORKS, SKIPPED = plan(config)
NOT_TRAINED = not_trained_sentences(SKIPPED)
DATASETS = {name: dataset_of(config, name) for name in config["datasets"]}
SIMULATED = [name for name, dataset in DATASETS.items() if dataset.simulation]
FOLD_SETTINGS = {
    (dataset, protocol): FoldSettings.of_protocol(settings, dataset)
    for protocol, settings in config["protocols"].items()
    for dataset, k in settings["folds"].items()
    if k
}


wildcard_constraints:
    dataset="|".join(DATASETS),
    source="|".join(["sleep-edf", *SIMULATED]),
    recording=r"SC4\d\d[12]",
    folds="|".join(sorted({settings.name for settings in FOLD_SETTINGS.values()})),
    window="released|standard",
    model="|".join(model_names()),
    channels="|".join(config["channels"]),
    recipe="|".join(config["recipes"]),
    seed=r"\d+",
    group=r"\d+(-\d+)?",
    fold=r"\d+",
    selection="|".join(SELECTIONS),
    n_channels=r"\d+",


onstart:
    for skipped in SKIPPED:
        print(f"Not trained: {skipped}", file=sys.stderr)


def table_of(source):
    """The table of a source's recordings: committed for Sleep-EDF, the manifest of a simulated cohort."""
    # The committed table is as new as the last checkout: what it says of a recording is watched as a parameter instead.
    return f"results/data/{source}/recordings.csv" if source in SIMULATED else ancient(config["data"]["table"])


def raw_directory(source):
    return f"results/data/{source}/raw" if source in SIMULATED else str(data_directory(config))


def is_simulated(source):
    """Whether a source's files hold simulated signals: a simulated cohort, or a rehearsal under the real names."""
    return source in SIMULATED or config["data"]["simulated"]


@functools.cache
def recording_ids(dataset):
    """Ids of a dataset's recordings, known before a simulated cohort is written."""
    if DATASETS[dataset].simulation:
        return simulation_ids(DATASETS[dataset].simulation)
    try:
        table = read_recordings(config["data"]["table"])
        return [recording.id for recording in first_subjects(table, DATASETS[dataset].subjects)]
    except BenchmarkError as error:
        raise WorkflowError(f"data.table: {error}") from None


def of_recordings(dataset, path):
    """A path of the source's data, such as "prepared/{recording}.npy", for every recording of a dataset."""
    return expand(f"results/data/{DATASETS[dataset].source}/{path}", recording=recording_ids(dataset))


def fold_settings(dataset, folds):
    """The fold settings that a path names, and the protocols that use them on this dataset."""
    protocols = [p for (d, p), settings in FOLD_SETTINGS.items() if d == dataset and settings.name == folds]
    if not protocols:
        raise WorkflowError(f"no protocol of the configuration has the folds '{folds}' on {dataset}")
    return FOLD_SETTINGS[dataset, protocols[0]], protocols


def fold_groups(dataset, k):
    """Names of the groups of folds that jobs train: "3" for one fold, "0-4" for several."""
    if DATASETS[dataset].only_folds:
        return [str(fold) for fold in DATASETS[dataset].only_folds]
    size = config["training"]["folds_per_job"]
    if size == "auto":
        size = k if USES_GPU else 1
    bounds = [(first, min(first + size, k) - 1) for first in range(0, k, size)]
    return [str(first) if first == last else f"{first}-{last}" for first, last in bounds]


def folds_in_group(group):
    first, _, last = group.partition("-")
    return list(range(int(first), int(last or first) + 1))


def folds_of_job(wildcards):
    """Numbers of the folds that a training job's path names."""
    groups = fold_groups(wildcards.dataset, fold_settings(wildcards.dataset, wildcards.folds)[0].k)
    if wildcards.group not in groups:
        raise WorkflowError(f"{wildcards.folds} has no group '{wildcards.group}' of folds, only {', '.join(groups)}")
    return folds_in_group(wildcards.group)


def group_of(dataset, folds, fold):
    """Name of the group of folds that trains a fold."""
    k = fold_settings(dataset, folds)[0].k
    if fold >= k:
        raise WorkflowError(f"{folds} has no fold {fold}, only 0 to {k - 1}")
    for group in fold_groups(dataset, k):
        if fold in folds_in_group(group):
            return group
    raise WorkflowError(f"fold {fold} is not among datasets.{dataset}.only_folds, {DATASETS[dataset].only_folds}")


def protocols_of(dataset):
    """The protocols that are run on a dataset, in the order of the configuration."""
    return [name for name in config["run"]["protocols"] if (dataset, name) in FOLD_SETTINGS]


def by_protocol(dataset, path):
    """A path under results/<dataset>/ that names {folds} and perhaps {window}, for each protocol run on a dataset."""
    return {
        name: f"results/{dataset}/"
        + path.format(folds=FOLD_SETTINGS[dataset, name].name, window=config["protocols"][name]["window"])
        for name in protocols_of(dataset)
    }


def totals(dataset):
    """What compares a dataset's epochs with the known totals, for every protocol that is run on it."""
    return sorted(set(by_protocol(dataset, "totals/{folds}-{window}.json").values()))


def receipts(dataset):
    """Receipts of all trainings that the configuration asks for on a dataset; protocols may share them."""
    paths = {}
    for protocol in protocols_of(dataset):
        settings = FOLD_SETTINGS[dataset, protocol]
        for network, seed in itertools.product(
            networks_of(config, dataset, protocol), seeds_of(config, dataset, protocol)
        ):
            training = TRAININGS.format(
                dataset=dataset,
                folds=settings.name,
                window=config["protocols"][protocol]["window"],
                **network._asdict(),
                seed=seed,
            )
            paths |= dict.fromkeys(f"{training}/group-{group}.json" for group in fold_groups(dataset, settings.k))
    return list(paths)


def postprocessed_protocols(dataset):
    """The protocols that are run on a dataset and whose runs are smoothed."""
    return [name for name in protocols_of(dataset) if name in config["postprocessing"]["protocols"]]


def smoothed_runs(dataset):
    """Directories of the smoothed predictions that the configuration asks for on a dataset."""
    networks = [network for network in NETWORKS if network.model in config["postprocessing"]["hmm"]]
    directories = {}
    for protocol, network in itertools.product(postprocessed_protocols(dataset), networks):
        settings = FOLD_SETTINGS[dataset, protocol]
        for seed in seeds_of(config, dataset, protocol):
            home = POSTPROCESSED.format(
                dataset=dataset,
                folds=settings.name,
                window=config["protocols"][protocol]["window"],
                **network._asdict(),
                seed=seed,
            )
            folds = DATASETS[dataset].only_folds or range(settings.k)
            selection = config["protocols"][protocol]["selection"]
            directories |= dict.fromkeys(f"{home}/fold-{fold}/{selection}" for fold in folds)
    return list(directories)


def predictions(dataset, protocol):
    """Predictions of the first network and seed of the configuration in every fold of a protocol."""
    settings = FOLD_SETTINGS[dataset, protocol]
    training = TRAININGS.format(
        dataset=dataset,
        folds=settings.name,
        window=config["protocols"][protocol]["window"],
        **NETWORKS[0]._asdict(),
        seed=config["run"]["seeds"][0],
    )
    selection = config["protocols"][protocol]["selection"]
    return [f"{training}/fold-{fold}/{selection}/predictions.parquet" for fold in range(settings.k)]


def resources_sha256(*paths):
    """Hash of committed files whose time stamps say nothing: that of the checkout."""
    return sha256_of_json([sha256_of_file(Path(workflow.basedir) / path) for path in paths])


def experiment(dataset):
    return f"{dataset} (SIMULATED, not Sleep-EDF)" if DATASETS[dataset].simulated else dataset


def products(dataset):
    """Everything that is made for a dataset: trainings, tables, figures, summary."""
    return [
        *receipts(dataset),
        *expand(
            "results/{dataset}/tables/{name}.{form}",
            dataset=dataset,
            name=TABLES,
            form=["csv", "md", "tex"],
        ),
        *expand("results/{dataset}/figures/{name}.{form}", dataset=dataset, name=FIGURES, form=["csv", "pdf", "png"]),
        f"results/{dataset}/summary.md",
        f"results/{dataset}/report.html",
    ]


def profiles(dataset):
    """Profiles of what is trained; an estimator has no operations to count."""
    sizes = dict.fromkeys((network.model, len(config["channels"][network.channels])) for network in NETWORKS)
    networks = [(model, n_channels) for model, n_channels in sizes if describe(model).kind == "network"]
    return [f"results/profile/{model}-{n_channels}.json" for model, n_channels in networks]


def own_recipes():
    """By title of each model that is trained, the recipe of its own paper, where one is known."""
    models = [describe(network.model) for network in NETWORKS]
    return {model.title: model.published_recipe for model in models if model.published_recipe}


def undefined_channels():
    """Models and sets of channels that were asked for, but that the model is not defined for."""
    return [
        {
            "title": describe(skipped.model).title,
            "channels": skipped.channels,
            "n_channels": len(config["channels"][skipped.channels]),
            "reason": skipped.reason,
        }
        for skipped in SKIPPED
        if skipped.channels
    ]


def table_files(name):
    """A table's three files: CSV is the data, the others are rendered from it."""
    return {form: f"results/{{dataset}}/tables/{name}.{form}" for form in ("csv", "md", "tex")}


def figure_files(name):
    """A figure as PNG and PDF, and the numbers behind it."""
    return {form: f"results/{{dataset}}/figures/{name}.{form}" for form in ("csv", "pdf", "png")}

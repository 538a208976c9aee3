"""Reading and checking config.yaml, before any job runs.

The schema (workflow/schemas/config.schema.yaml) fixes keys and types; this module adds what a schema cannot say: that
names which point at other sections exist there. Every error names the key, what was found and the nearest known name.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml
from jsonschema import Draft202012Validator, TypeChecker, ValidationError, validators

from sleepbench.core.errors import BenchmarkError, nearest
from sleepbench.models import describe, model_names, model_source
from sleepbench.simulation.cohort import shape_ids, simulated_ids
from sleepbench.training.recipe import Recipe

OFFICIAL_TABLE = "workflow/resources/sleep_edf_recordings.csv"
PUBLISHED = "published"
"""In run.recipes, the recipe of each model's own paper."""
NO_RECIPE = "no recipe of the paper is known; only common is offered"
SCHEMA = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"


def _is_whole(checker: TypeChecker, value: object) -> bool:
    """JSON takes 2.0 for an integer; a count of folds or threads must be written as one."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_finite(checker: TypeChecker, value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


Validator = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_whole, "number": _is_finite}),
)


def load(path: Path = Path("config.yaml")) -> dict:
    """Read and check a config file; BenchmarkError when it is missing, no YAML or wrong."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BenchmarkError(f"{path}: not found in {Path.cwd()}; run this from the root of the repository") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BenchmarkError(f"{path}: cannot be read as YAML ({error}); mend it") from error
    validate(config)
    return config


def validate(config: dict) -> None:
    """Raise BenchmarkError that lists everything wrong with a config; nothing is changed or filled in."""
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    errors = sorted(Validator(schema).iter_errors(config), key=lambda error: list(map(str, error.path)))
    problems = [problem for error in errors for problem in _describe(error)]
    # Names can be followed only through a config whose shape is right, contradictions only between known names.
    problems = problems or list(_unknown_names(config)) or list(_contradictions(config))
    if any("expected a whole number" in p or "expected true" in p or "expected number" in p for p in problems):
        problems.append(
            "(numbers and booleans inside a mapping given by --config arrive as text: set them in config.yaml)"
        )
    if problems:
        raise BenchmarkError(
            "the configuration (config.yaml, --configfile or --config) is wrong:\n  " + "\n  ".join(problems)
        )


def _describe(error: ValidationError) -> list[str]:
    key = ".".join(map(str, error.absolute_path)) or "top level"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        return [f"{key}: unknown key '{name}'; {nearest(name, known)}" for name in error.instance if name not in known]
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return [f"{key}: the key '{name}' is missing; add it" for name in missing if f"'{name}'" in error.message]
    if error.validator == "enum":
        return [f"{key}: found {error.instance!r}; {nearest(error.instance, map(str, error.validator_value))}"]
    if error.validator == "type":
        return [f"{key}: found {error.instance!r}, expected {_words(error.validator_value)}"]
    if error.validator == "pattern" and "description" in error.schema:
        return [f"{key}: found {error.instance!r}, expected {error.schema['description']}"]
    return [f"{key}: {error.message}"]


def _words(types: str | list[str]) -> str:
    names = {"object": "a mapping", "array": "a list", "integer": "a whole number", "boolean": "true or false"}
    return " or ".join(names.get(name, name) for name in ([types] if isinstance(types, str) else types))


def _unknown_names(config: dict) -> Iterable[str]:
    run = config["run"]
    for key in ("datasets", "protocols", "channels"):
        yield from _not_among(f"run.{key}", run[key], config[key])
    yield from _not_among("run.recipes", run["recipes"], [*config["recipes"], PUBLISHED])
    yield from _not_among("run.models", run["models"], model_names())
    yield from _not_among("run.channels_only_for", run["channels_only_for"], config["channels"])
    for name, models in run["channels_only_for"].items():
        yield from _not_among(f"run.channels_only_for.{name}", models, model_names())
    for name, recipe in config["recipes"].items():
        if recipe.get("pretrain"):
            yield from _not_among(f"recipes.{name}.pretrain.model", [recipe["pretrain"]["model"]], model_names())
    for name, channels in config["channels"].items():
        yield from _not_among(f"channels.{name}", channels, config["data"]["channels"])
    yield from _not_among("ladder", config["ladder"], config["protocols"])
    yield from _not_among("postprocessing.hmm", config["postprocessing"]["hmm"], model_names())
    yield from _not_among("postprocessing.protocols", config["postprocessing"]["protocols"], config["protocols"])
    for name, protocol in config["protocols"].items():
        yield from _not_among(f"protocols.{name}.folds", protocol["folds"], config["datasets"])
    for name, dataset in config["datasets"].items():
        for key in ("seeds", "models"):
            yield from _not_among(f"datasets.{name}.{key}", dataset.get(key, {}), config["protocols"])
        for protocol, models in dataset.get("models", {}).items():
            yield from _not_among(f"datasets.{name}.models.{protocol}", models, model_names())


def _not_among(key: str, names: Iterable[str], known: Iterable[str]) -> Iterable[str]:
    return [f"{key}: unknown name '{name}'; {nearest(name, known)}" for name in names if name not in known]


def _contradictions(config: dict) -> Iterable[str]:
    official = Path(config["data"]["table"]).resolve() == Path(OFFICIAL_TABLE).resolve()
    if official == config["data"]["simulated"]:
        yield (
            f"data: table {config['data']['table']} with simulated: {str(config['data']['simulated']).lower()}; a "
            "rehearsal has a table of its own and simulated: true, the official table has simulated: false"
        )
    run = config["run"]
    for name in run["protocols"]:
        protocol = config["protocols"][name]
        for dataset in run["datasets"]:
            if dataset not in protocol["folds"]:
                yield f"protocols.{name}.folds: no number of folds for the dataset '{dataset}'; add it, or null"
    for name, protocol in config["protocols"].items():
        if protocol["selection"] == "best_validation" and not protocol["validation_subjects"]:
            yield (
                f"protocols.{name}: selection 'best_validation' needs validation subjects; "
                "set validation_subjects: true or another selection"
            )
    for dataset in run["datasets"]:
        if all(config["protocols"][name]["folds"].get(dataset) is None for name in run["protocols"]):
            yield f"run.protocols: none of {', '.join(run['protocols'])} is run on the dataset '{dataset}'"
    for name, dataset in config["datasets"].items():
        if ("subjects" in dataset) == ("simulation" in dataset):
            yield f"datasets.{name}: give either 'subjects' (of Sleep-EDF) or 'simulation', one of the two"
            continue
        if "simulation" in dataset and name.startswith("sleep-edf"):
            yield f"datasets.{name}: simulated data cannot go by the name of Sleep-EDF; use another name"
        if problem := _wrong_simulation(name, dataset.get("simulation")):
            yield problem
            continue
        yield from _wrong_folds(config, name)
    for name, recipe in config["recipes"].items():
        try:
            Recipe.from_config(name, recipe)
        except BenchmarkError as error:
            yield f"recipes.{name}: {error}"
    yield from _wrong_recipes(config)


def _wrong_recipes(config: dict) -> Iterable[str]:
    """What the recipes of a run cannot do for its models and protocols."""
    run, recipes = config["run"], config["recipes"]
    if PUBLISHED in recipes:
        yield f"recipes.{PUBLISHED}: the name stands for the recipe of each model's paper; use another name"
    models = dict.fromkeys(
        [
            *run["models"],
            *(m for name in run["datasets"] for ms in dataset_of(config, name).models.values() for m in ms),
        ]
    )
    for model in models if PUBLISHED in run["recipes"] else []:
        if (own := describe(model).published_recipe) not in (None, *recipes):
            yield f"run.recipes: {PUBLISHED} is the recipe '{own}' for the model {model}; {nearest(own, recipes)}"
            return
    networks, skipped = plan(config)
    if not networks:
        left = {name: models for name, models in run["channels_only_for"].items() if name in run["channels"]}
        reasons = [
            *map(str, skipped),
            *(f"run.channels_only_for leaves {c} to {', '.join(m)}" for c, m in left.items()),
        ]
        yield f"run: nothing is trained; {'; '.join(reasons)}"
    used = dict.fromkeys((network.model, network.recipe) for network in networks)
    for name in dict.fromkeys(recipe for _, recipe in used if recipes[recipe]["schedule"] != "cosine_restarts"):
        for protocol, settings in config["protocols"].items():
            if settings["selection"] == "cycle_end":
                yield f"protocols.{protocol}: selection 'cycle_end' needs cycles; the recipe '{name}' has none"
    for model, name in used:
        first = recipes[name].get("pretrain")
        # The code of a training is that of its model's file.
        if first and model_source(first["model"]) != model_source(model):
            yield (
                f"recipes.{name}.pretrain.model: {first['model']} and {model}, which run.models trains by this recipe, "
                "are in different files; take another recipe for it"
            )


def _wrong_simulation(name: str, simulation: dict | None) -> str | None:
    """A shape, or a number of subjects and who of them has one night."""
    explicit = {"subjects", "single_night_subjects"}
    if simulation is None or ("shape" in simulation and not explicit & set(simulation)):
        return None
    if "shape" in simulation or not explicit <= set(simulation):
        return f"datasets.{name}.simulation: give either 'shape', or both 'subjects' and 'single_night_subjects'"
    unknown = [n for n in simulation["single_night_subjects"] if n >= simulation["subjects"]]
    if unknown:
        last = simulation["subjects"] - 1
        return f"datasets.{name}.simulation.single_night_subjects: {unknown}, expected 0 to {last}"
    return None


def _wrong_folds(config: dict, dataset: str) -> Iterable[str]:
    settings = config["datasets"][dataset]
    simulation = settings.get("simulation")
    n_subjects = len({id[3:5] for id in simulation_ids(simulation)}) if simulation else settings["subjects"]
    for name, protocol in config["protocols"].items():
        k = protocol["folds"].get(dataset)
        if k is None:
            continue
        if protocol["unit"] == "subject" and k > n_subjects:
            yield f"protocols.{name}.folds.{dataset}: {k} folds by subject of {n_subjects} subjects; lower it"
        unknown = [fold for fold in settings.get("only_folds", []) if fold >= k]
        if unknown:
            yield f"datasets.{dataset}.only_folds: {unknown}, but the protocol '{name}' has the folds 0 to {k - 1}"


def data_directory(config: dict) -> Path:
    """Where the Sleep-EDF files are; ~ is the home directory."""
    return Path(config["data"]["directory"]).expanduser()


@dataclass(frozen=True)
class Dataset:
    """A dataset of the config.

    `simulation` is None for files under Sleep-EDF's names, of which `subjects` are taken; these are `simulated` too in
    a rehearsal (data.simulated). `only_folds` is None where all folds are trained; `seeds` are those of
    protocols that do not take run.seeds, `models` what protocols run beside run.models.
    """

    name: str
    subjects: int | None
    simulation: dict | None
    simulated: bool
    training_epochs: int | None
    only_folds: tuple[int, ...] | None
    seeds: dict[str, list[int]]
    models: dict[str, list[str]]

    @property
    def source(self) -> str:
        """Where its files lie under results/data/."""
        return self.name if self.simulation else "sleep-edf"


def dataset_of(config: dict, name: str) -> Dataset:
    """The named dataset of a validated config; BenchmarkError with the nearest known name when it has none of it."""
    if name not in config["datasets"]:
        raise BenchmarkError(f"config.yaml: unknown dataset '{name}'; {nearest(name, config['datasets'])}")
    settings = config["datasets"][name]
    simulation, only_folds = settings.get("simulation"), settings.get("only_folds")
    return Dataset(
        name=name,
        subjects=settings.get("subjects"),
        simulation=simulation,
        simulated=simulation is not None or config["data"]["simulated"],
        training_epochs=settings.get("training_epochs"),
        only_folds=tuple(sorted(only_folds)) if only_folds else None,
        seeds=settings.get("seeds", {}),
        models=settings.get("models", {}),
    )


def seeds_of(config: dict, dataset: str, protocol: str) -> list[int]:
    """Seeds that a protocol has runs of on a dataset: its own, and those of protocols that share its trainings."""
    own = dataset_of(config, dataset).seeds
    sharing = _sharing_trainings(config, dataset, protocol)
    return sorted({seed for name in sharing for seed in own.get(name, config["run"]["seeds"])})


def _sharing_trainings(config: dict, dataset: str, protocol: str) -> list[str]:
    """A protocol, and those that are run whose selection reads the same trainings."""

    def training(name: str) -> tuple:
        settings = config["protocols"][name]
        keys = ("unit", "recordings", "validation_subjects", "seed", "window")
        return (*(settings[key] for key in keys), settings["folds"].get(dataset))

    names = dict.fromkeys([*config["run"]["protocols"], protocol])
    return [name for name in names if training(name) == training(protocol)]


class Network(NamedTuple):
    """What is trained: a model on a set of channels by a recipe, all by their names."""

    model: str
    channels: str
    recipe: str


class Skipped(NamedTuple):
    """What `run` asks for and a model does not have: `recipe` or `channels`, the other one being None."""

    model: str
    recipe: str | None
    channels: str | None
    reason: str

    def __str__(self) -> str:
        return f"{self.model}, {self.recipe or self.channels}: {self.reason}"


def models_of(config: dict, dataset: str, protocol: str) -> list[str]:
    """Models that a protocol has runs of on a dataset: its own, and those of protocols that share its trainings."""
    own = dataset_of(config, dataset).models
    sharing = _sharing_trainings(config, dataset, protocol)
    return list(dict.fromkeys([*config["run"]["models"], *(model for name in sharing for model in own.get(name, []))]))


def networks_of(config: dict, dataset: str, protocol: str) -> list[Network]:
    """The networks that a protocol trains on a dataset, in the order of `run`."""
    return _combinations(config, models_of(config, dataset, protocol))[0]


def plan(config: dict) -> tuple[list[Network], list[Skipped]]:
    """The networks that `run` asks for, in its order, and what of it is skipped, each with a reason."""
    run = config["run"]
    pairs = [
        (dataset, protocol)
        for dataset, protocol in itertools.product(run["datasets"], run["protocols"])
        if config["protocols"][protocol]["folds"].get(dataset) is not None
    ]
    models = dict.fromkeys(model for pair in pairs for model in models_of(config, *pair))
    return _combinations(config, [*models])


def _combinations(config: dict, models: Sequence[str]) -> tuple[list[Network], list[Skipped]]:
    run, networks, skipped = config["run"], {}, {}
    for model, channels, recipe in itertools.product(models, run["channels"], run["recipes"]):
        if model not in run["channels_only_for"].get(channels, models):
            continue
        info, n_channels = describe(model), len(config["channels"][channels])
        name = info.published_recipe if recipe == PUBLISHED else recipe
        if n_channels not in info.supported_channels:
            sizes = ", ".join(map(str, info.supported_channels))
            reason = f"the architecture is not defined for {n_channels} channel(s), only for {sizes}"
            skipped[Skipped(model, None, channels, reason)] = None
        elif name is None:
            skipped[Skipped(model, recipe, None, NO_RECIPE)] = None
        else:
            networks[Network(model, channels, name)] = None  # a model's published recipe may be named as well
    return list(networks), list(skipped)


def not_trained_sentences(skipped: Iterable[Skipped]) -> list[str]:
    """What is skipped as sentences, one for each recipe or set of channels and reason, models by their titles."""
    models: dict[tuple[str, str], list[str]] = {}
    for one in skipped:
        asked = f"recipe {one.recipe}" if one.recipe else f"input {one.channels}"
        models.setdefault((asked, one.reason), []).append(describe(one.model).title)
    return [f"{asked[0].upper()}{asked[1:]}: {reason} ({'; '.join(t)})." for (asked, reason), t in models.items()]


def simulation_ids(simulation: dict) -> list[str]:
    """Ids of the recordings that a dataset's `simulation` describes."""
    if "shape" in simulation:
        return shape_ids(simulation["shape"])
    return simulated_ids(simulation["subjects"], simulation["single_night_subjects"])


def recipe_settings(config: dict, recipe: str, dataset: str) -> dict:
    """A recipe's settings, with the dataset's own number of training epochs where it has one.

    It is the most that a first stage is trained for, too.
    """
    settings, own = dict(config["recipes"][recipe]), dataset_of(config, dataset).training_epochs
    settings["training_epochs"] = own or settings["training_epochs"]
    first = settings.get("pretrain")
    if own and first:
        settings["pretrain"] = first | {"training_epochs": min(own, first["training_epochs"])}
    return settings

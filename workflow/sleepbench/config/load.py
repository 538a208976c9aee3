"""Reading and checking the configuration, before any job runs.

config.yaml holds what a reader decides. Protocols, recipes, datasets and inputs are defined in workflow/definitions;
sections of the same names in config.yaml add to them. Every error names the key, its line where there is one, what was
found and the nearest known name.
"""

import functools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from sleepbench.config.models import ALL, LADDER, OWN, Config
from sleepbench.config.paths import CROSS
from sleepbench.core.errors import BenchmarkError, ConfigurationError, nearest
from sleepbench.core.shipped import shipped
from sleepbench.core.strict import problems_in
from sleepbench.models import describe, model_names, model_source
from sleepbench.protocols.selection import SELECTION_RULES
from sleepbench.signals.trimming import TRIMMINGS

CONFIG = Path("config.yaml")
FROM_A_CHECKOUT = "run this from the root of a checkout of the repository, which is more than pip installs"
DEFINITIONS = shipped("definitions")
DEFINED = ("protocols", "recipes", "datasets", "inputs")
"""Sections that are defined beside the package, each in the file of its name; protocols.yaml has the ladder too."""

RESERVED = Path(CROSS).name
Place = tuple[str | int, ...]


def load(path: Path = CONFIG, run: Mapping[str, Any] | None = None) -> Config:
    """Read and check a config file; `run` replaces keys of its section `run`.

    BenchmarkError when the file is missing, no YAML or wrong.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_loader())
    except FileNotFoundError as error:
        raise BenchmarkError(f"{path}: not found in {Path.cwd()}; {FROM_A_CHECKOUT}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BenchmarkError(f"{path}: cannot be read as YAML ({error}); correct it") from error
    if run and isinstance(content, dict) and isinstance(content.get("run"), dict):
        content = content | {"run": content["run"] | dict(run)}
    return validate(content, path)


def load_known() -> Config:
    """The configuration here, else the one that an installed package has: for what asks it of definitions alone."""
    installed = DEFINITIONS / CONFIG.name
    return load(installed if installed.exists() and not CONFIG.exists() else CONFIG)


def validate(content: Any, path: Path = CONFIG) -> Config:
    """The configuration of a mapping with the sections of config.yaml.

    BenchmarkError lists everything that is wrong.

    `path` is the file it was read from, whose lines messages name where the file still says what is wrong.
    """
    try:
        config = Config.model_validate(_with_definitions(content))
        problems = [*_unknown_names(config)] or [*_contradictions(config)]
    except ValidationError as error:
        problems = list(problems_in(error))
    except _WrongDefinitionError as error:
        problems = error.problems
    if problems:
        lines = "\n  ".join(_said(place, text, content, path) for place, text in problems)
        raise ConfigurationError(f"the configuration ({path}, --configfile or --config) is wrong:\n  {lines}")
    return config


class _WrongDefinitionError(Exception):
    """Definitions that cannot be put together."""

    def __init__(self, problems: list[tuple[Place, str]]):
        super().__init__(problems)
        self.problems = problems


def _loader() -> type[yaml.SafeLoader]:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@functools.cache
def _definitions() -> dict[str, dict]:
    """What the files beside the package define, by section."""
    read = {name: yaml.load((DEFINITIONS / f"{name}.yaml").read_text(encoding="utf-8"), _loader()) for name in DEFINED}
    return {"ladder": read["protocols"].pop("ladder"), **read}


def _with_definitions(content: Any) -> Any:
    """The whole configuration as one mapping, protocols in full and recipes with their names."""
    if not isinstance(content, Mapping):
        raise _WrongDefinitionError([((), f"found {content!r}, expected a mapping")])
    whole = {"ladder": _definitions()["ladder"], **content}
    for section in DEFINED:
        added = content.get(section, {})
        if not isinstance(added, Mapping):
            raise _WrongDefinitionError([((section,), f"found {added!r}, expected a mapping")])
        whole[section] = _updated(_definitions()[section], added)
    whole["protocols"] = _in_full(whole["protocols"])
    whole["recipes"] = {
        name: {**recipe, "name": name} if isinstance(recipe, Mapping) else recipe
        for name, recipe in whole["recipes"].items()
    }
    return whole


def _updated(known: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping with single keys replaced, within mappings below it as well."""
    both = {n: v for n, v in added.items() if isinstance(v, Mapping) and isinstance(known.get(n), Mapping)}
    return {**known, **added, **{name: _updated(known[name], value) for name, value in both.items()}}


def _in_full(protocols: Mapping[str, Any]) -> dict[str, Any]:
    """Protocols with the keys of those that they are `from`."""
    full: dict[str, Any] = {}

    def resolved(name: str, seen: tuple[str, ...]) -> Any:
        settings = protocols[name]
        if not isinstance(settings, Mapping) or "from" not in settings:
            return settings
        origin = settings["from"]
        if origin not in protocols:
            text = f"unknown name '{origin}'; {nearest(origin, protocols)}"
            raise _WrongDefinitionError([(("protocols", name, "from"), text)])
        if origin in seen:
            text = f"'{origin}' is itself from '{name}'; one of them must have all keys"
            raise _WrongDefinitionError([(("protocols", name, "from"), text)])
        own = {key: value for key, value in settings.items() if key != "from"}
        below = resolved(origin, (*seen, origin))
        return {**below, **own} if isinstance(below, Mapping) else own

    for name in protocols:
        full[name] = resolved(name, (name,))
    return full


# ------------------------------------------------------------------------------------------------------- messages


def _said(place: Place, text: str, content: Any, path: Path) -> str:
    line = None if text.startswith("the key") else _line(place, path)
    where = ".".join(map(str, place[:-1] if text.startswith(("unknown key", "the key")) else place)) or "top level"
    return f"{where}{f' (line {line})' if line else ''}: {text}"


def _line(place: Place, path: Path) -> int | None:
    """The line of a file where a key stands; None where it is not there."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_loader())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None
    line = None
    for key in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(key)), None)
            if found is None:
                return None
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
        else:
            return line
    return line


# ------------------------------------------------------------------------------------------------------- checks


RENAMED = {
    "recipes": {"released": "ulw", "published": OWN},
    "inputs": {"fpz": "one"},
    "protocols": {"standard_window": "standard_trimming"},
    "trimming": {"released": "authors"},
    "remainder": {"floor": "dropped", "all": "kept"},
}
"""Names that were other ones before, by the key that has them."""


def _not_among(place: Place, names: Iterable[str], known: Iterable[str]) -> Iterator[tuple[Place, str]]:
    for name in names:
        if name not in known:
            now = RENAMED.get(str(place[-1]), {}).get(name)
            yield place, f"'{name}' is now called '{now}'" if now else f"unknown name '{name}'; {nearest(name, known)}"


def _unknown_names(config: Config) -> Iterator[tuple[Place, str]]:
    """Names that point at nothing."""
    named = {
        "datasets": config.datasets,
        "test_on": config.datasets,
        "inputs": config.inputs,
        "recipes": [*config.recipes, OWN],
    }
    asked: list[tuple[Place, Any]] = [(("run",), config.run)]
    asked += [(("experiments", i), entry) for i, entry in enumerate(config.experiments)]
    for place, entry in asked:
        for key, known in named.items():
            yield from _not_among((*place, key), getattr(entry, key) or (), known)
        if entry.protocols not in (None, LADDER):
            yield from _not_among((*place, "protocols"), entry.protocols, config.protocols)
        if entry.models not in (None, ALL):
            yield from _not_among((*place, "models"), entry.models, model_names())
    yield from _not_among(("run", "experiment"), [config.run.experiment], {e.name for e in config.experiments})
    yield from _not_among(("ladder",), config.ladder, config.protocols)
    for name, definition in config.datasets.items():
        yield from _not_among(("datasets", name, "ladder"), definition.ladder or (), config.protocols)
    yield from _not_among(("postprocessing", "hmm"), config.postprocessing.hmm, model_names())
    yield from _not_among(("postprocessing", "protocols"), config.postprocessing.protocols, config.protocols)
    for name, protocol in config.protocols.items():
        for key, known in {"trimming": TRIMMINGS, "selection": SELECTION_RULES}.items():
            yield from _not_among(("protocols", name, key), [getattr(protocol, key)], known)
    for name, recipe in config.recipes.items():
        if recipe.pretrain:
            place = ("recipes", name, "pretrain", "model")
            yield from _not_among(place, [recipe.pretrain.model], model_names())


def _contradictions(config: Config) -> Iterator[tuple[Place, str]]:
    """What is known by name, but does not go together."""
    if RESERVED in config.datasets:
        yield ("datasets", RESERVED), f"results/{RESERVED} is of networks tested on other datasets; use another name"
    for name, protocol in config.protocols.items():
        if protocol.selection == "best_validation" and not protocol.validation_subjects:
            yield (
                ("protocols", name),
                "selection 'best_validation' needs validation subjects; set validation_subjects: true or another "
                "selection",
            )
    if OWN in config.recipes:
        yield ("recipes", OWN), "the name stands for the recipe of each model's paper; use another name"
    if ALL in config.protocols or LADDER in config.protocols:
        yield ("protocols",), f"'{LADDER}' and '{ALL}' stand for lists in an experiment; use another name"
    for name, recipe in config.recipes.items():
        first = recipe.pretrain
        users = [model for model in model_names() if describe(model).published_recipe == name] if first else []
        for model in users:
            # The code of a training is that of its model's file.
            if model_source(first.model) != model_source(model):
                yield (
                    ("recipes", name, "pretrain", "model"),
                    f"{first.model} and {model} are in different files; take another recipe for it",
                )

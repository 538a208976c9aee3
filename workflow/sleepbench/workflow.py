"""Which files the rules make of a configuration, from which inputs, by which settings.

Nothing here writes, and nothing imports PyTorch, SciPy or pandas: it is run whenever Snakemake reads the rules.
"""

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sleepbench.config import paths
from sleepbench.config.code import code_sha256, module_sha256
from sleepbench.config.crosses import crosses
from sleepbench.config.keys import CrossKey, PlannedRun, TrainingKey
from sleepbench.config.load import validate
from sleepbench.config.made import CHANGED, FORGOTTEN, MISSING, UNKNOWN, fault, is_there, memory, was_made
from sleepbench.config.models import Config
from sleepbench.config.plan import (
    DatasetPlan,
    dataset,
    folds_per_job,
    folds_trained,
    ladder_on,
    plan,
    recipe_on,
    recordings,
)
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_file, sha256_of_json
from sleepbench.core.gpu import takes_gpu
from sleepbench.deployment import IN_C
from sleepbench.models import describe, model_names
from sleepbench.models.registry import reference_files
from sleepbench.protocols.folds import FoldSettings
from sleepbench.protocols.selection import SELECTION_RULES
from sleepbench.reporting.declared import STATISTICS, Declared, declared
from sleepbench.runs.others.store import imported
from sleepbench.runs.store import store_file, store_state
from sleepbench.signals.trimming import TRIMMINGS

RESOURCES = "workflow/resources"
"""As Snakemake names inputs: relative to the checkout that a workflow runs in."""
RESOURCE_FILES = {
    "published_results": f"{RESOURCES}/published_results.csv",
    "published_sizes": f"{RESOURCES}/published_sizes.csv",
    "published_recipes": f"{RESOURCES}/published_recipes.csv",
    "claims": f"{RESOURCES}/claims.yaml",
    "reruns": f"{RESOURCES}/reruns.yaml",
    "measured_deployment": f"{RESOURCES}/measured_deployment.json",
    "published_deployments": f"{RESOURCES}/published_deployments.csv",
    "human_scorings": f"{RESOURCES}/human_scorings/scorings.csv",
}
"""Inputs of artefacts that are committed files."""
OF_RECORDINGS = {"quality": "quality.json"}
"""Inputs of artefacts that are a file of each prepared recording, by its suffix."""


class Workflow:
    """A configuration as the rules see it.

    content : the mapping that Snakemake read, checked here; or a configuration that was checked
    root : the checkout, below which committed files are hashed
    elsewhere : whether jobs run on other machines: whether this one has a GPU then says nothing, the configuration does
    """

    def __init__(
        self, content: Mapping[str, Any] | Config, root: Path, may_use_gpu: bool = True, elsewhere: bool = False
    ):
        self.config: Config = content if isinstance(content, Config) else validate(content)
        self.plan = plan(self.config)
        self.root = root
        device = self.config.training.device
        self.uses_gpu = may_use_gpu and (device == "cuda" if elsewhere else takes_gpu(device))
        self.crosses = crosses(self.config, self.plan)
        names = dict.fromkeys([*self.plan.datasets, *self.crosses.tested])  # some are tested on alone
        self.datasets = {name: dataset(self.config, name) for name in names}

    # ------------------------------------------------------------------------------------------------------- wildcards

    def wildcard_patterns(self) -> dict[str, str]:
        """The values that wildcards can have, as regular expressions."""
        names = {
            **dict.fromkeys(("dataset", "trained", "tested"), self.datasets),
            "source": dict.fromkeys(one.source for one in self.datasets.values()),
            "folds": dict.fromkeys(p.folds.name for one in self.plan.datasets.values() for p in one.protocols.values()),
            "trimming": TRIMMINGS,
            "model": model_names(),
            "input": self.config.inputs,
            "recipe": self.config.recipes,
            "selection": SELECTION_RULES,
        }
        patterns = {name: "|".join(sorted(known)) for name, known in names.items()}
        return patterns | {
            "recording": r"[^/]+",
            "seed": r"\d+",
            "fold": r"\d+",
            "stack": r"\d+-\d+",
            "shape": r"\d+(x\d+)?",
        }

    def of(self, dataset: str) -> DatasetPlan:
        """What is asked for on a dataset of the run; BenchmarkError where nothing is trained on it."""
        if dataset not in self.plan.datasets:
            raise BenchmarkError(f"{dataset}: nothing is trained on it in this run, only tested")
        return self.plan.datasets[dataset]

    # ------------------------------------------------------------------------------------------------------------ data

    def dataset_reading(self, source: str, recording: str) -> str:
        """The first dataset of the run that has a recording of this source; BenchmarkError where none has."""
        for name, one in self.datasets.items():
            if one.source == source and recording in self._ids(name):
                return name
        raise BenchmarkError(f"{source}: no dataset of this run has a recording '{recording}'")

    @functools.cache  # noqa: B019 (there is one of these for as long as the rules are read)
    def _ids(self, dataset: str) -> dict[str, None]:
        """The recordings of a dataset in order, as keys, which are found at once."""
        return dict.fromkeys(recording.id for recording in recordings(self.config, dataset))

    def receipts(self, dataset: str) -> list[str]:
        """The receipts of a dataset's files."""
        return [paths.receipt(self.datasets[dataset].source, id) for id in self._ids(dataset)]

    def prepared(self, dataset: str, *suffixes: str) -> list[str]:
        """Files of a dataset's prepared recordings."""
        source = self.datasets[dataset].source
        return [paths.prepared(source, id, suffix) for suffix in suffixes for id in self._ids(dataset)]

    def reading(self, kind: str, source: str, recording: str) -> dict[str, Any]:
        """What decides how a recording is fetched or prepared, and by which dataset: one parameter of its rule."""
        name = self.dataset_reading(source, recording)
        return {"dataset": name, **self._deciding(kind, name)}

    @functools.cache  # noqa: B019
    def _deciding(self, kind: str, dataset: str) -> dict[str, Any]:
        one, code = self.datasets[dataset], code_sha256(kind, self.config.datasets[dataset].reader)
        if kind == "fetch":
            return {"directory": str(one.directory(paths.raw(one.files_source))), "code": code}
        return {"definition": self.definition(dataset), "code": code}

    def code_training(self, kind: str, wildcards: Any) -> str:
        """The hash of the code that decides a training, or what is made of one."""
        return code_sha256(kind, self.config.datasets[wildcards.dataset].reader, wildcards.model)

    def known_files(self, dataset: str) -> list[str]:
        """The committed files that say what is known of a dataset's epochs."""
        return [str(path) for path in self.datasets[dataset].known_files]

    def excluded(self, dataset: str) -> dict[str, str]:
        """The recordings that the configuration leaves out of a dataset, each with the reason."""
        return self.datasets[dataset].excluded()

    def definition(self, dataset: str) -> dict[str, Any]:
        """What decides how a dataset's recordings are read: parameters whose change prepares them again."""
        one = self.datasets[dataset]
        return {"montage": dict(one.montage), "simulated": one.label.simulated}

    # ----------------------------------------------------------------------------------------------------------- folds

    def fold_settings(self, dataset: str, folds: str) -> FoldSettings:
        """The settings of a fold file.

        BenchmarkError where no protocol of the run has such folds on the dataset.
        """
        names = self.of(dataset).using(folds)
        if not names:
            raise BenchmarkError(f"no protocol of this run has the folds '{folds}' on {dataset}")
        return self.of(dataset).protocols[names[0]].folds

    def fold_files(self, dataset: str) -> list[str]:
        """The fold files of a dataset's protocols, each once."""
        names = dict.fromkeys(protocol.folds.name for protocol in self.of(dataset).protocols.values())
        return [paths.folds(dataset, name) for name in names]

    def totals(self, dataset: str) -> list[str]:
        """The totals of a dataset's folds and trimmings, each once."""
        pairs = dict.fromkeys((p.folds.name, p.trimming) for p in self.of(dataset).protocols.values())
        return [paths.totals(dataset, *pair) for pair in pairs]

    # ------------------------------------------------------------------------------------------------ what is not right

    def again(self, targets: Collection[str] = ()) -> tuple[list[str], list[str]]:
        """The outputs that are to be made again for some targets (none: all), and sentences on them.

        These are outputs that are not as their jobs made them, and those that Snakemake does not remember, or of whose
        making it remembers another time: it cannot tell whether they were made as is asked for now.
        """
        current, found, said = memory(), [], {}
        for output, parts, is_last in self._looked_at(targets):
            faults = {part: fault(part, current if remembered else None) for part, remembered in parts}
            part = next(filter(faults.get, faults), "")
            if part and (faults[part] != MISSING or was_made(output)):
                found.append(output)
                said[part] = faults[part]
            elif part and not is_last:  # Snakemake does not look for it where all that is made of it is there
                found.append(output)
        return found, _said(said)

    def _looked_at(self, targets: Collection[str]) -> Iterator[tuple[str, list[tuple[str, bool]], bool]]:
        """The outputs on which targets may depend, in order.

        Each with its parts, whether Snakemake remembers a part, and whether nothing that may be made of it is there, or
        is asked for.
        """
        for name in self.datasets:
            stages = self._stages(name)
            every = [[output for output, _ in stage] for stage in stages]
            end = max((_stage(target, name, every) for target in targets), default=len(stages))
            there = max((n for n, stage in enumerate(every) if any(map(is_there, stage))), default=0)
            for n, stage in enumerate(stages):
                asked = stage if n < end else [one for one in stage if one[0] in targets]
                yield from ((output, parts, bool(targets) or n >= there) for output, parts in asked)
        if not targets or any(target == "all" or target.startswith(f"{paths.CROSS}/") for target in targets):
            yield from ((file, [(file, True)], True) for file in self.cross_products())

    def _stages(self, dataset: str) -> list[list[tuple[str, list[tuple[str, bool]]]]]:
        """All files made of a dataset, those that are made of others after these."""

        def own(*files: str) -> list[tuple[str, list[tuple[str, bool]]]]:
            return [(file, [(file, True)]) for file in files]

        data = [
            own(*self.receipts(dataset)),
            own(*self.prepared(dataset, "npy", "epochs.csv", "json", "quality.json")),
            own(paths.recordings(dataset), paths.recordings(dataset, "csv")),
        ]
        if dataset not in self.plan.datasets:
            return data
        trainings: dict[str, list[tuple[str, bool]]] = {}
        for key in self.of(dataset).trainings:
            output, fold = self.made_by(key), paths.training(key)
            parts = trainings.setdefault(output, [(output, True)])
            parts += [(fold, False)] if fold != output else []
        logged = paths.logged(dataset)
        store = [(self.store_file, False)] if self.store_file else []
        return [
            *data,
            own(*self.fold_files(dataset), *self.totals(dataset)),
            list(trainings.items()),
            [*own(*self.smoothed(dataset)), (logged, [(logged, True), *store])],
            own(paths.runs(dataset), *self.profiles(dataset), *self.parity(dataset), *self.deployment(dataset)),
            own(*(paths.statistics(dataset, name) for one in declared("statistics").values() for name in one.names)),
            own(
                paths.table(dataset, "audit", "json"),
                *(paths.table(dataset, name, form) for name in declared("tables") for form in paths.TABLE_FORMS),
                *(paths.figure(dataset, name, form) for name in declared("figures") for form in paths.FIGURE_FORMS),
            ),
            own(paths.summary(dataset), paths.report(dataset)),
        ]

    # ------------------------------------------------------------------------------------------------------- trainings

    def stacks(self, dataset: str, n_folds: int) -> list[tuple[int, ...]]:
        """The folds that are trained, grouped by job."""
        trained = folds_trained(self.config, dataset, n_folds)
        size = folds_per_job(self.config, dataset, len(trained), self.uses_gpu)
        return [tuple(trained[start : start + size]) for start in range(0, len(trained), size)]

    def stack_of(self, key: TrainingKey) -> tuple[int, ...]:
        """The folds that are trained together with one; BenchmarkError where the fold is not trained."""
        n_folds = self.fold_settings(key.dataset, key.folds).n_folds
        for stack in self.stacks(key.dataset, n_folds):
            if key.fold in stack:
                return stack
        only = f" that are trained (datasets.{key.dataset}.only_folds)" if key.fold < n_folds else ""
        raise BenchmarkError(f"{key.folds} has no fold {key.fold} among those{only or f', 0 to {n_folds - 1}'}")

    def keys(self, wildcards: Any) -> list[TrainingKey]:
        """The trainings that a job's path names: of one `fold`, or of a `stack` of folds."""
        if hasattr(wildcards, "fold"):
            key = TrainingKey.named(wildcards)
            self.stack_of(key)  # the fold is one that is trained
            return [key]
        first, last = map(int, wildcards.stack.split("-"))
        stack = self.stack_of(TrainingKey.named(wildcards, first))
        if (stack[0], stack[-1]) != (first, last):
            raise BenchmarkError(
                f"{wildcards.folds}: no job trains the folds {first} to {last}, one trains {stack[0]} to {stack[-1]}"
            )
        return [TrainingKey.named(wildcards, fold) for fold in stack]

    def made_by(self, key: TrainingKey) -> str:
        """The input by which a rule asks for a training.

        It is the directory of the training, or the receipt of the stack that it is part of.
        """
        stack = self.stack_of(key)
        return paths.training(key) if len(stack) == 1 else paths.stack(key, stack[0], stack[-1])

    def trainings(self, dataset: str) -> list[str]:
        """What stands for all trainings of a dataset."""
        return list(dict.fromkeys(map(self.made_by, self.of(dataset).trainings)))

    def smoothed(self, dataset: str) -> list[str]:
        """Directories of the smoothed predictions that are asked for."""
        asked = self.config.postprocessing
        runs = [r for r in self.of(dataset).runs if r.training.model in asked.hmm and r.protocol in asked.protocols]
        return list(dict.fromkeys(paths.smoothed(run.training, run.selection) for run in runs))

    def training_parameters(self, wildcards: Any) -> dict[str, Any]:
        """What a training depends on besides the recordings and the code: parameters of its rule."""
        recipe = recipe_on(self.config, wildcards.recipe, wildcards.dataset)
        return {"recipe": recipe.settings(), "roles": list(self.config.inputs[wildcards.input])}

    # ------------------------------------------------------------------------------------------------- other datasets

    def networks(self, wildcards: Any) -> tuple[TrainingKey, ...]:
        """The trainings whose networks are tested on another dataset; BenchmarkError where it is not asked for."""
        key = CrossKey.named(wildcards)
        if key not in self.crosses.networks:
            reasons = (one.reason for one in self.crosses.not_tested if one.is_of(key))
            why = next(reasons, "this run does not ask for it (test_on)")
            raise BenchmarkError(f"{key.trained} on {key.tested}, {', '.join(key.contender)}: {why}")
        return self.crosses.networks[key]

    def cross_inputs(self, wildcards: Any) -> dict[str, Any]:
        """The files that networks are tested on another dataset from."""
        trainings = self.networks(wildcards)
        return {
            "trainings": list(dict.fromkeys(map(self.made_by, trainings))),
            "folds": paths.folds(wildcards.trained, trainings[0].folds),
            "recordings": [paths.recordings(wildcards.trained), paths.recordings(wildcards.tested)],
        }

    def cross_code(self, wildcards: Any) -> list[str]:
        """The hashes of the code that decides what networks give on another dataset."""
        reader = self.config.datasets[wildcards.trained].reader
        return [code_sha256("train", reader, wildcards.model), code_sha256("cross")]

    def crossed(self) -> list[str]:
        """Directories of what networks give on other datasets."""
        return [paths.crossed(key) for key in self.crosses.networks]

    def cross_runs(self) -> list[str]:
        """The tables of runs of the datasets that are trained on, or tested on and trained on as well."""
        return [paths.runs(name) for name in self.crosses.datasets if name in self.plan.datasets]

    def cross_settings(self) -> dict[str, Any]:
        """What the configuration says to artefacts of networks tested on other datasets; JSON values."""
        refused = (name for one in self.crosses.not_tested for name in (one.trained, one.tested))
        names = dict.fromkeys([*self.crosses.datasets, *refused])
        return {
            "labels": {name: vars(dataset(self.config, name).label) for name in names},
            "not_tested": [
                {**vars(one), "contender": ", ".join(one.contender or ())} for one in self.crosses.not_tested
            ],
        }

    def cross_products(self) -> list[str]:
        """All files made of networks tested on other datasets; none where none is asked for."""
        return [*self.crossed(), *self.cross_reports()] if self.crosses else []

    def cross_reports(self) -> list[str]:
        """The statistics, tables, figures and page of networks tested on other datasets."""
        tables, figures = (declared(f"cross.{room}") for room in ("tables", "figures"))
        return [
            paths.cross_product("statistics", "cross", "csv"),
            *(paths.cross_product("tables", name, form) for name in tables for form in paths.TABLE_FORMS),
            *(paths.cross_product("figures", name, form) for name in figures for form in paths.FIGURE_FORMS),
            paths.cross_page(),
        ]

    # ------------------------------------------------------------------------------------------------------- reporting

    @property
    def store_file(self) -> str:
        """The file of the MLflow store; empty where it is none of this machine."""
        return str(store_file(self.config.tracking.uri) or "")

    def store_state(self) -> str:
        """Changes when the MLflow store is lost or replaced."""
        return store_state(self.config.tracking.uri)

    def runs_sha256(self, dataset: str) -> str:
        """A hash of the runs that are asked for: of protocols that read trainings in another way as well."""
        return sha256_of_json(
            [[run.protocol, run.selection, paths.training(run.training)] for run in self.of(dataset).runs]
        )

    def profiles(self, dataset: str) -> list[str]:
        """Profiles of what is trained on a dataset; an estimator has no operations to count."""
        n_samples = self.datasets[dataset].samples_per_epoch
        sizes = dict.fromkeys((c.model, len(self.config.inputs[c.input])) for c in self.of(dataset).contenders)
        networks = [(model, n) for model, n in sizes if describe(model).kind == "network"]
        return [paths.profile(model, paths.epoch_shape(n, n_samples)) for model, n in networks]

    def parity(self, dataset: str) -> list[str]:
        """How near each model that is trained on a dataset is to other programs of it."""
        return [paths.parity(model) for model in dict.fromkeys(c.model for c in self.of(dataset).contenders)]

    def deployed(self, dataset: str) -> PlannedRun | None:
        """The run whose network is written and measured as C: the first that did not choose it by its test fold.

        One of the protocols whose predictions are smoothed goes before others. None where there is no such run.
        """
        runs = [
            r for r in self.of(dataset).runs if r.training.model == IN_C and r.selection in ("best_validation", "last")
        ]
        return min(runs, key=lambda run: run.protocol not in self.config.postprocessing.protocols, default=None)

    def deployment(self, dataset: str) -> list[str]:
        """What is measured of the network as C; nothing where there is none."""
        return [paths.deployment(dataset)] if self.deployed(dataset) else []

    def c_sources(self) -> list[str]:
        """The files that a network as C consists of, and those of the boards that it is tried on."""
        found = (self.root / "workflow" / "sleepbench" / "deployment" / "c").rglob("*")
        return sorted(str(path.relative_to(self.root)) for path in found if path.is_file())

    def parity_sha256(self, model: str) -> str:
        """A hash of a model's reference files, and of what the registry says of them."""
        info = describe(model)
        files = [[path.name, sha256_of_file(path)] for path in reference_files(model)]
        return sha256_of_json([files, info.title, info.verified, info.differs])

    def artefact_inputs(self, artefact: Declared, dataset: str) -> dict[str, Any]:
        """The files that an artefact is built from, by the names it gives them."""
        # Snakemake follows the one file that stands for all recordings.
        names = dict.fromkeys("recordings" if name in OF_RECORDINGS else name for name in artefact.inputs)
        names = [name for name in names if name not in RESOURCE_FILES]
        return {name.replace("/", "_"): self._input(name, dataset) for name in names}

    def _input(self, name: str, dataset: str) -> Any:
        if name.startswith(STATISTICS):
            return paths.statistics(dataset, name.removeprefix(STATISTICS))
        files = {
            "runs": lambda: paths.runs(dataset),
            "trainings": lambda: self.trainings(dataset),
            "profiles": lambda: self.profiles(dataset),
            "parity": lambda: self.parity(dataset),
            "deployment": lambda: self.deployment(dataset),
            "folds": lambda: self.fold_files(dataset),
            "totals": lambda: self.totals(dataset),
            "recordings": lambda: paths.recordings(dataset),
            "smoothed": lambda: self.smoothed(dataset),
            "imported": lambda: imported(dataset),
            "audit": lambda: paths.table(dataset, "audit", "json"),
        }
        if name not in files:
            raise BenchmarkError(
                f"artefact input '{name}': expected one of {', '.join([*files, *OF_RECORDINGS, *RESOURCE_FILES])}"
            )
        return files[name]()

    def artefact_files(self, artefact: Declared, dataset: str) -> dict[str, list[str]]:
        """The files of single recordings that an artefact is built from."""
        return {name: self.prepared(dataset, form) for name, form in OF_RECORDINGS.items() if name in artefact.inputs}

    def artefact_resources(self, artefact: Declared) -> dict[str, str]:
        """The committed files that an artefact is built from; their time stamps say nothing, their hashes do."""
        return {name: path for name, path in RESOURCE_FILES.items() if name in artefact.inputs}

    def resources_sha256(self, paths: Sequence[str]) -> str:
        """A hash of committed files."""
        return sha256_of_json([sha256_of_file(self.root / path) for path in paths])

    def artefact_settings(self, artefact: Declared, dataset: str) -> dict[str, Any]:
        """What the configuration says to an artefact, by the names it asks for; JSON values."""
        planned, config = self.of(dataset), self.config
        models = {contender.model: describe(contender.model) for contender in planned.contenders}
        said = {
            "ladder": lambda: ladder_on(config, dataset),
            "protocols": lambda: self.protocols(dataset),
            "own_recipes": lambda: {m.title: m.published_recipe for m in models.values() if m.published_recipe},
            "recipes": lambda: {name: recipe.model_dump(mode="json") for name, recipe in config.recipes.items()},
            "recipes_of_models": lambda: list(dict.fromkeys(m.published_recipe or m.name for m in models.values())),
            "alone": lambda: next((name for name, roles in config.inputs.items() if roles == ["eeg1"]), None),
            "undefined": self._undefined,
            "estimators": lambda: [m.title for m in models.values() if m.kind == "estimator"],
            "smoothed_models": lambda: list(config.postprocessing.hmm),
            "smoothed_protocols": lambda: [p for p in planned.protocols if p in config.postprocessing.protocols],
            "margins": lambda: list(config.comparisons.margins),
            "not_trained": self.plan.not_trained,
        }
        if unknown := [name for name in artefact.settings if name not in said]:
            raise BenchmarkError(f"{artefact.name}: no setting '{unknown[0]}', expected one of {', '.join(said)}")
        return {name: said[name]() for name in artefact.settings}

    def artefact_parameters(self, artefact: Declared) -> dict[str, Callable[[Any], Any]]:
        """The parameters of a rule that makes one artefact."""
        return {
            "files": lambda wildcards: self.artefact_files(artefact, wildcards.dataset),
            "resources": lambda _: self.artefact_resources(artefact),
            "resources_sha256": lambda _: self.resources_sha256([*self.artefact_resources(artefact).values()]),
            "settings": lambda wildcards: self.artefact_settings(artefact, wildcards.dataset),
            "label": lambda wildcards: self.label(wildcards.dataset),
            "code": lambda _: module_sha256(artefact.module),
        }

    def room_inputs(self, room: str, dataset: str) -> dict[str, Any]:
        """The files that all artefacts of a room are built from, by the names that they give them."""
        return _joined(self.artefact_inputs(one, dataset) for one in declared(room).values())

    def room_parameters(self, room: str) -> dict[str, Callable[[Any], Any]]:
        """The parameters of the rule that makes all artefacts of a room; settings by artefact."""
        artefacts = declared(room)

        def resources(_: Any) -> dict[str, str]:
            return _joined(self.artefact_resources(one) for one in artefacts.values())

        return {
            "files": lambda w: _joined(self.artefact_files(one, w.dataset) for one in artefacts.values()),
            "resources": resources,
            "resources_sha256": lambda w: self.resources_sha256([*resources(w).values()]),
            "settings": lambda w: {name: self.artefact_settings(one, w.dataset) for name, one in artefacts.items()},
            "label": lambda wildcards: self.label(wildcards.dataset),
            "code": lambda _: sha256_of_json([module_sha256(one.module) for one in artefacts.values()]),
        }

    def protocols(self, dataset: str) -> dict[str, dict[str, Any]]:
        """The protocols of a dataset as JSON, with the name of their folds."""
        of = self.of(dataset).protocols
        return {name: {**one.model_dump(), "folds": one.folds.name} for name, one in of.items()}

    def _undefined(self) -> list[dict[str, Any]]:
        """Models and inputs that are asked for, but that the model is not defined for."""
        return [
            {
                "title": describe(one.model).title,
                "input": one.input,
                "n_channels": len(self.config.inputs[one.input]),
                "reason": one.reason,
            }
            for one in self.plan.skipped
            if one.model and one.input
        ]

    def label(self, dataset: str) -> dict[str, Any]:
        """What a dataset is called where numbers are printed; JSON values of a DataLabel."""
        return vars(self.datasets[dataset].label)

    def products(self, dataset: str) -> list[str]:
        """All files made of a dataset: trainings, runs, statistics, tables, figures, summary, report."""
        return [
            *self.trainings(dataset),
            *self.smoothed(dataset),
            paths.runs(dataset),
            paths.table(dataset, "audit", "json"),
            *(paths.statistics(dataset, name) for one in declared("statistics").values() for name in one.names),
            *(paths.table(dataset, name, form) for name in declared("tables") for form in paths.TABLE_FORMS),
            *(paths.figure(dataset, name, form) for name in declared("figures") for form in paths.FIGURE_FORMS),
            paths.summary(dataset),
            paths.report(dataset),
        ]

    def experiment(self, dataset: str) -> str:
        """The name of a dataset's experiment in MLflow."""
        label = self.datasets[dataset].label
        said = "SIMULATED, not Sleep-EDF" if label.simulated else label.warning
        return f"{dataset} ({said})" if said else dataset


TARGETS = {"data": 1, "prepared": 4}
"""Of the targets that have a name and are not all, how many stages they end."""
TRAINED, COLLECTED = 5, 7
"""How many stages there are up to the trainings, and up to the table of runs."""
NAMED = 4
"""Files that a message names; it counts the others."""


def _stage(target: str, dataset: str, stages: Sequence[Sequence[str]]) -> int:
    """How many stages of a dataset stand before a target."""
    if target == "all":
        return len(stages)
    if target in TARGETS:
        return TARGETS[target]
    if target.startswith(f"{paths.CROSS}/"):
        return COLLECTED
    own = (number for number, stage in enumerate(stages) if target in stage)
    return next(own, TRAINED if target.startswith(f"{paths.home(dataset)}/") else 0)


def _said(found: Mapping[str, str]) -> list[str]:
    """What is made again, and why, in a line for each reason."""
    why = {
        MISSING: "missing",
        CHANGED: "not as it was made",
        UNKNOWN: "without a record of its making",
        FORGOTTEN: "made otherwise, or when Snakemake's memory (.snakemake) was another",
    }
    lines = []
    for reason, text in why.items():
        files = [path for path, one in found.items() if one == reason]
        more = f" and {len(files) - NAMED:,} more" if len(files) > NAMED else ""
        if files:
            lines.append(f"Made again, as {text}: {', '.join(files[:NAMED])}{more}.")
    if {UNKNOWN, FORGOTTEN} & {*found.values()}:
        lines.append("Finished trainings of the same settings and code are kept.")
    return lines


def _joined(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: value for part in parts for name, value in part.items()}

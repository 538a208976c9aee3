"""A bundle made of a run: one fold, or all folds of its training, verified as the tables verify them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import sleepbench
from sleepbench.config import paths, plan
from sleepbench.config.models import Config
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document, sha256_of_file
from sleepbench.core.stages import EPOCH_SECONDS, SAMPLES_PER_EPOCH, SAMPLING_RATE, STAGES
from sleepbench.datasets.base import Dataset
from sleepbench.deployment import IN_C
from sleepbench.deployment.bundle import Bundle, State, write_bundle
from sleepbench.deployment.description import (
    NOT_A_DEVICE,
    Description,
    Fold,
    GroupMetrics,
    Hmm,
    Metrics,
    StageMetrics,
    TrainingData,
)
from sleepbench.deployment.quantisation import calibrate, calibration_epochs
from sleepbench.evaluation.bootstrap import subject_confusions
from sleepbench.evaluation.metrics import class_f1, class_precision, class_recall, summary
from sleepbench.models import create_model, describe
from sleepbench.models.kernels import folded
from sleepbench.preparation.index import read_index
from sleepbench.preparation.prepared import load_prepared
from sleepbench.preparation.quality import read_quality
from sleepbench.reporting.statistics.groups import group_confusions, people
from sleepbench.runs.run import Run, run_in
from sleepbench.runs.verify import Expected, verify
from sleepbench.training.epochs import epoch_set
from sleepbench.training.keys import RECORD

LICENCE = "Apache-2.0"
PREFERRED = ("best_validation", "last")
"""Selection rules whose run is taken of a fold's directory: never one that looked at the test fold."""
SHORTEST_KEY = 4

INTENDED_USE = (
    "Research on automatic sleep staging: stages of 30-s epochs from recordings with these derivations, to be looked "
    f"at by somebody who knows how to score sleep. {NOT_A_DEVICE}"
)


def bundle_run(config: Config, named: str, output: Path, all_folds: bool = False) -> Bundle:
    """Write the bundle of a run, which is named by its key or by its fold's directory; return it.

    With `all_folds`, the members are all folds that are trained of the run's training. BenchmarkError where there is no
    such run, one of the folds is not whole, or the model is no network.
    """
    first, root = _find(config, named)
    expected = Expected(config, first.training.dataset, root)
    runs = _all_folds(config, first, root) if all_folds else [first]
    verify(runs, expected)
    bundle = Bundle(_description(config, runs, expected, root), [_weights(run) for run in runs])
    for member in range(len(runs)):
        bundle.network(member)  # fits the architecture as it is now
    write_bundle(output, bundle)
    return bundle


# --------------------------------------------------------------------------------------------------------- finding runs


def _find(config: Config, named: str) -> tuple[Run, Path]:
    """The run that is named, and the directory that its results/ is in."""
    if (directory := Path(named)).is_dir():
        run = _run_of_directory(directory)
        root = directory.resolve()
        for _ in Path(paths.training(run.training)).parts:
            root = root.parent
        if not (root / paths.training(run.training)).samefile(directory):
            raise BenchmarkError(
                f"{directory}: is not where the fold belongs, results/…/{paths.training(run.training)}: its fold file "
                "and data are looked for from there; leave folds where they were trained"
            )
        return run, root
    found = [
        (key, path.parent, selection)
        for name in config.datasets
        for path in sorted(Path(paths.home(name), "trainings").glob(f"**/fold-*/{RECORD}"))
        for selection, key in _keys_in(path)
        if key.startswith(named.lower())
    ]
    keys = sorted({key for key, *_ in found})
    if len(named) < SHORTEST_KEY or not keys:
        raise BenchmarkError(
            f"no run has a key that begins with {named!r}, and no directory is called so; `sleepbench trace DATASET` "
            "prints the keys behind a row of a table, or name a fold's directory, results/DATASET/trainings/…/fold-0"
        )
    if len(keys) > 1:
        raise BenchmarkError(f"{len(keys)} runs have keys that begin with {named!r}: {', '.join(keys)}; name one")
    _, directory, selection = found[0]
    return _run(directory, selection), Path()


def _keys_in(record: Path) -> list[tuple[str, str]]:
    """Selections and keys of a training's runs, none of a record that is damaged: it is not the one that is meant."""
    try:
        return [(name, run["run_key"]) for name, run in read_document(record)["runs"].items()]
    except (BenchmarkError, KeyError):
        return []


def _run_of_directory(directory: Path) -> Run:
    """The run of a fold's directory: that of validation subjects where there are some, else the last."""
    if not (directory / RECORD).is_file():
        raise BenchmarkError(
            f"{directory}: is no fold's directory: it has no {RECORD}; name one, results/DATASET/trainings/…/fold-0"
        )
    runs = read_document(directory / RECORD, "train this fold again").get("runs", {})
    if (selection := next((name for name in PREFERRED if name in runs), None)) is None:
        raise BenchmarkError(f"{directory}: has no run of {' or '.join(PREFERRED)}, only {', '.join(runs)}; name a key")
    return _run(directory, selection)


def _run(directory: Path, selection: str) -> Run:
    run = run_in(directory, "", selection)
    if describe(run.training.model).kind != "network":
        raise BenchmarkError(
            f"{directory}: {run.title} is an estimator, kept as a pickle, which runs whatever code is in it: a bundle "
            "holds none; bundle a network"
        )
    return run


def _all_folds(config: Config, first: Run, root: Path) -> list[Run]:
    """The runs of all folds that are trained, by the same selection."""
    runs, missing = [], []
    for fold in plan.folds_trained(config, first.training.dataset, first.n_folds):
        directory = root / paths.training(replace(first.training, fold=fold))
        (runs if (directory / RECORD).exists() else missing).append(directory)
    if missing:
        raise BenchmarkError(
            f"of the {first.n_folds} folds {', '.join(map(str, missing))} are not trained; train them, or leave out "
            "--all-folds"
        )
    return [_run(directory, first.selection) for directory in runs]


# ---------------------------------------------------------------------------------------------------------- description


def _description(config: Config, runs: Sequence[Run], expected: Expected, root: Path) -> Description:
    first = runs[0]
    info = describe(first.training.model)
    dataset = plan.dataset(config, first.training.dataset)
    roles = first.settings["channels"]
    data = _training_data(dataset)
    metrics = _metrics(config, runs)
    return Description(
        sleepbench=sleepbench.__version__,
        model=info.name,
        title=info.title,
        paper=info.paper,
        input=first.training.input,
        montage={role: dataset.montage[role] for role in roles},
        recorded_at=_recorded_at(dataset, first, expected),
        input_transformation=info.input_transformation.settings(),
        sampling_rate=SAMPLING_RATE,
        epoch_seconds=EPOCH_SECONDS,
        samples_per_epoch=dataset.samples_per_epoch,
        sequence_length=info.sequence_length,
        inference=info.inference,
        stages=list(STAGES),
        hmm=_hmm(runs, root),
        activation_ranges=_activation_ranges(first, expected, root) if len(runs) == 1 else None,
        recipe=first.training.recipe,
        protocols=_protocols(config, first),
        folds=[_fold(run, expected) for run in runs],
        data=data,
        metrics=metrics,
        licence=LICENCE,
        intended_use=INTENDED_USE,
        limits=_limits(data, metrics, dataset, first.selection),
    )


def _recorded_at(dataset: Dataset, run: Run, expected: Expected) -> dict[str, float]:
    """Rates of the channels in a recording of the training; none where it is not prepared here."""
    _, folds = expected.fold_file(run.training.folds)
    quality = expected.root / paths.prepared(dataset.source, folds[run.training.fold].train[0], "quality.json")
    if not quality.exists():
        return {}
    channels = read_quality(quality)["channels"]
    return {role: float(channels[role]["sampling_rate_hz"]) for role in run.settings["channels"]}


def _training_data(dataset: Dataset) -> TrainingData:
    label = dataset.label
    is_excerpt = dataset.samples_per_epoch < SAMPLES_PER_EPOCH
    kind = "simulated" if label.simulated else "excerpt" if is_excerpt else "full"
    return TrainingData(
        dataset=dataset.name,
        name=label.name,
        kind=kind,
        warning=label.warning,
        licence=dataset.licence,
        citation=dataset.citation,
    )


def _fold(run: Run, expected: Expected) -> Fold:
    document, folds = expected.fold_file(run.training.folds)
    parts = vars(folds[run.training.fold])
    subjects = {part: sorted({document["subjects"][id] for id in ids}) for part, ids in parts.items()}
    return Fold(
        run_key=run.key,
        training_key=run.record["training_key"],
        fold=run.training.fold,
        n_folds=run.n_folds,
        seed=run.training.seed,
        selection=run.selection,
        training_epoch=run.selected_epoch,
        training_subjects=subjects["train"],
        validation_subjects=subjects["validation"],
        test_subjects=subjects["test"],
        git_commit=run.record["provenance"]["git_commit"],
        code_sha256=run.record["code_sha256"],
    )


def _protocols(config: Config, run: Run) -> list[str]:
    """Protocols of the configuration that read this run."""
    names = []
    for name in config.protocols:
        protocol = plan.protocol_on(config, name, run.training.dataset)
        found = protocol.folds.name, protocol.trimming, protocol.selection
        if found == (run.training.folds, run.training.trimming, run.selection):
            names.append(name)
    return names


def _metrics(config: Config, runs: Sequence[Run]) -> Metrics:
    """Of all members' test predictions together."""
    predictions = pd.concat([run.predictions() for run in runs], ignore_index=True)
    confusions = subject_confusions(predictions, check=False)  # verified before
    pooled = confusions[1].sum(axis=0)
    f1, precision, recall = class_f1(pooled), class_precision(pooled), class_recall(pooled)
    known = people(plan.recordings(config, runs[0].training.dataset))
    return Metrics(
        **_overall(pooled, ("accuracy", "balanced_accuracy", "macro_f1", "cohen_kappa")),
        n_epochs=int(pooled.sum()),
        n_subjects=len(confusions[0]),
        by_stage={
            name: StageMetrics(
                f1=_number(f1[i]), precision=_number(precision[i]), recall=_number(recall[i]), n_epochs=int(n)
            )
            for i, (name, n) in enumerate(zip(STAGES, pooled.sum(axis=1), strict=True))
        },
        by_group=[
            GroupMetrics(
                grouping=grouping,
                group=group,
                n_subjects=len(mine),
                n_epochs=int(mine.sum()),
                **_overall(mine.sum(axis=0), ("accuracy", "macro_f1", "cohen_kappa")),
            )
            for grouping, group, mine in group_confusions(confusions, known)
        ],
    )


def _overall(confusion: np.ndarray, names: Sequence[str]) -> dict[str, float | None]:
    values = summary(confusion)
    return {name: _number(values[name]) for name in names}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _hmm(runs: Sequence[Run], root: Path) -> Hmm | None:
    """The parameters by which the runs' predictions were smoothed, of several folds their mean; None without any."""
    parts: list[dict[str, Any]] = []
    for run in runs:
        path = root / paths.smoothed(run.training, run.selection) / "hmm.json"
        if not path.exists():
            return None
        document = read_document(path, "delete the directory and run again: the run is smoothed again")
        if document["training_json_sha256"] != sha256_of_file(run.directory / RECORD):
            raise BenchmarkError(f"{path}: is of another training than {run.directory}; delete it and run again")
        parts.append(document)
    mean = {name: np.mean([part[name] for part in parts], axis=0).tolist() for name in Hmm.model_fields}
    return Hmm(**mean)


def _activation_ranges(run: Run, expected: Expected, root: Path) -> dict[str, float] | None:
    """Of the network on epochs of its training recordings; None for one that is not quantised, or without these."""
    index = root / paths.recordings(run.training.dataset)
    if run.training.model != IN_C or not index.exists():
        return None
    _, folds = expected.fold_file(run.training.folds)
    prepared = {id: replace(files, signals=root / files.signals) for id, files in read_index(index).prepared.items()}
    files = [prepared[id] for id in folds[run.training.fold].train]
    if not all(one.signals.exists() for one in files):
        return None
    settings, info = run.settings, describe(run.training.model)
    network = create_model(info.name, len(settings["channels"]))
    network.load_state_dict({name: torch.from_numpy(array) for name, array in _weights(run).items()})
    train = epoch_set(
        [load_prepared(one) for one in files], settings["channels"], settings["trimming"], info.input_transformation
    )
    return calibrate(folded.fold(network), train.signals(calibration_epochs(len(train))))


def _weights(run: Run) -> State:
    """The weights of the training epoch that the run's rule selected."""
    kept = torch.load(run.directory / "weights.pt", map_location="cpu", weights_only=True)
    return {name: tensor.numpy() for name, tensor in kept[run.selected_epoch].items()}


def _limits(data: TrainingData, metrics: Metrics, dataset: Dataset, selection: str) -> list[str]:
    """What its figures do not say."""
    limits = []
    if data.kind == "simulated":
        limits.append("Trained on made-up signals: its stages of a real recording mean nothing.")
    if data.kind == "excerpt":
        seconds = dataset.samples_per_epoch / SAMPLING_RATE
        limits.append(f"Sees only the first {seconds:g} s of each epoch, as it was trained.")
    if selection == "best_test":
        limits.append("Its test fold chose its training epoch: the metrics are too high for new people.")
    known = {group.grouping for group in metrics.by_group}
    if missing := [name for name in ("sex", "age") if name not in known]:
        limits.append(f"How it does by {' and '.join(missing)} is not known.")
    limits += [
        f"Metrics are of {metrics.n_subjects} {'made-up ' if data.kind == 'simulated' else ''}people of one dataset; "
        "other laboratories, amplifiers, montages, patients and children were not tried.",
        "Scores whole 30-s epochs from the recording's beginning; it knows no artefacts, arousals or movement.",
    ]
    return limits

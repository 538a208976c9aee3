"""The job that tests the networks of one dataset, all folds of a training, on another dataset.

Nothing is trained but by the remedy that says so. Selection and input transformation are those of the training; what
must be known of a recording is measured on the recording itself.
"""

import functools
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

import sleepbench
from sleepbench.config.keys import CrossKey
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import replacing, sha256_of_file, write_document
from sleepbench.core.stages import STAGES
from sleepbench.cross import remedies
from sleepbench.cross.names import ADABN, AS_IS, DOCUMENT, FOLD, SCALED
from sleepbench.models import describe
from sleepbench.models.base import Estimator, Network
from sleepbench.models.registry import ModelInfo
from sleepbench.preparation.prepared import PreparedFiles, PreparedRecording, load_prepared
from sleepbench.protocols.folds import Fold, folds_of, read_folds
from sleepbench.training.epochs import EpochSet, epoch_set
from sleepbench.training.job import trained_model
from sleepbench.training.keys import RECORD, read_training, run_of, train_again
from sleepbench.training.loop import DivergedError, predict_probabilities, use_device


@dataclass(frozen=True)
class CrossJob:
    """What is needed to test the networks of one dataset on another.

    trainings : the directories of the folds, by number of the fold
    selection : the rule by which their training epochs are chosen
    folds : the fold file of the training
    trained_on, tested_on : the prepared files of the recordings; those tested are of nobody who is in `trained_on`
    audit : who is tested and who is not, and from what that is known; recorded
    remedies : what is tried beside taking the networks as they are
    output : the directory for cross.json and a Parquet file for each way
    device, threads, code_sha256, provenance : as in a TrainingJob
    """

    key: CrossKey
    trainings: Mapping[int, Path]
    selection: str
    folds: Path
    trained_on: Mapping[str, PreparedFiles]
    tested_on: Mapping[str, PreparedFiles]
    audit: Mapping[str, Any]
    remedies: Sequence[str]
    output: Path
    device: str
    threads: int
    code_sha256: str
    provenance: Mapping[str, Any]


@dataclass(frozen=True)
class _Member:
    """The network of a fold as its selection rule takes it; `record` is its training.json."""

    fold: Fold
    record: dict[str, Any]
    run: dict[str, Any]
    directory: Path


def cross(job: CrossJob) -> None:
    """Write the predictions of every fold's network, a file for each way, then cross.json.

    A file has one row per tested epoch: its stage, `p_` the mean of the networks' probabilities, and `fold_K` the stage
    that the network of fold K alone predicts. cross.json lists the files' SHA-256, the runs whose networks these are,
    and the remedies that are not defined, each with a reason. BenchmarkError where a training is damaged or of other
    folds, and where nothing is to be tested.
    """
    members = _read_members(job)
    first = members[0].record
    settings, engine = first["settings"], first["environment"]["engine"]
    info = describe(job.key.model)
    place = use_device(job.device if info.kind == "network" else "cpu", job.threads)
    opened = _Sets(job, settings["channels"], settings["trimming"])
    tested = {id: opened.tested(id) for id in job.tested_on}
    subject_of = {id: one.recordings[0].subject for id, one in tested.items()}
    subjects = sorted(set(subject_of.values()))
    ways, lacking = [AS_IS], {}
    model = _network(members[0], info, next(iter(tested.values())), place)
    for remedy in job.remedies:
        if reason := remedies.lacks(remedy, info, model, len(subjects)):
            lacking[remedy] = reason
        else:
            ways.append(remedy)
    drawn = remedies.draw_subjects(subjects, max(map(remedies.subjects_of, ways)))
    ids = {way: [id for id in tested if not (remedies.subjects_of(way) and subject_of[id] in drawn)] for way in ways}
    found: dict[str, list[np.ndarray]] = {way: [] for way in ways}
    for member in members:
        model = _network(member, info, next(iter(tested.values())), place)
        for way in ways:
            predict = _way(way, model, member, opened, drawn, subject_of, engine)
            try:
                found[way].append(np.concatenate([predict(tested[id]) for id in ids[way]]))
            except DivergedError as error:
                raise BenchmarkError(
                    f"{member.directory}, {way} on {job.key.tested}: {error}; look at the signals in the table of "
                    "quality, or leave the remedy out (cross.remedies)"
                ) from error
        print(f"fold {member.record['settings']['fold']}: {', '.join(ways)}", flush=True)
    files = {}
    for way in ways:
        path = job.output / f"{way}.parquet"
        table = _table([tested[id] for id in ids[way]], found[way], members)
        table.attrs["simulated"] = job.provenance["simulated"]  # is kept in the file's metadata
        with replacing(path) as temporary:
            table.to_parquet(temporary, index=False)
        files[path.name] = sha256_of_file(path)
    write_document(
        job.output / DOCUMENT,
        {
            **vars(job.key),
            "title": info.title,
            "selection": job.selection,
            "members": [_described(member) for member in members],
            "audit": dict(job.audit),
            "drawn": drawn,
            "ways": ways,
            "lacking": lacking,
            "code_sha256": job.code_sha256,
            "provenance": dict(job.provenance),
            "environment": {
                **{"device": place.type, "threads": job.threads, "engine": engine},
                **{"sleepbench": sleepbench.__version__, "python": platform.python_version()},
                **{"torch": torch.__version__, "numpy": np.__version__},
            },
            "files": files,
        },
    )


def _read_members(job: CrossJob) -> list[_Member]:
    document = read_folds(job.folds)
    folds = folds_of(document)
    members = []
    for number, directory in job.trainings.items():
        record = read_training(directory)
        if document["folds_sha256"] != record["settings"]["folds_sha256"]:
            raise BenchmarkError(f"{directory}: was trained on other folds than {job.folds}: {train_again(directory)}")
        members.append(_Member(folds[number], record, run_of(record, job.selection, directory), directory))
    if not members or not job.tested_on:
        raise BenchmarkError(f"{job.output}: no network or no recording to be tested; ask for other datasets (test_on)")
    return members


class _Sets:
    """The recordings of both datasets as the networks see them, each opened and measured once."""

    def __init__(self, job: CrossJob, roles: Sequence[str], trimming: str):
        self.job, self.roles, self.trimming = job, roles, trimming
        self.transformation = describe(job.key.model).input_transformation
        self.measured: dict[str, np.ndarray] = {}

    def tested(self, id: str) -> EpochSet:
        """A recording that is tested."""
        return self.together([id])

    def together(self, ids: Sequence[str]) -> EpochSet:
        """Some of the recordings that are tested as one set."""
        opened = [self._open(id) for id in ids]
        return epoch_set(opened, self.roles, self.trimming, self.transformation, self.measured)

    @functools.cache  # noqa: B019 (there is one of these for as long as the job lasts)
    def _open(self, id: str) -> PreparedRecording:
        return load_prepared(self.job.tested_on[id])

    @functools.cache  # noqa: B019
    def spread(self, id: str, trained: bool) -> np.ndarray:
        """The spread of a recording's channels, of the one dataset or the other."""
        opened = load_prepared(self.job.trained_on[id]) if trained else self._open(id)
        return remedies.spread_of(epoch_set([opened], self.roles, self.trimming))


def _network(member: _Member, info: ModelInfo, epochs: EpochSet, place: torch.device) -> Network | Estimator:
    weights = torch.load(member.directory / "weights.pt", map_location="cpu", weights_only=True)
    return trained_model(info, epochs, weights[member.run["training_epoch"]], place)


def _way(
    way: str,
    model: Network | Estimator,
    member: _Member,
    opened: _Sets,
    drawn: Sequence[str],
    subject_of: Mapping[str, str],
    engine: str,
) -> Callable[[EpochSet], np.ndarray]:
    """What gives the probabilities (n_epochs, 5) of a recording, by one way."""
    info = describe(opened.job.key.model)
    if way == SCALED:
        like = [opened.spread(id, True) for id in member.fold.train]

        def prepared(epochs: EpochSet) -> EpochSet:
            return remedies.rescaled(epochs, opened.spread(epochs.recordings[0].id, False), like)

        return lambda epochs: predict_probabilities(model, prepared(epochs), engine, info)
    if way == ADABN:
        return lambda epochs: predict_probabilities(remedies.with_norms_of(model, epochs, info), epochs, engine, info)
    if n := remedies.subjects_of(way):
        chosen = drawn[:n]
        epochs = opened.together([id for id, subject in subject_of.items() if subject in chosen])
        model = remedies.finetuned(model, epochs, opened.job.key.seed, engine, info, lambda line: None)
    return lambda epochs: predict_probabilities(model, epochs, engine, info)


def _table(sets: Sequence[EpochSet], found: Sequence[np.ndarray], members: Sequence[_Member]) -> pd.DataFrame:
    """One row per epoch, from the probabilities of each member."""

    def column(name: str) -> np.ndarray:
        return np.concatenate([one.column(name) for one in sets])

    mean = np.mean(found, axis=0, dtype=np.float64).astype(np.float32)
    return pd.DataFrame(
        {
            "recording": column("id"),
            "subject": column("subject"),
            "night": column("night").astype(np.int8),
            "epoch": column("epoch"),
            "stage": np.concatenate([one.stage for one in sets]).astype(np.int8),
            **{f"p_{name}": mean[:, i] for i, name in enumerate(STAGES)},
            **{
                f"{FOLD}{member.record['settings']['fold']}": probabilities.argmax(axis=1).astype(np.int8)
                for member, probabilities in zip(members, found, strict=True)
            },
        }
    )


def _described(member: _Member) -> dict[str, Any]:
    return {
        "fold": member.record["settings"]["fold"],
        "run_key": member.run["run_key"],
        "training_key": member.record["training_key"],
        "training_epoch": member.run["training_epoch"],
        "training_json_sha256": sha256_of_file(member.directory / RECORD),
    }

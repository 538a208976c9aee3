"""Scoring with a bundle, in Python:

scorer = sleepbench.load("ulw.bundle")
probabilities = scorer.predict(signals)
night = scorer.score("PSG.edf")
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import EPOCH_SECONDS, STAGES, UNKNOWN
from sleepbench.datasets.sleep_edf_cassette import STAGES_BY_TEXT
from sleepbench.deployment.bundle import Bundle, read_bundle
from sleepbench.deployment.description import Description
from sleepbench.deployment.recording import Recording, open_recording
from sleepbench.evaluation.metrics import confusion_matrix, summary
from sleepbench.evaluation.sleep_measures import night_measures
from sleepbench.models.transformation import InputTransformation
from sleepbench.postprocessing.hmm import HiddenMarkovModel, decoded, filtered
from sleepbench.preparation.prepared import PreparedRecording
from sleepbench.signals import edf
from sleepbench.signals.scoring import read_scoring
from sleepbench.training.engines import SCORING
from sleepbench.training.epochs import EpochSet, epoch_set
from sleepbench.training.loop import predict_probabilities

if TYPE_CHECKING:
    from sleepbench.models.base import Network

TEXTS = {"W": "Sleep stage W", "N1": "Sleep stage N1", "N2": "Sleep stage N2", "N3": "Sleep stage N3"} | {
    "REM": "Sleep stage R"
}
"""The standard texts of EDF+ (https://www.edfplus.info/specs/edftexts.html) for the AASM's stages."""
READ_TEXTS = {**STAGES_BY_TEXT, **{text: STAGES.index(stage) for stage, text in TEXTS.items()}}
"""What a hypnogram that is compared may say: the texts of R&K or of the AASM."""
EVERY = "recording"


@dataclass(frozen=True)
class Scoring:
    """A recording with its stages.

    probabilities : float32 (n_epochs, 5), the networks' own
    stages : int8 (n_epochs,), the likeliest of each epoch, or of the whole night where they are `smoothed`
    scored : int8 (n_epochs,), those of a hypnogram that they are compared with, None without one
    handled : sentences on what was handled in the recording and the hypnogram
    """

    description: Description
    recording: Recording
    probabilities: np.ndarray
    stages: np.ndarray
    smoothed: bool
    scored: np.ndarray | None
    handled: list[str]

    @property
    def hypnogram(self) -> list[str]:
        """The stages by name."""
        return [STAGES[stage] for stage in self.stages]

    @cached_property
    def measures(self) -> dict[str, float]:
        """Sleep measures of the whole recording, see `evaluation.sleep_measures.night_measures`."""
        return night_measures(self.stages)

    @cached_property
    def confusion(self) -> np.ndarray | None:
        """Epochs by scored (rows) and predicted stage; those without a scored stage are left out."""
        if self.scored is None:
            return None
        known = self.scored < len(STAGES)
        return confusion_matrix(self.scored[known], self.stages[known])

    @property
    def agreement(self) -> dict[str, float] | None:
        """Accuracy, kappa and the others of `evaluation.metrics`, against the hypnogram."""
        return None if self.confusion is None else summary(self.confusion)


class Scorer:
    """The networks of a bundle, ready to score."""

    def __init__(self, bundle: Bundle):
        self.bundle, self.description = bundle, bundle.description

    @cached_property
    def networks(self) -> list["Network"]:
        """All members."""
        return [self.bundle.network(member) for member in range(len(self.bundle.members))]

    def predict(self, signals: np.ndarray) -> np.ndarray:
        """Stage probabilities, float32 (n_epochs, 5), the mean over the members.

        `signals` are the epochs of one recording in order, without a gap: microvolts (n_epochs, n_channels,
        samples_per_epoch) of the bundle's roles at its rate. BenchmarkError for another shape, or values not finite.
        """
        return self._predict(self._epochs(self.bundle.checked(signals)))

    def score(
        self,
        path: str | Path,
        channels: Mapping[str, str] | None = None,
        smooth: bool = False,
        hypnogram: str | Path | None = None,
    ) -> Scoring:
        """Score an EDF file.

        `channels` name labels of the file by role where they are called otherwise; `smooth` decodes the night by the
        bundle's hidden Markov model; a `hypnogram` (EDF+) is compared with. BenchmarkError for what cannot be scored.
        """
        self.require_hmm(smooth)
        recording = open_recording(path, self.description, channels)
        scored, said = (None, []) if hypnogram is None else _read_hypnogram(Path(hypnogram), recording)
        probabilities = self._score(recording)
        stages = self.smoothed(probabilities) if smooth else probabilities.argmax(axis=1)
        return Scoring(
            self.description,
            recording,
            probabilities,
            stages.astype(np.int8),
            smooth,
            scored,
            [*recording.handled, *said],
        )

    @cached_property
    def hmm(self) -> HiddenMarkovModel:
        """The parameters of the smoothing, of a bundle that has some."""
        told = self.description.hmm
        return HiddenMarkovModel(*(np.array(getattr(told, part)) for part in ("initial", "transition", "emission")))

    def require_hmm(self, wanted: bool = True) -> None:
        """BenchmarkError where smoothing is wanted and the bundle has no parameters of it."""
        if wanted and self.description.hmm is None:
            raise BenchmarkError(
                f"the bundle of run {self.description.run_key} has no parameters of a hidden Markov model: its run was "
                "not smoothed; leave out --smooth, or bundle a run of a model and protocol that `postprocessing` names "
                "in config.yaml"
            )

    def smoothed(self, probabilities: np.ndarray) -> np.ndarray:
        """The stages of a night as `postprocessing` smooths those of a test fold, int64 (n_epochs,)."""
        night = [np.arange(len(probabilities))]
        return decoded(self.hmm, filtered(probabilities, night).argmax(axis=1), night)

    def _score(self, recording: Recording) -> np.ndarray:
        measured = self._measured(recording)
        if self.bundle.info.sequence_length is not None:
            return self._predict(self._epochs(np.concatenate(list(recording.blocks())), measured))
        # Single epochs are scored as they are cut, so that no more of a day is in memory.
        return np.concatenate([self._predict(self._epochs(block, measured)) for block in recording.blocks()])

    def _measured(self, recording: Recording) -> np.ndarray:
        """What the input transformation must know of the whole recording, channel by channel: (2, n_channels)."""
        transformation = self.bundle.transformation
        if type(transformation).measure is InputTransformation.measure:
            return np.zeros((2, len(self.description.roles)), np.float32)
        return np.concatenate(
            [transformation.measure(recording.channel(role)) for role in self.description.roles], axis=1
        )

    def _epochs(self, signals: np.ndarray, measured: np.ndarray | None = None) -> EpochSet:
        """Epochs in a row as training and evaluation read them."""
        n = np.arange(len(signals))
        kept = np.ones(len(signals), np.int64)
        recording = PreparedRecording(
            EVERY, EVERY, 1, self.description.roles, signals, n, n * EPOCH_SECONDS, np.zeros_like(n), kept, kept
        )
        known = {} if measured is None else {EVERY: measured}
        return epoch_set([recording], self.description.roles, "standard", self.bundle.transformation, known)

    def _predict(self, epochs: EpochSet) -> np.ndarray:
        with _one_thread():
            members = [predict_probabilities(network, epochs, SCORING, self.bundle.info) for network in self.networks]
        return members[0] if len(members) == 1 else np.mean(members, axis=0, dtype=np.float32)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread: a night takes two seconds, and threads that wait for each other on a busy machine more."""
    import torch

    n = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n)


def load(path: str | Path) -> Scorer:
    """Read a bundle that scores signals and recordings; BenchmarkError as `read_bundle`."""
    return Scorer(read_bundle(path))


def _read_hypnogram(path: Path, recording: Recording) -> tuple[np.ndarray, list[str]]:
    """The stage of each epoch of a recording, UNKNOWN where the hypnogram says none, and how far it covers them."""
    start = edf.read_header(path).start
    if start != recording.start:
        raise BenchmarkError(
            f"{path}: begins at {start}, its PSG {recording.path.name} at {recording.start}; they must begin together"
        )
    found = read_scoring(path, READ_TEXTS)
    stages = np.full(recording.n_epochs, UNKNOWN, np.int8)
    stages[: len(found)] = found[: recording.n_epochs]
    said = []
    if len(found) > recording.n_epochs:
        said.append(f"the hypnogram outlasts the signal by {len(found) - recording.n_epochs} epochs, which are cut")
    if unknown := int((stages >= len(STAGES)).sum()):
        said.append(f"{unknown} epochs have no stage in the hypnogram, and are not compared")
    return stages, said

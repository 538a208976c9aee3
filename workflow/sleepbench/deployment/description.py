"""What a bundle says of itself: everything that is needed to use its networks, and to judge whether one should."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from sleepbench.core.strict import Strict
from sleepbench.datasets.base import DataLabel

FORMAT = "sleepbench bundle"
FORMAT_VERSION = 1
NOT_A_DEVICE = "Not a medical device: for research, not for diagnosis or treatment."

Number = float | None
"""A metric; None where it is undefined."""


class Fold(Strict):
    """The training of one member, and who was in it.

    training_epoch : the one that the selection rule took
    training_subjects, validation_subjects, test_subjects : disjoint unless the folds split people's nights
    """

    run_key: str
    training_key: str
    fold: int
    n_folds: int
    seed: int
    selection: str
    training_epoch: int
    training_subjects: list[str]
    validation_subjects: list[str]
    test_subjects: list[str]
    git_commit: str
    code_sha256: str


class StageMetrics(Strict):
    """Of one stage, in 0..1."""

    f1: Number
    precision: Number
    recall: Number
    n_epochs: int


class GroupMetrics(Strict):
    """Of the test subjects of a group, such as grouping "age" and group "35 to 54"."""

    grouping: str
    group: str
    n_subjects: int
    n_epochs: int
    accuracy: Number
    macro_f1: Number
    cohen_kappa: Number


class Metrics(Strict):
    """On the test epochs of all members, pooled: each member's on subjects or nights of its own test fold."""

    accuracy: Number
    balanced_accuracy: Number
    macro_f1: Number
    cohen_kappa: Number
    n_epochs: int
    n_subjects: int
    by_stage: dict[str, StageMetrics]
    by_group: list[GroupMetrics]


class Hmm(Strict):
    """A hidden Markov model of stages: see `postprocessing.hmm.HiddenMarkovModel`."""

    initial: list[float]
    transition: list[list[float]]
    emission: list[list[float]]


class TrainingData(Strict):
    """What the members were trained on.

    kind : "simulated"; "excerpt", only the beginning of every epoch; or "full", whole epochs of real recordings
    warning : as it stands behind titles; empty for whole recordings of a database
    """

    KINDS: ClassVar[Mapping[str, str]] = {
        "simulated": "SIMULATED SIGNALS",
        "excerpt": "EXCERPTS OF REAL EEG",
        "full": "whole real epochs",
    }

    dataset: str
    name: str
    kind: Literal["simulated", "excerpt", "full"]
    warning: str
    licence: str
    citation: str

    @property
    def label(self) -> DataLabel:
        """What titles of numbers and figures say."""
        return DataLabel(self.dataset, self.name, self.warning, self.kind == "simulated")


class Description(Strict):
    """Everything about a bundle but its weights.

    model : its name in the registry; title : as printed
    input : name of the set of channels; montage : by role, in the order of the network's channels, the label of the
        channel in the recordings of the training
    input_transformation : what is done to the microvolts, as `models.transformation` reads it; its statistics are of
        each recording or epoch that is scored, and those of the training, if a network has any, are among its weights
    recorded_at : by role, the rate of the channel in the recordings of the training, in Hz; as far as it is known
    sampling_rate : in Hz; samples_per_epoch : that a network sees of each epoch of `epoch_seconds`
    sequence_length : epochs that a network of sequences was trained on at once; None: single epochs
    inference : how sequences are scored, see `models.registry.ModelInfo`
    hmm : None where the run's predictions were not smoothed
    activation_ranges : largest magnitudes of the network's activations on epochs of its training recordings, by which
        it is quantised, see `deployment.quantisation`; None where they were not found
    licence : of the bundle; the data has its own
    """

    format: Literal["sleepbench bundle"] = FORMAT
    format_version: Annotated[int, Field(ge=1)] = FORMAT_VERSION
    sleepbench: str
    model: str
    title: str
    paper: str
    input: str
    montage: dict[str, str]
    recorded_at: dict[str, float]
    input_transformation: dict[str, dict[str, Any]]
    sampling_rate: int
    epoch_seconds: int
    samples_per_epoch: int
    sequence_length: int | None
    inference: str | None
    stages: list[str]
    hmm: Hmm | None
    activation_ranges: dict[str, float] | None = None
    recipe: str
    protocols: list[str]
    folds: Annotated[list[Fold], Field(min_length=1)]
    data: TrainingData
    metrics: Metrics
    licence: str
    intended_use: str
    limits: list[str]

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles of the channels, in the network's order."""
        return tuple(self.montage)

    @property
    def warning(self) -> str:
        """What stands behind every title of what is made with the bundle; empty where nothing is to be warned of."""
        if self.data.kind == "simulated":
            return "model trained on SIMULATED signals – no sleep scoring"
        if self.data.kind == "excerpt":
            return f"model trained on EXCERPTS, {self.samples_per_epoch / self.sampling_rate:g} s of each epoch"
        return f"model: {self.data.warning}" if self.data.warning else ""

    def titled(self, text: str) -> str:
        """A title that says what the model was trained on, where a reader must know."""
        return f"{text} ({self.warning})" if self.warning else text

    @property
    def run_key(self) -> str:
        """The key of the first member's run, by which the bundle is called."""
        return self.folds[0].run_key

    @property
    def what(self) -> str:
        """The model and its folds in a few words."""
        first, n = self.folds[0], len(self.folds)
        which = f"{n} folds, probabilities averaged" if n > 1 else f"fold {first.fold} of {first.n_folds}"
        return f"{self.title} ({self.model}), {which}, run {self.run_key}"

    @property
    def trained_on(self) -> str:
        """On which data: its kind stands in capital letters where it is not whole real epochs."""
        n = len({subject for fold in self.folds for subject in fold.training_subjects})
        text = f"trained on {self.data.KINDS[self.data.kind]}: {n} subjects of the dataset {self.data.dataset}"
        return f"{text}; {self.data.warning}" if self.data.warning else text

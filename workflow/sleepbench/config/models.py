"""The configuration as data: config.yaml, and the definitions that its names refer to.

The definitions lie beside the package.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from sleepbench.config.recipe import Count, Recipe
from sleepbench.core.strict import Strict
from sleepbench.datasets.base import ROLES, SourceSettings
from sleepbench.protocols.folds import FoldSettings

ALL, LADDER, OWN = "all", "ladder", "own"
"""In an experiment: every registered model; the protocols of the ladder; the recipe of each model's own paper."""


def _each_once(values: list) -> list:
    if not values:
        raise ValueError("found an empty list, expected at least one")
    if repeated := sorted({str(value) for value in values if values.count(value) > 1}):
        raise ValueError(f"{', '.join(repeated)} is there more than once; name each once")
    return values


def _whole_numbers(values: Any) -> Any:
    """Numbers that come as text from `--config`, which gives everything in a mapping so."""
    if isinstance(values, list):
        return [int(value) if isinstance(value, str) and value.isdecimal() else value for value in values]
    return values


Names = Annotated[list[str], AfterValidator(_each_once)]
Seed = Annotated[int, Field(ge=0)]
Seeds = Annotated[list[Seed], BeforeValidator(_whole_numbers), AfterValidator(_each_once)]
FoldNumbers = Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(_each_once)]
Folds = Annotated[int, Field(ge=2)]


class Experiment(Strict):
    """An entry of `experiments`: every combination of its lists is trained.

    Entries of one name belong together. Networks of each of its datasets are tested on all of `test_on` as well.
    """

    name: str
    datasets: Names
    protocols: Literal["ladder"] | Names
    models: Literal["all"] | Names
    inputs: Names
    recipes: Names
    seeds: Seeds
    test_on: list[str] = Field(default_factory=list)


class RunSettings(Strict):
    """What is run now: an experiment, of which any list may be replaced."""

    experiment: str
    datasets: Names | None = None
    protocols: Literal["ladder"] | Names | None = None
    models: Literal["all"] | Names | None = None
    inputs: Names | None = None
    recipes: Names | None = None
    seeds: Seeds | None = None
    test_on: Names | None = None


class DatasetDefinition(Strict):
    """A named dataset: the module of `sleepbench.datasets` that reads it, and what that module asks for.

    n_folds : instead of the protocols' number
    training_epochs : instead of the recipes', where trainings only show that all works
    only_folds : the folds that are trained, where not all are
    ladder : its own, where that of all datasets cannot be climbed
    Every other key is a setting of the reader.
    """

    model_config = ConfigDict(extra="allow")

    reader: str
    n_folds: Folds | None = None
    training_epochs: Count | None = None
    only_folds: FoldNumbers | None = None
    ladder: Names | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What the reader is given."""
        return dict(self.model_extra or {})


class Protocol(Strict):
    """How data are split, which epochs of a night are kept, and which training epoch is reported.

    unit : a fold is a block of consecutive recordings, or the subjects whose index is its number modulo n_folds
    remainder : what a floor division leaves is dropped, or kept
    validation_subjects : whether about 10 % of the training subjects are held out
    trimming : a rule of `signals.trimming`
    selection : a rule of `protocols.selection`
    seed : draws the validation subjects
    """

    unit: Literal["recording_block", "subject"]
    remainder: Literal["dropped", "kept"]
    n_folds: Folds
    validation_subjects: bool
    trimming: str
    selection: str
    seed: Seed = 0

    @property
    def folds(self) -> FoldSettings:
        """What its folds depend on besides the recordings."""
        return FoldSettings(self.unit, self.remainder, self.validation_subjects, self.seed, self.n_folds)

    @property
    def promises_disjoint_subjects(self) -> bool:
        """Whether nobody may be in training and test: folds of subjects promise it, and are checked."""
        return self.unit == "subject"


def _count_or_auto(value: Any) -> Any:
    if value == "auto" or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    raise ValueError(f"found {value!r}, expected auto or a whole number of at least 1")


class TrainingSettings(Strict):
    """How trainings use the machine; no number depends on it but for rounding."""

    folds_per_job: Annotated[int | str, BeforeValidator(_count_or_auto)] = "auto"
    threads: Count = 1
    engine: Literal["fast", "reference"] = "fast"
    device: Literal["auto", "cpu", "cuda"] = "auto"


class Postprocessing(Strict):
    """Whose predictions are smoothed, under which protocols."""

    hmm: list[str] = Field(default_factory=list)
    protocols: Names


REMEDIES = ("scaled", "adabn", "finetuned_1", "finetuned_3", "finetuned_5")
"""What may be tried for networks that are tested on another dataset; `sleepbench.cross` says what each is."""


class Cross(Strict):
    """What is tried for networks that are tested on another dataset, beside taking them as they are."""

    remedies: list[Literal[REMEDIES]] = Field(default_factory=list)


def _numbers(values: Any) -> Any:
    """Numbers that come as text from `--config`."""
    if isinstance(values, list):
        return [float(v) if isinstance(v, str) and re.fullmatch(r"\d+(\.\d+)?", v) else v for v in values]
    return values


def _ascending(values: list) -> list:
    if values != sorted(values):
        raise ValueError(f"found {values}, expected the smallest first: {sorted(values)}")
    return values


Margin = Annotated[float, Field(gt=0, lt=100)]
Margins = Annotated[list[Margin], BeforeValidator(_numbers), AfterValidator(_each_once), AfterValidator(_ascending)]


class Comparisons(Strict):
    """By which margins networks are compared, in percentage points."""

    margins: Margins


class Figures(Strict):
    """How figures are made: whether with titles, which journals set themselves."""

    titles: bool


class Tracking(Strict):
    """Where runs are logged: any MLflow tracking URI."""

    uri: Annotated[str, Field(min_length=1)]


InputRoles = Annotated[list[Literal[ROLES]], AfterValidator(_each_once)]


class Config(Strict):
    """Everything that is configured, names resolved: `config.load` makes it."""

    run: RunSettings
    experiments: list[Experiment]
    data: dict[str, SourceSettings]
    training: TrainingSettings
    postprocessing: Postprocessing
    cross: Cross = Field(default_factory=Cross)
    comparisons: Comparisons
    figures: Figures
    tracking: Tracking
    inputs: dict[str, InputRoles]
    datasets: dict[str, DatasetDefinition]
    protocols: dict[str, Protocol]
    ladder: Names
    recipes: dict[str, Recipe]

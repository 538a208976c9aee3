"""A simulated cohort: made-up nights in files like those of Sleep-EDF's cassette recordings.

Its recordings are known without writing any; each is written where its files are wanted.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from sleepbench.core.files import sha256_of_file, sha256_of_json
from sleepbench.core.strict import Strict
from sleepbench.datasets.base import SIMULATED, DataLabel, Recording, SourceFile, simulated_person
from sleepbench.datasets.recordings_table import first_subjects, read_recordings
from sleepbench.datasets.sleep_edf_cassette import OFFICIAL_TABLE, STAGES_BY_TEXT, CassetteFiles
from sleepbench.datasets.written import fetch_written
from sleepbench.simulation.randomness import Part, Randomness, person, scorer

SIMULATION = Path(__file__).parents[1] / "simulation"
STAGE_TEXTS = {
    code: [text for text, other in STAGES_BY_TEXT.items() if other == code] for code in STAGES_BY_TEXT.values()
}
"""What the hypnograms call each stage."""

Night = tuple[int, int]
"""A subject's number from 0, and the night's, 1 or 2."""


class SimulatedSettings(Strict):
    """What a cohort is made of.

    subjects, single_night_subjects : two nights each, but for those with the first only
    shape : instead, the subjects and nights of the real datasets, or of a small cohort
    psg_hours : length of each PSG
    seed : another seed, another cohort
    """

    subjects: Annotated[int, Field(ge=1)] | None = None
    single_night_subjects: list[Annotated[int, Field(ge=0)]] | None = None
    shape: Literal["demo", "sleep-edf-20", "sleep-edf-78"] | None = None
    psg_hours: Annotated[float, Field(ge=1.75, le=24)]
    seed: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _one_of_two_ways(self) -> Self:
        explicit = [self.subjects, self.single_night_subjects]
        if (self.shape is None) == (None in explicit) or (self.shape and explicit != [None, None]):
            raise ValueError("give either 'shape', or both 'subjects' and 'single_night_subjects'")
        if unknown := sorted(n for n in self.single_night_subjects or [] if n >= self.subjects):
            raise ValueError(f"single_night_subjects: {unknown}, expected 0 to {self.subjects - 1}")
        return self

    def nights(self) -> list[Night]:
        """All nights, in ascending order."""
        if self.shape == "demo":
            return nights_of(6, [5])
        if self.shape:
            subjects = 20 if self.shape == "sleep-edf-20" else None
            real = first_subjects(read_recordings(OFFICIAL_TABLE), subjects)
            return [(int(recording.subject), recording.night) for recording in real]
        return nights_of(self.subjects, self.single_night_subjects)


def nights_of(subjects: int, single_night_subjects: Sequence[int]) -> list[Night]:
    """The nights of subjects with two each, but for those who have the first only."""
    single = set(single_night_subjects)
    return [(subject, night) for subject in range(subjects) for night in (1, 2) if night == 1 or subject not in single]


class SimulatedCohort(CassetteFiles):
    """A cohort whose nights are written when they are fetched."""

    printed = "simulated"
    licence = "Apache License 2.0"
    citation = "none: the signals are made up"
    subjects_from = "the cohort's seed and the numbers of its people: the same two make the same person"

    @property
    def label(self) -> DataLabel:
        """Simulated data is never printed as anything but simulated."""
        return DataLabel(self.name, self.printed, SIMULATED, simulated=True)

    @cached_property
    def nights(self) -> dict[str, Night]:
        """The nights by recording id, SC4ssN.

        The subject number ss has more than two digits where there are over 100 subjects.
        """
        nights = self.settings.nights()
        digits = max(2, len(str(max(subject for subject, _ in nights))))
        return {f"SC4{subject:0{digits}d}{night}": (subject, night) for subject, night in nights}

    def person(self, recording: Recording) -> str:
        """The same seed and number make the same person, whatever else a cohort's settings are."""
        return simulated_person(self.settings.seed, self.nights[recording.id][0])

    def recordings(self) -> list[Recording]:
        """Who they are of and what their files are called, without writing them."""
        return [self._recording(id, *night) for id, night in self.nights.items()]

    def fetch(self, recording: Recording, directory: Path) -> dict[str, Any]:
        """Write the night, unless its files are there as they were written by the same code.

        What was written is remembered beside the files, in ID.json.
        """
        return fetch_written(recording, directory, self._made_by(), partial(self._write, recording))

    def _write(self, recording: Recording, paths: Mapping[str, Path]) -> None:
        from sleepbench.simulation.cohort import simulate_night  # here, because parsing the workflow writes nothing

        night, settings = self.nights[recording.id], self.settings
        simulate_night(
            paths["psg"], paths["scoring"], recording.id, *night, settings.psg_hours, settings.seed, STAGE_TEXTS
        )

    def _recording(self, id: str, subject: int, night: int) -> Recording:
        seed = self.settings.seed
        age, sex = person(seed, subject)
        letter = scorer(Randomness(seed, subject, night).stream(Part.HEADER))
        files = (SourceFile("psg", f"{id}E0-PSG.edf"), SourceFile("scoring", f"{id}E{letter}-Hypnogram.edf"))
        return Recording(id, id[3:-1], night, files, age, sex)

    def _made_by(self) -> str:
        """A hash of what decides the bytes of a night, besides who it is of."""
        code = [sha256_of_file(path) for path in sorted(SIMULATION.glob("*.py"))]
        return sha256_of_json([self.settings.psg_hours, self.settings.seed, code])


Settings, DATASET = SimulatedSettings, SimulatedCohort

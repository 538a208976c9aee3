"""A band in figures of accuracy: what people reach on other databases, by one named convention.

It is drawn beside full recordings of a real database only. A band asks to be compared with the points beside it by eye,
and no sentence undoes that: beside simulated signals or parts of epochs the table of people says the same without it.
"""

import pandas as pd
from matplotlib.patches import Patch

from sleepbench.evaluation.human_agreement import POOLED, agreement, read_scorings
from sleepbench.reporting.artefacts import Inputs
from sleepbench.reporting.figures.style import PURPLE

LOW, HIGH = "people_low", "people_high"
LOOK = {"color": PURPLE, "alpha": 0.25, "linewidth": 0}
CAPTION = (
    "Beside full recordings of a real database, the band marks people's accuracy on other databases (DOD-H and DOD-O, "
    "its two ends): five scorers, each against the majority of the other four, pooled over epochs (see the table of "
    "people). Their nights and their question are others, so it says where agreement between scorers ends, and not "
    "what a network should reach here."
)


def with_people(numbers: pd.DataFrame, inputs: Inputs) -> pd.DataFrame:
    """Numbers of a figure with the band's ends in every row, in 0..1.

    They are empty beside data that carries a warning.
    """
    if inputs.label.warning:
        return numbers.assign(**{LOW: None, HIGH: None})
    found = agreement(read_scorings(inputs.path("human_scorings")), [POOLED]).accuracy / 100
    return numbers.assign(**{LOW: found.min(), HIGH: found.max()})


def people_band(numbers: pd.DataFrame) -> tuple[float, float] | None:
    """The ends of the band in percent; None where none is drawn."""
    if numbers.empty or numbers[[LOW, HIGH]].isna().any(axis=None):
        return None
    return tuple(100 * float(numbers[end].iloc[0]) for end in (LOW, HIGH))


def key_of_people(band: tuple[float, float] | None) -> list[Patch]:
    """The band's entry in the key; none where none is drawn."""
    said = "people on other databases:\n{:.1f} to {:.1f} % ({})"
    return [] if band is None else [Patch(label=said.format(*band, POOLED), **LOOK)]

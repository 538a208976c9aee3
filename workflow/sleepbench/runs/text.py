"""What the commands on results print."""

from collections.abc import Sequence

from sleepbench.config.models import Config

TEXT_WIDTH = 118
"""Columns of running text in a terminal."""
SHORT = 8
"""Digits of a hash or key that are printed where the whole would not fit."""
DASH = "–"


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Lines of a table for a terminal, with the first `left` columns aligned to the left.

    The other columns are aligned to the right.
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *rows)
    ]


def shortened(value: object) -> str:
    """A value as text, of a hash the first digits."""
    text = str(value)
    return text[:SHORT] if len(text) == 64 else text


def experiment_with(config: Config, dataset: str) -> str:
    """The experiment that is run now if it has the dataset, or else the first one that has it."""
    having = [entry.name for entry in config.experiments if dataset in entry.datasets]
    return config.run.experiment if config.run.experiment in having or not having else having[0]


def command_that_trains(config: Config, dataset: str) -> str:
    """The command that resumes the trainings of a dataset."""
    return f"sleepbench run --experiment {experiment_with(config, dataset)} --datasets {dataset}"

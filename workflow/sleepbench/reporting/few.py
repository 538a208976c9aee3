"""What is said of numbers that few people are behind."""

import pandas as pd

from sleepbench.evaluation.people_model import LEAST_SUBJECTS
from sleepbench.reporting.rendering import Column

FEW_IS = f"Nothing is concluded from fewer than {LEAST_SUBJECTS} subjects: their rows say 'too few'."


def too_few(row: pd.Series) -> bool:
    """Whether a row is of so few subjects that nothing is concluded from it."""
    return row["n_subjects"] < LEAST_SUBJECTS


def _subjects(row: pd.Series) -> str:
    return f"{row['n_subjects']:.0f}{', too few' if too_few(row) else ''}"


SUBJECTS = Column("Subjects", _subjects, sort_by="n_subjects")
"""The number of subjects, which says where it is too small."""

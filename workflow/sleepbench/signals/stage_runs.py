"""Stages as short text, each run of equal ones once: "W*12 N1 N2*3 ?"."""

import re
from collections.abc import Sequence

import numpy as np

from sleepbench.core.stages import STAGES

NOT_SCORED = -1
"""The code of an epoch that a person did not score, among those of `core.stages`."""

TOKEN = re.compile(rf"({'|'.join(STAGES)}|\?)(?:\*([1-9]\d*))?", re.ASCII)
CODES = {"?": NOT_SCORED, **{name: code for code, name in enumerate(STAGES)}}


def to_runs(stages: Sequence[int]) -> str:
    """Stages as text, each run of equal ones once: "W*12 N1 N2*3 ?"."""
    stages = np.asarray(stages)
    starts = np.flatnonzero(np.diff(stages, prepend=NOT_SCORED - 1))
    names = {code: name for name, code in CODES.items()}
    runs = zip(stages[starts].tolist(), np.diff(starts, append=stages.size).tolist(), strict=True)
    return " ".join(names[code] if n == 1 else f"{names[code]}*{n}" for code, n in runs)


def from_runs(text: str) -> np.ndarray:
    """What `to_runs` wrote, int8 (n_epochs,); ValueError where a part is none of a stage."""
    parts = [TOKEN.fullmatch(part) for part in text.split(" ")]
    if None in parts:
        wrong = text.split(" ")[parts.index(None)]
        raise ValueError(f"found {wrong!r}, expected a stage ({', '.join(STAGES)}, or ?) and its epochs, such as N2*12")
    return np.repeat([CODES[p[1]] for p in parts], [int(p[2] or 1) for p in parts]).astype(np.int8)

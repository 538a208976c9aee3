"""What several datasets are called together, and each of them beside the others."""

import re
from collections.abc import Mapping

from sleepbench.config.paths import CROSS
from sleepbench.datasets.base import DataLabel

ALL_OTHERS = "all others"
"""In the place of the dataset that was trained on: the networks of all others but the tested one."""


def joint_label(labels: Mapping[str, DataLabel]) -> DataLabel:
    """One label of datasets, by name: it carries the warnings of all, each once."""
    warnings = dict.fromkeys(one.warning for one in labels.values() if one.warning)
    names = " and ".join(dict.fromkeys(one.name for one in labels.values()))
    simulated = any(one.simulated for one in labels.values())
    return DataLabel(CROSS.rpartition("/")[2], names, "; ".join(warnings), simulated)


def warned(name: str, labels: Mapping[str, DataLabel]) -> str:
    """A dataset with its warning; empty where it has none."""
    warning = labels[name].warning if name in labels else ""
    return f"{name}: {warning}" if warning else ""


def marked(name: str, labels: Mapping[str, DataLabel]) -> str:
    """A dataset by its name in the configuration, with the beginning of its warning where it has one."""
    warning = labels[name].warning if name in labels else ""
    mark = re.split(" – |[:;]", warning)[0]
    return f"{name} ({mark})" if mark else name

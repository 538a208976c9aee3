from types import SimpleNamespace

import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.cross.audit import audited
from sleepbench.datasets.base import Recording, SourceFile


def index(name, nights, prepared=None):
    """What is asked of an index of nights {id: (subject, sha256)}."""
    recordings = tuple(
        Recording(id, subject, 1, (SourceFile("psg", f"{id}.edf", sha256, 1),))
        for id, (subject, sha256) in nights.items()
    )
    return SimpleNamespace(dataset=name, recordings=recordings, prepared=dict.fromkeys(prepared or nights))


HERE = index("here", {"a1": ("a", "1" * 64), "a2": ("a", "2" * 64), "b1": ("b", "3" * 64)})


def test_who_is_tested_and_who_is_not_is_counted():
    there = index("there", {"c1": ("c", "4" * 64), "c2": ("c", "5" * 64), "d1": ("d", "6" * 64)}, ["c1", "c2"])
    found = audited(HERE, there, ["c1", "c2", "d1"], {"person e": ["e1"]})
    assert (found["people_trained"], found["people_tested"]) == (2, 1)
    assert found["tested"] == ["c1", "c2"] and found["not_prepared"] == ["d1"]
    assert found["removed"] == {"person e": ["e1"]}


def test_a_file_that_was_trained_on_is_recognised_under_any_name():
    there = index("there", {"x1": ("x", "4" * 64), "x2": ("x", "3" * 64)})
    with pytest.raises(BenchmarkError, match=r"which saw files of it: x2\.edf of x2 is a file of b1; name people"):
        audited(HERE, there, ["x1", "x2"], {})
    assert audited(HERE, there, ["x1"], {})["tested"] == ["x1"]

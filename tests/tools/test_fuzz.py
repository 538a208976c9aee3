"""Damaged files: a few hundred of them here, thousands by `fuzz.py`; and that broken readers would be caught."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fuzz
import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.sleep_edf_cassette import CassetteFiles
from sleepbench.preparation import prepare as preparation
from sleepbench.signals import edf, scoring
from sleepbench.signals.edf import header, samples

CASES = 400


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with fuzz.scratch() as folder:
        yield folder


@pytest.fixture(scope="module")
def pairs(folder: Path) -> dict[str, fuzz.Pair]:
    return fuzz.sound_pairs(folder)


def test_no_damage_gets_through(pairs: dict[str, fuzz.Pair], folder: Path) -> None:
    done = [(number, *fuzz.run_case(pairs, folder, 0, number)) for number in range(CASES)]
    assert [f"--seed 0 --only {number}: {message}" for number, _, outcome, message in done if outcome == "failed"] == []
    assert {outcome for _, _, outcome, _ in done} == set(fuzz.OUTCOMES) - {"failed"}, (
        "every outcome but failure must occur, or the cases are tame"
    )


def test_a_case_depends_on_its_number_alone(pairs: dict[str, fuzz.Pair], folder: Path) -> None:
    in_order = [fuzz.run_case(pairs, folder, 0, number) for number in range(20)]
    assert [fuzz.run_case(pairs, folder, 0, number) for number in reversed(range(20))] == in_order[::-1]
    assert [fuzz.run_case(pairs, folder, 1, number) for number in range(20)] != in_order


def no_completeness(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (edf, samples, scoring, fuzz):
        monkeypatch.setattr(module, "check_complete", lambda path, header: None)


def other_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "_integer", lambda path, name, field: int(field))


def no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_header(path: Path) -> edf.EdfHeader:
        try:
            return edf.read_header(path)
        except BenchmarkError:
            raise BenchmarkError("something is wrong") from None

    monkeypatch.setattr(fuzz, "read_header", read_header)


def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentences of a sound pair, whatever the pair."""
    with fuzz.scratch() as folder:
        sound = sorted(fuzz.sound_pairs(folder)["EDF"].handled)
    monkeypatch.setattr(preparation, "_handled", lambda *_: sound)
    monkeypatch.setattr(CassetteFiles, "remarks", lambda *_: [])


def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "LIMIT", 0.05)
    monkeypatch.setattr(fuzz, "read_annotation_lists", lambda path, header: time.sleep(60))


@pytest.mark.parametrize(
    "break_reader, message",
    [
        (no_completeness, "Error: |prepared, though|epochs, expected"),
        (other_exception, "ValueError: invalid literal for int"),
        (no_name, "the error does not name .*: something is wrong"),
        (silent, r"epochs, expected 12 and 14, and nothing is said"),
        (endless, "took more than 0.05 s"),
    ],
)
def test_broken_readers_are_caught(
    pairs: dict[str, fuzz.Pair], folder: Path, monkeypatch: pytest.MonkeyPatch, break_reader: Callable, message: str
) -> None:
    break_reader(monkeypatch)
    messages = (fuzz.run_case(pairs, folder, 0, number) for number in range(CASES))
    assert any(outcome == "failed" and re.search(message, text) for _, outcome, text in messages)


def test_command(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["fuzz.py", "--cases", "30", "--seed", "3"])
    assert fuzz.main() == 0
    assert "all              |    30 |" in capsys.readouterr().out
    silent(monkeypatch)
    no_completeness(monkeypatch)
    monkeypatch.setattr("sys.argv", ["fuzz.py", "--cases", "60", "--seed", "3"])
    assert fuzz.main() == 1
    assert ": failed: " in capsys.readouterr().out

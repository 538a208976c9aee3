"""What is kept of emulated boards is of the C as it is, and keeps the limits."""

import pytest
from measured_deployment import OUTPUT, code_sha256, main

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import read_document
from sleepbench.deployment import built
from sleepbench.evaluation.deployment import broken_limits


def test_what_is_kept_is_of_this_code_and_keeps_all_limits():
    kept = read_document(OUTPUT)
    assert kept["code_sha256"] == code_sha256(), "measure again: python tools/measured_deployment.py simulated 3600"
    assert [(row["core"], row["form"]) for row in kept["boards"]] == [
        (board.core, form) for board in built.BOARDS for form in ("float32", "w8a16")
    ]
    assert {row["epochs"] for row in kept["boards"]} == {kept["test_epochs"]}, "not of the whole test fold"
    assert [broken_limits(row, row) for row in kept["boards"]] == [[]] * len(kept["boards"])


def test_without_an_emulator_nothing_is_replaced(monkeypatch):
    before = OUTPUT.read_bytes()
    monkeypatch.setattr(built, "QEMU", "no-such-emulator")
    monkeypatch.setattr(built, "ARM", "no-such-")
    with pytest.raises(BenchmarkError, match="nothing can be measured: no no-such-gcc"):
        main("simulated", "1")
    assert OUTPUT.read_bytes() == before

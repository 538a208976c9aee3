"""What is said where a compiler or the emulator is missing or fails."""

import numpy as np
import pytest
from fake_bundles import fake_bundle

from sleepbench.core.errors import BenchmarkError
from sleepbench.deployment import built
from sleepbench.deployment.to_c import c_network, write_c


@pytest.fixture
def nothing_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)


def test_each_missing_program_is_named_with_its_package(nothing_installed, tmp_path):
    assert "no C compiler is found" in built.lacks_compiler()
    assert built.lacks_boards() == "no arm-none-eabi-gcc (Debian: gcc-arm-none-eabi, libnewlib-arm-none-eabi)"
    for name in ("gcc", "size", "nm"):
        program = tmp_path / f"arm-none-eabi-{name}"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    assert built.lacks_boards() == "no qemu-system-arm (Debian: qemu-system-arm)"


@pytest.mark.parametrize(("asked", "said"), [("no-such-cc -O2", "no-such-cc is not found"), ("'", "CC cannot be read")])
def test_a_compiler_that_was_asked_for_and_is_not_there(monkeypatch, asked, said):
    monkeypatch.setenv("CC", asked)
    assert said in built.lacks_compiler()


@pytest.mark.skipif(bool(built.lacks_compiler()), reason=built.lacks_compiler())
def test_code_that_cannot_be_compiled_is_an_error_with_the_compilers_words(tmp_path):
    write_c(c_network(fake_bundle(n_samples=437)), tmp_path / "c", "")
    with (tmp_path / "c" / "sleepbench.h").open("a") as file:
        file.write("#error this is not C\n")
    with pytest.raises(BenchmarkError, match=r"failed: .*this is not C"):
        built.run_here(tmp_path / "c", 32, np.zeros((1, 4, 437), np.float32), tmp_path)


@pytest.mark.skipif(bool(built.lacks_boards()), reason=built.lacks_boards())
def test_a_board_that_the_emulator_does_not_know_is_an_error_that_says_so(tmp_path):
    write_c(c_network(fake_bundle(n_samples=437)), tmp_path / "c", "")
    board = built.Board("Cortex-M4F", "no-such-board", built.BOARDS[1].flags)
    with pytest.raises(BenchmarkError, match=r"no-such-board: qemu-system-arm ended with 1 after 0 epochs.*-M help"):
        built.run_on(tmp_path / "c", board, 32, np.zeros((1, 4, 437), np.float32), tmp_path, 5)

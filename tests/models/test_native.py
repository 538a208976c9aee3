import os
import shutil
import subprocess
import sys

import pytest
import torch

from sleepbench.models.kernels import fused, fused_kernel, native

SOURCE = "int answer(void) { return 42; }\n"

needs_compiler = pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler")


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    path = tmp_path / "answer.c"
    path.write_text(SOURCE)
    return path


def made(tmp_path):
    return list((tmp_path / "cache" / "sleepbench").iterdir())


@needs_compiler
def test_library_is_compiled_once(source, tmp_path, monkeypatch):
    assert native.load(source).answer() == 42
    (library,) = made(tmp_path)
    before = library.stat().st_mtime_ns
    assert native.load(source).answer() == 42
    assert library.stat().st_mtime_ns == before
    source.write_text(SOURCE.replace("42", "43"))
    assert native.load(source).answer() == 43
    monkeypatch.setattr(native, "_instructions", lambda: "another machine that shares this cache")
    assert native.load(source).answer() == 43
    assert len(made(tmp_path)) == 3


@needs_compiler
def test_damaged_library_is_compiled_anew(source, tmp_path):
    native.load(source)
    (library,) = made(tmp_path)
    library.unlink()
    library.write_bytes(b"garbage")
    assert native.load(source).answer() == 42


@needs_compiler
def test_user_without_a_home_has_no_cache(source, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(native.Path, "home", no_home)
    assert native.load(source).answer() == 42


@needs_compiler
def test_cache_that_cannot_be_written_is_done_without(source, tmp_path):
    (tmp_path / "cache").write_text("a file where the directory should be")
    assert native.load(source).answer() == 42


@needs_compiler
def test_processes_that_compile_at_once_do_not_meet(source, tmp_path):
    code = (
        "from pathlib import Path; from sleepbench.models.kernels import native; "
        f"print(native.load(Path({str(source)!r})).answer())"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    assert [process.communicate() for process in processes] == [("42\n", "")] * 3
    assert len(made(tmp_path)) == 1


def no_compiler(monkeypatch):
    monkeypatch.setattr(native.shutil, "which", lambda name: None)
    return "neither cc, gcc nor clang"


def missing_compiler(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    return "no-such-compiler"


def failing_compiler(monkeypatch):
    monkeypatch.setenv("CC", "false")
    return "false"


@pytest.mark.parametrize("hindrance", [no_compiler, missing_compiler, failing_compiler])
def test_without_a_compiler_pytorch_computes_after_one_warning(hindrance, source, monkeypatch, caplog):
    reason = hindrance(monkeypatch)
    x, kernel, one = torch.randn(1, 2, 3, 20), torch.randn(1, 4, 2, 3), torch.ones(1, 4)

    def output():
        norm = fused.BatchNorm(one, one, one.clone(), one.clone(), epsilon=1e-3, momentum=0.1)
        return fused.conv_norm_relu_pool(x, kernel, one, norm, training=True)

    with fused_kernel.switched_off():
        expected = output()
    fused_kernel._library.cache_clear()
    try:
        assert fused.arrangement() == "PyTorch"
        assert torch.equal(output(), expected)
    finally:
        fused_kernel._library.cache_clear()
    (record,) = caplog.records
    assert "fused_kernel.c" in record.getMessage() and reason in record.getMessage()


@needs_compiler
def test_compiler_that_finds_an_error_is_quoted_in_one_line(source, caplog):
    source.write_text("int answer(void) { return nothing; }\n")
    assert native.load(source) is None
    (record,) = caplog.records
    assert "answer.c" in record.getMessage() and "nothing" in record.getMessage()
    assert "\n" not in record.getMessage()


@needs_compiler
def test_library_that_does_not_load_is_done_without(source, caplog):
    source.write_text("extern int missing(void);\nint (*pointer)(void) = missing;\n")
    assert native.load(source) is None
    assert len(caplog.records) == 1 and "missing" in caplog.text


def test_compiler_of_the_environment_is_taken(source, monkeypatch, tmp_path):
    compiler = tmp_path / "my-cc"
    compiler.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\nexit 1\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", f"{compiler} -special")
    assert native.load(source) is None
    assert (tmp_path / "calls").read_text() == "-special --version" + os.linesep

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

from sleepbench.models.kernels import fused, fused_kernel, native

SOURCE = "int answer(void) { return 42; }\n"

needs_compiler = pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="there is no C compiler")


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    path = tmp_path / "answer.c"
    path.write_text(SOURCE)
    return path


def made(tmp_path):
    """The libraries in the cache; nothing else lies there but their hashes."""
    found = sorted((tmp_path / "cache" / "sleepbench").iterdir())
    libraries = [path for path in found if path.suffix == ".so"]
    assert sorted([*libraries, *map(native._hash_of, libraries)]) == found
    return libraries


@pytest.fixture
def compilations(monkeypatch):
    """The sources that are compiled."""
    names, compiled = [], native._compiled

    def counted(scratch, name, code, compiler):
        names.append(name)
        return compiled(scratch, name, code, compiler)

    monkeypatch.setattr(native, "_compiled", counted)
    return names


@needs_compiler
def test_library_is_compiled_once(source, tmp_path, monkeypatch):
    assert native.load(source).answer() == 42
    (library,) = made(tmp_path)
    before = library.stat().st_mtime_ns
    assert native.load(source).answer() == 42
    assert library.stat().st_mtime_ns == before
    source.write_text(SOURCE.replace("42", "43"))
    assert native.load(source).answer() == 43
    monkeypatch.setattr(native, "_processor", lambda: "another machine that shares this cache")
    assert native.load(source).answer() == 43
    assert len(made(tmp_path)) == 3


@needs_compiler
def test_name_is_of_source_compiler_version_flags_and_processor(source, tmp_path, monkeypatch):
    """Whatever of them is another gives another name."""
    compiler = tmp_path / "my-cc"
    compiler.write_text("#!/bin/sh\necho version 1\n")
    compiler.chmod(0o755)
    names = {native._fingerprint(b"code", [str(compiler)])}
    names.add(native._fingerprint(b"other code", [str(compiler)]))
    names.add(native._fingerprint(b"code", [str(compiler), "-m64"]))
    compiler.write_text("#!/bin/sh\necho version 2\n")
    names.add(native._fingerprint(b"code", [str(compiler)]))
    monkeypatch.setattr(native, "FLAGS", ("-O1",))
    names.add(native._fingerprint(b"code", [str(compiler)]))
    monkeypatch.setattr(native, "_processor", lambda: "another")
    names.add(native._fingerprint(b"code", [str(compiler)]))
    assert len(names) == 6


@needs_compiler
def test_what_is_kept_is_private_whatever_the_umask(source, tmp_path):
    before = os.umask(0)
    try:
        native.load(source)
    finally:
        os.umask(before)
    (library,) = made(tmp_path)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (library.parents[1], library.parent, library)]
    assert modes == [0o700, 0o700, 0o600]
    digest = hashlib.sha256(library.read_bytes()).hexdigest()
    assert native._hash_of(library).read_text() == f"{digest}  {library.name}\n"  # as `sha256sum -c` reads it


@pytest.fixture(scope="module")
def forged(tmp_path_factory):
    """A library that answers otherwise, as somebody may have put it into the cache."""
    folder = tmp_path_factory.mktemp("forged")
    (folder / "forged.c").write_text(SOURCE.replace("42", "666"))
    return native._compiled(folder, "forged.c", (folder / "forged.c").read_bytes(), native.compiler())


def write_hash(library):
    native._hash_of(library).write_text(f"{hashlib.sha256(library.read_bytes()).hexdigest()}  {library.name}\n")


def plant(library, forged):
    library.write_bytes(forged)


def plant_alone(library, forged):
    native._hash_of(library).unlink()
    library.write_bytes(forged)


def change_a_constant(library, _):
    content = library.read_bytes()
    assert content.count(b"\xb8\x2a\0\0\0") == 1 or os.uname().machine != "x86_64"
    library.write_bytes(content.replace(b"\xb8\x2a\0\0\0", b"\xb8\x9a\2\0\0"))


def flip_a_bit(library, _):
    content = bytearray(library.read_bytes())
    content[len(content) // 2] ^= 1
    library.write_bytes(content)


def cut(library, _):
    os.truncate(library, library.stat().st_size // 2)  # mapped, the rest of it is a SIGBUS


def empty(library, _):
    library.write_bytes(b"")


def fill_with_zeros(library, _):
    library.write_bytes(bytes(library.stat().st_size))


def make_endless(library, _):
    os.truncate(library, 2**40)  # holes


def link(library, forged, by=Path.symlink_to):
    other = library.parents[2] / "elsewhere.so"
    other.write_bytes(forged)
    library.unlink()
    by(library, other)
    write_hash(library)


def link_hard(library, forged):
    link(library, forged, Path.hardlink_to)


def open_to_all(library, forged):
    library.write_bytes(forged)
    library.chmod(0o666)
    write_hash(library)


def open_the_hash(library, forged):
    library.write_bytes(forged)
    write_hash(library)
    native._hash_of(library).chmod(0o666)


def make_a_pipe(library, _):
    library.unlink()
    os.mkfifo(library)


def empty_the_hash(library, forged):
    library.write_bytes(forged)
    native._hash_of(library).write_text("")


def write_a_wrong_hash(library, _):
    native._hash_of(library).write_text("0" * 64)


HARM = [
    *(plant, plant_alone, change_a_constant, flip_a_bit, cut, empty, fill_with_zeros, make_endless, link, link_hard),
    *(open_to_all, open_the_hash, make_a_pipe, empty_the_hash, write_a_wrong_hash),
]


@needs_compiler
@pytest.mark.parametrize("harm", HARM)
def test_what_lies_there_is_not_believed_without_a_look(source, tmp_path, forged, compilations, harm):
    native.load(source)
    (library,) = made(tmp_path)
    harm(library, forged)
    assert native.load(source).answer() == 42
    assert native.load(source).answer() == 42
    assert len(compilations) == 2  # the third found it mended
    assert made(tmp_path) == [library]


@needs_compiler
def test_library_that_is_cut_while_it_is_loaded_does_no_harm(source, tmp_path):
    library = native.load(source)
    (path,) = made(tmp_path)
    os.truncate(path, 0)
    assert library.answer() == 42


# ---- directories that cannot be used


def of_somebody_else(cache, monkeypatch):
    (cache / "sleepbench").mkdir(parents=True)
    (cache.parent / "temporary" / f"sleepbench-{os.geteuid() + 1}").mkdir()
    uid = os.geteuid() + 1
    monkeypatch.setattr(native.os, "geteuid", lambda: uid)


def is_a_link(cache, _):
    (cache.parent / "others").mkdir()
    cache.mkdir()
    (cache / "sleepbench").symlink_to(cache.parent / "others")


def is_a_file(cache, _):
    cache.write_text("a file where the directory should be")


def cannot_be_written(cache, monkeypatch):
    real = native.Path.mkdir

    def mkdir(path, *arguments, **options):
        if path.is_relative_to(cache):
            raise OSError(30, "Read-only file system")
        return real(path, *arguments, **options)

    monkeypatch.setattr(native.Path, "mkdir", mkdir)


def is_full(cache, monkeypatch):
    real = native._made_and_kept

    def made_and_kept(path, *arguments):
        if path.is_relative_to(cache):
            raise OSError(28, "No space left on device")
        return real(path, *arguments)

    monkeypatch.setattr(native, "_made_and_kept", made_and_kept)


def has_no_home(cache, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(native.Path, "home", no_home)


@needs_compiler
@pytest.mark.parametrize("hindrance", [is_a_link, is_a_file, cannot_be_written, is_full, has_no_home])
def test_cache_that_cannot_be_used_is_a_temporary_directory_for_the_jobs_of_a_run(
    source, tmp_path, monkeypatch, compilations, hindrance
):
    hindrance(tmp_path / "cache", monkeypatch)
    for _ in range(2):
        assert native.load(source).answer() == 42
    assert compilations == [source.name]
    directory = tmp_path / "temporary" / f"sleepbench-{os.geteuid()}"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700 and len(list(directory.glob("answer-*.so"))) == 1
    assert not (tmp_path / "others").exists() or not list((tmp_path / "others").iterdir())


@needs_compiler
def test_directories_of_somebody_else_are_left_alone(source, tmp_path, monkeypatch, compilations):
    of_somebody_else(tmp_path / "cache", monkeypatch)
    assert native.load(source).answer() == 42
    assert compilations == [source.name]
    assert not [path for folder in ("cache", "temporary") for path in (tmp_path / folder).glob("*/*")]
    assert len(list((tmp_path / "temporary").iterdir())) == 1, "the directory that was compiled in is gone"


@needs_compiler
def test_directory_that_was_open_to_others_is_closed(source, tmp_path):
    (tmp_path / "cache" / "sleepbench").mkdir(parents=True)
    (tmp_path / "cache" / "sleepbench").chmod(0o777)
    assert native.load(source).answer() == 42
    assert stat.S_IMODE((tmp_path / "cache" / "sleepbench").stat().st_mode) == 0o700


@needs_compiler
def test_killed_compilation_leaves_nothing_for_long(source, tmp_path, monkeypatch):
    """Neither a half library, nor what the compiler wrote on its way."""
    slow = tmp_path / "slow-cc"
    slow.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exec cc "$@"\n'
        f'[ -e {tmp_path}/killed ] && exec cc "$@"\necho > "$TMPDIR/half.o"; echo > {tmp_path}/started; sleep 60\n'
    )
    slow.chmod(0o755)
    monkeypatch.setenv("CC", str(slow))
    code = f"from pathlib import Path; from sleepbench.models.kernels import native; native.load(Path({str(source)!r}))"
    with subprocess.Popen([sys.executable, "-c", code], start_new_session=True) as process:
        while not (tmp_path / "started").exists():
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    directory = tmp_path / "cache" / "sleepbench"
    assert (directory / ".making" / "half.o").exists() and not list(directory.glob("*.so"))
    (tmp_path / "killed").touch()
    assert native.load(source).answer() == 42
    assert len(made(tmp_path)) == 1
    assert list((tmp_path / "temporary").iterdir()) == []


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


def unreadable_compiler(monkeypatch):
    monkeypatch.setenv("CC", "gcc 'quote")
    return "No closing quotation"


@pytest.mark.parametrize("hindrance", [no_compiler, missing_compiler, failing_compiler, unreadable_compiler])
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

"""Hostile input: archives of other people, values of variables, and servers. The cases are those of the tests."""

import os
import random
import shutil
import stat
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import forked
from trials import (
    HEALED,
    REPOSITORY,
    SAME,
    SILENT,
    SKIPPED,
    UNHEALED,
    Kind,
    Result,
    Workshop,
    crash_of,
    errors_of,
)

TESTS = REPOSITORY / "tests"
for folder in (TESTS, TESTS / "runs", TESTS / "datasets", TESTS / "cli"):
    sys.path.append(str(folder))

MEMORY = 4 * 2**30
"""Of addresses, that a command may take to look at an archive: PyTorch and its threads take two thirds of it."""
FILE, SIZE = "SC4001E0-PSG.edf", 300_000
HOSTILE = "a`touch made` $(touch made) $(shell touch made) \"'; touch made #"
RECORDER = '#!/bin/sh\nprintf "%s\\0" "$0" "$@" >>calls\n'
VARIABLES = [
    *(("paper", "DATASET"), ("rivals", "DATASET"), ("demo-real", "DATASET"), ("test", "PYTEST")),
    *(("setup", "PYTHON"), ("setup", "GPU"), ("demo", "VENV")),
]
"""Targets of the Makefile, each with a variable that reaches what it starts."""


def kinds() -> list[Kind]:
    """Archives, variables and servers, each case once."""
    return [
        Kind("hostile input", "archives of other people", len(_archives()), _archive),
        Kind("hostile input", "values of variables", 2 * len(VARIABLES), _variable, 4),
        Kind("hostile input", "servers", len(_servers()), _server, 6),
    ]


# --------------------------------------------------------------------------------------------------------- archives


def _archives() -> list[str]:
    try:
        from malformed_archives import WRITTEN
    except ImportError:
        return []
    return list(WRITTEN)


def _archive(workshop: Workshop, source: random.Random, number: int) -> Result:
    """Somebody's archive is compared with results here; then an ordinary one is."""
    from malformed_archives import WRITTEN, packed

    home = workshop.folder / "archives"
    ordinary = home / "ordinary.zip"
    if not ordinary.exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()
        made = forked.calling(home, _make_results)
        if made.status:
            raise SystemExit(f"no results to compare with could be made:\n{made.printed}")
    with zipfile.ZipFile(ordinary) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = list(WRITTEN)[number % len(WRITTEN)]
    content = WRITTEN[name](members)
    archive = home / "theirs.zip"
    archive.write_bytes(content if isinstance(content, bytes) else packed(content))
    before = {path for path in [*home.rglob("*"), *Path("/tmp").glob("outside*")]}

    def bounded() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))

    result = _judged(forked.run(home, "results", "compare", "simulated", "theirs.zip", before=bounded, limit_s=120))
    after = {path for path in [*home.rglob("*"), *Path("/tmp").glob("outside*")]}
    if more := after - before - {home / "printed.txt"}:
        for path in more:
            path.unlink(missing_ok=True)
        result = Result(SILENT, f"it wrote {min(more)}")
    if result.outcome == HEALED:
        shutil.copy(ordinary, archive)
        again = forked.run(home, "results", "compare", "simulated", "theirs.zip")
        if again.status != 0 or "identical" not in again.printed:
            result = Result(UNHEALED, again.printed[-500:])
    return Result(result.outcome, f"{name}: {result.said}")


def _judged(ended: forked.Ended) -> Result:
    """How a command that is to refuse ended."""
    if bad := crash_of(ended):
        return bad
    if ended.status == 0:
        same = "identical" in ended.printed
        return Result(SAME) if same else Result(SILENT, f"it is taken for results: {ended.printed[:300]}")
    errors = errors_of(ended.printed)
    if not errors:
        return Result(UNHEALED, f"no clear error: {ended.printed[-500:]}")
    if not ended.printed.replace("\n", "").isprintable():
        return Result(SILENT, "what it prints acts on the terminal")
    if len(ended.printed) > 5000:
        return Result(UNHEALED, f"the error is {len(ended.printed)} characters long")
    return Result(HEALED, errors[0][:200])


def _make_results() -> None:
    from planned_results import DATASET, PlannedResults

    from sleepbench.runs.archive import export

    results = PlannedResults(Path.cwd())
    results.train_all()
    results.write_tables()
    export(results.config, DATASET, Path("ordinary.zip"))


# -------------------------------------------------------------------------------------------------------- variables


def _variable(workshop: Workshop, source: random.Random, number: int) -> Result:
    """A value with what a shell or make would run, as an argument of make or by the environment."""
    if not shutil.which("make"):
        return Result(SKIPPED, "there is no make")
    target, variable = VARIABLES[number // 2 % len(VARIABLES)]
    home = workshop.folder / "variables"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    (home / "Makefile").symlink_to(REPOSITORY / "Makefile")
    for program in (
        "envs/setup.sh",
        "envs/lock.sh",
        *(f".venv/bin/{name}" for name in ("sleepbench", "python", "ruff")),
    ):
        path = home / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(RECORDER)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    for program in ("snakefmt", "snakemake", "lint-imports"):
        shutil.copy(home / ".venv/bin/python", home / ".venv/bin" / program)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    arguments = [f"{variable}={HOSTILE}"] if number % 2 else []
    environment = kept if arguments else kept | {variable: HOSTILE}
    ended = subprocess.run(["make", target, *arguments], cwd=home, env=environment, capture_output=True, text=True)
    where = f"{target} {variable}, {'as an argument' if arguments else 'by the environment'}"
    if list(home.rglob("made")):
        return Result(SILENT, f"{where}: what is in the value was run")
    calls = (home / "calls").read_text().split("\0") if (home / "calls").exists() else []
    passed = any(HOSTILE in call for call in calls) or variable in ("VENV", "PYTEST")
    return Result(SAME, where) if passed else Result(UNHEALED, f"{where}: the value is lost: {ended.stderr[-300:]}")


# ---------------------------------------------------------------------------------------------------------- servers


def _servers() -> dict[str, list]:
    """By what is wrong with a server, its answers; after these it answers well."""
    from file_server import Answer

    def many(*answers: Answer) -> list[Answer]:
        return [*answers] * 30

    said = {"Content-Length": str(SIZE)}
    return {
        "busy": many(Answer(status=503)),
        "busy at first": [Answer(status=503)] * 3,
        "an error inside": many(Answer(status=500)),
        "refuses": [Answer(status=403)],
        "not found": [Answer(status=404)],
        "asks to wait for years": [Answer(status=503, headers={"Retry-After": "999999999"})],
        "asks to wait for no number": [Answer(status=503, headers={"Retry-After": "-1"})] * 2,
        "breaks off": [Answer(stop_after=100_000)],
        "breaks off at the same place": many(Answer(stop_after=100_000, ranges=False)),
        "resets": [Answer(stop_after=100_000, then="reset")] * 2,
        "resets at once": many(Answer(stop_after=0, then="reset")),
        "stalls": [Answer(stop_after=100_000, then="stall")],
        "drips": [Answer(stop_after=100_000, then="drip")],
        "drips only": many(Answer(stop_after=0, then="drip")),
        "other bytes, as many": [Answer(body=bytes(SIZE))] * 2,
        "other bytes once": [Answer(body=bytes(SIZE))],
        "more bytes": [Answer(body=bytes(SIZE + 1000))] * 2,
        "far more bytes": [Answer(body=bytes(100 * SIZE), chunked=True)] * 2,
        "a web page": [Answer(body=b"<!DOCTYPE html><title>Log in</title>")],
        "nothing": many(Answer(body=b"")),
        "a length of 5,000 digits": many(Answer(headers={"Content-Length": "9" * 5000})),
        "a length that is no number": [Answer(headers={"Content-Length": "many"}, stop_after=SIZE)],
        "a wrong range": [Answer(stop_after=1000), Answer(headers={"Content-Range": "bytes 9-8/7"})],
        "a range of 5,000 digits": [
            Answer(stop_after=1000),
            Answer(headers={"Content-Range": f"bytes {'9' * 5000}-9/9"}),
        ],
        "redirects in circles": many(Answer(status=302, headers={"Location": f"/{FILE}"} | said)),
    }


def _server(workshop: Workshop, source: random.Random, number: int) -> Result:
    """A file is fetched from a server that does badly, and once more when it does well."""
    from file_server import serving

    name, answers = list(_servers().items())[number % len(_servers())]
    content = random.Random(0).randbytes(SIZE)
    home = workshop.folder / "servers"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    os.environ["NO_PROXY"] = "127.0.0.1"
    with serving({FILE: content}) as server:
        server.answers = answers
        result = _judged_download(_fetch(home, server.base_url), home, content)
        server.answers = []
        if result.outcome == HEALED:
            again = _judged_download(_fetch(home, server.base_url), home, content)
            if again.outcome != SAME:
                result = Result(UNHEALED, f"{result.said}; then: {again.said}")
    return Result(result.outcome, f"{name}: {result.said}")


def _fetch(home: Path, base_url: str) -> forked.Ended:
    from sleepbench.datasets import download
    from sleepbench.datasets.base import Recording, SourceFile

    hashed = sha256(random.Random(0).randbytes(SIZE)).hexdigest()
    file = SourceFile("psg", FILE, hashed, SIZE)

    def fetch() -> None:
        download.FIRST_WAIT_SECONDS = 0.001
        download.LEAST_BYTES = 10_000
        download.STALL_SECONDS = 0.1
        download.TIMEOUT_SECONDS = 5, 0.5
        download.fetch_files(Recording("SC4001", "00", 1, (file,)), home / "data", base_url, "sleep-cassette")

    return forked.calling(home, fetch)


def _judged_download(ended: forked.Ended, home: Path, content: bytes) -> Result:
    path = home / "data" / FILE
    if bad := crash_of(ended):
        return bad
    if path.exists() and path.read_bytes() != content:
        return Result(SILENT, "wrong bytes have the name of the file")
    if ended.status == 0:
        return Result(SAME) if path.exists() else Result(SILENT, "it succeeds without a file")
    if sum(one.stat().st_size for one in home.rglob("*")) > 3 * SIZE:
        return Result(SILENT, "far more is kept than the file has")
    errors = errors_of(ended.printed)
    return Result(HEALED, errors[0][:200]) if errors else Result(UNHEALED, ended.printed[-500:])

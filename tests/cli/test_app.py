"""The command line as a user sees it."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from sleepbench.cli import app
from sleepbench.core.errors import BenchmarkError
from sleepbench.reporting import artefacts

HEAVY = ("torch", "scipy", "pandas", "matplotlib", "mne", "mlflow", "snakemake")
COMMANDS = dict(app.listed(list(app.commands.commands.values())))


def sleepbench(capfd, *arguments):
    """Exit status, stdout and stderr of a command that is run in this process."""
    with pytest.raises(SystemExit) as ended:
        app.main(list(arguments))
    return ended.value.code, *capfd.readouterr()


def test_help_lists_every_command_in_its_section(capfd):
    status, out, _ = sleepbench(capfd, "--help")
    assert status == 0
    sections = {part.split(":\n")[0]: part for part in out.split("\n\n") if ":\n" in part}
    assert [name for name in sections if name in app.SECTIONS] == ["Run", "Results", "Use", "Data", "Measure"]
    listed = [line.split("  ")[1] for name in app.SECTIONS for line in sections[name].splitlines()[1:]]
    assert set(listed) == set(COMMANDS)
    assert {"run", "data fetch", "results compare", "benchmark inference", "ui"} <= set(listed)


@pytest.mark.parametrize("name", ["", "data", "results", "benchmark", "model", *COMMANDS])
def test_help_fits_a_terminal_of_80_columns(capfd, name):
    status, out, _ = sleepbench(capfd, *name.split(), "--help")
    assert status == 0 and max(map(len, out.splitlines())) <= 80
    assert "..." not in re.sub(r"\[[A-Z]+\]\.\.\.|\b(ARCHIVES|PSGS)\.\.\.", "", out)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_that_it_understands(name):
    start, example = COMMANDS[name].epilog.split(": ", 1)
    words = shlex.split(example)
    assert start == "Example" and words[: len(name.split()) + 1] == ["sleepbench", *name.split()]
    COMMANDS[name].make_context(name, words[len(name.split()) + 1 :])  # a wrong one raises UsageError


def test_help_imports_nothing_that_takes_seconds():
    """Where the command is installed as well as by `python -m`."""
    code = f"""
import sys
from sleepbench.cli.app import main
try:
    main(["run", "--help"])
finally:
    sys.stderr.write(" ".join(name for name in {HEAVY} if name in sys.modules))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0 and "Usage: sleepbench run" in result.stdout
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rnu"], "No such command 'rnu'"),
        (["run", "--modles", "eegnet"], "--models"),
        (["run", "--cores", "0"], "0 is not in the range"),
        (["trace"], "Missing argument 'DATASET'"),
        (["benchmark", "stack", "--device", "tpu"], "'tpu' is not one of"),
    ],
)
def test_a_wrong_command_line_is_exit_status_2(capfd, arguments, said):
    status, out, err = sleepbench(capfd, *arguments)
    assert status == 2 and out == ""
    assert said in err and "--help' for help" in err and "Traceback" not in err


def test_without_a_command_the_help_is_shown(capfd):
    status, _, err = sleepbench(capfd)
    assert status == 2 and "Measure:" in err


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (BenchmarkError("config.yaml: is wrong; correct it"), 1, "Error: config.yaml: is wrong; correct it\n"),
        (
            PermissionError(13, "Permission denied", "results"),
            1,
            "Error: results may not be read or written by this user: correct its owner or permissions, then run again; "
            "nothing half-written was kept\n",
        ),
        (IsADirectoryError(21, "Is a directory", "x"), 1, "Error: [Errno 21] Is a directory: 'x'\n"),
        (KeyboardInterrupt(), 130, "\nInterrupted.\n"),
    ],
)
def test_errors_end_in_one_way(capfd, monkeypatch, error, status, said):
    @click.command()
    def failing():
        raise error

    monkeypatch.setitem(app.commands.commands, "failing", failing)
    assert sleepbench(capfd, "failing") == (status, "", said)


def test_a_defect_keeps_its_traceback(monkeypatch):
    @click.command()
    def failing():
        raise KeyError("defect")

    monkeypatch.setitem(app.commands.commands, "failing", failing)
    with pytest.raises(KeyError, match="defect"):
        app.main(["failing"])


def test_outside_the_project_it_is_said_where_to_go(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = sleepbench(capfd, "run", "-n")
    assert (status, out) == (1, "")
    assert err.startswith("Error: config.yaml: not found in") and "root of a checkout of the repository" in err


def test_results_are_deleted_with_yes_only(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text((Path(__file__).parents[2] / "config.yaml").read_text())
    made = Path("results/simulated/summary.md")
    made.parent.mkdir(parents=True)
    made.write_text("# Results")
    status, out, _ = sleepbench(capfd, "results", "clean")
    assert status == 0 and made.exists() and "simulated" in out and "sleepbench results clean --yes" in out
    assert sleepbench(capfd, "results", "clean", "--yes")[0] == 0
    assert not made.exists()


def test_reporting_is_timed_in_a_clone_only(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, err = sleepbench(capfd, "benchmark", "reporting")
    assert status == 1 and "tools/benchmark_reporting.py: not found" in err
    Path("tools").mkdir()
    Path("tools/benchmark_reporting.py").write_text("import sys; print('timed'); sys.exit(3)")
    assert sleepbench(capfd, "benchmark", "reporting")[:2] == (3, "timed\n")


def test_mlflow_shows_the_configured_store(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    started = []
    monkeypatch.setattr("os.execv", lambda *call: started.append(call))
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "")
    store = SimpleNamespace(pages=lambda uri: {f"runs in {uri}": "#/experiments/1"})
    monkeypatch.setitem(sys.modules, "sleepbench.runs.mlflow", store)  # to import it takes seconds
    status, out, _ = sleepbench(capfd, "ui", "--port", "5001")
    assert "runs in sqlite:///results/mlflow.db: http://127.0.0.1:5001/#/experiments/1\n" in out
    assert status == 0 and "http://127.0.0.1:5001 shows sqlite:///results/mlflow.db" in out
    ((program, arguments),) = started
    assert program == sys.executable and os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert arguments[1:4] == ["-m", "mlflow", "ui"] and "sqlite:///results/mlflow.db" in arguments


def test_a_trace_is_printed_as_text_or_json(capfd, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])

    def trace(config, dataset, terms, row_keys):
        return {"of": dataset, "terms": list(terms), "ladder": list(row_keys["ladder"])}

    monkeypatch.setattr("sleepbench.runs.trace.trace", trace)
    monkeypatch.setattr("sleepbench.runs.trace.report", lambda document, everything: f"{document} {everything}")
    status, out, _ = sleepbench(capfd, "trace", "simulated", "table=ladder", "row=2", "--json")
    assert status == 0 and json.loads(out) == {
        "of": "simulated",
        "terms": ["table=ladder", "row=2"],
        "ladder": list(artefacts.tables()["ladder"].row_keys),
    }
    assert sleepbench(capfd, "trace", "simulated", "ab12", "--all")[1].endswith("True\n")

"""What of Snakemake's log is shown, and that each error is said once."""

import logging
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent
from test_launch import project, start  # noqa: F401  (a fixture)

from sleepbench.cli import terminal
from sleepbench.cli.progress import Job
from sleepbench.cli.terminal import LogHandler, why

SNAKEFILE = """
rule all:
    input: "a", "b", "c", "d"
rule a:
    output: "a"
    log: "a.log"
    shell: "echo 'Error: x.edf: is wrong; mend it' >{log}; exit 1"
rule b:
    output: "b"
    log: "b.log"
    shell: "printf 'Traceback (most recent call last):\\\\n  File q\\\\nValueError: 3\\\\n' >{log}; exit 1"
rule c:
    output: "c"
    log: "c.log"
    shell: "kill -9 $$"
rule d:
    output: "d"
    shell: "touch {output}"
"""


def test_errors_are_said_once_and_the_rest_is_in_a_file(project):  # noqa: F811
    (project / "Snakefile").write_text(SNAKEFILE)
    process = start(project, "sleepbench.cli.app", "run", "--", "--keep-going")
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert output.count("\nError: ") == 3 and output.count("\nError: x.edf: is wrong; mend it\n") == 1
    assert output.count("Traceback (most recent call last):\n  File q\nValueError: 3\n") == 1
    assert "Error: c was ended by SIGKILL" in output and "its log is c.log" in output
    assert "At least one job" not in output and "Exiting because" not in output and "rule a:" not in output
    assert re.search(r"^ +\d+ s  d$", output, re.MULTILINE)
    assert "\x1b" not in output and "\r" not in output
    (log,) = (project / ".snakemake/log").iterdir()
    assert f"Full log: .snakemake/log/{log.name}\n" in output
    assert "Error in rule a:" in log.read_text()


def test_snakemake_itself_is_heard_when_asked(project):  # noqa: F811
    (project / "go").touch()
    output = start(project, "sleepbench.cli.app", "run", "--verbose").communicate(timeout=60)[0]
    assert "Job stats:" in output and "1 of 1 steps (100%) done" in output and "Full log" not in output


@pytest.fixture
def handler():
    made = LogHandler(SimpleNamespace(), None)
    yield made
    made.close()


def record(text="", level=logging.INFO, **more):
    made = logging.LogRecord("snakemake", level, "", 0, text, None, None)
    vars(made).update(more)
    return made


def job(event, number, **more):
    return record(event=event, jobid=number, rule_name="tables", wildcards={}, rule_msg="Tables of x", **more)


def test_a_run_without_a_terminal_is_a_line_a_stage(handler, capsys):
    handler.emit(record("Building DAG of jobs..."))
    handler.emit(record(event=LogEvent.RUN_INFO, stats={"tables": 1, "all": 1, "total": 2}))
    handler.emit(job(LogEvent.JOB_INFO, 1, log=[]))
    handler.emit(record(event=LogEvent.JOB_FINISHED, job_id=1))
    handler.emit(record("Nothing to be done (all requested files are present and up to date)."))
    out, err = capsys.readouterr()
    assert out == "" and err.splitlines() == [
        "1 job to do, nothing to train",
        "       0 s  tables",
        "Nothing to be done (all requested files are present and up to date).",
    ]


def test_a_long_silence_is_broken(handler, capsys):
    handler.emit(record(event=LogEvent.RUN_INFO, stats={"tables": 2}))
    for number in (1, 2):
        handler.emit(job(LogEvent.JOB_INFO, number, log=[]))
    handler.last -= 3600
    handler.emit(record(event=LogEvent.JOB_FINISHED, job_id=1))
    assert capsys.readouterr().err.endswith("       0 s  1 of 2 jobs: tables of x\n")


def test_the_same_error_of_several_jobs_is_said_once(handler, capsys, tmp_path):
    log = tmp_path / "a.log"
    log.write_text("reading\nError: results/a.json: is not whole; delete it and run again\n")
    for number in (1, 2):
        handler.emit(job(LogEvent.JOB_ERROR, number, log=[str(log)]))
    assert capsys.readouterr().err == "\nError: results/a.json: is not whole; delete it and run again\n\n"


@pytest.mark.parametrize("how", ["died with <Signals.SIGINT: 2>.", "returned non-zero exit status 130."])
def test_what_ctrl_c_ends_has_no_error(handler, capsys, tmp_path, how):
    handler.emit(record(f"RuleException:\nCalledProcessError in file a.smk, line 3:\nCommand 'x' {how}", logging.ERROR))
    handler.emit(job(LogEvent.JOB_ERROR, 1, log=[str(tmp_path / "a.log")]))
    assert capsys.readouterr().err == ""
    handler.emit(job(LogEvent.JOB_ERROR, 2, log=[str(tmp_path / "a.log")]))  # this one was ended by something else
    assert capsys.readouterr().err.startswith("\nError: a job was ended; its log is ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("WorkflowError in file common.smk, line 3:\nx: unknown key", "\nError: x: unknown key\n\n"),
        ("MissingRuleException:\nNo rule to produce a", "\nError: No rule to produce a\n\n"),
        ("KeyError in file a.smk, line 3:\n'x'", "\nError: KeyError in file a.smk, line 3:\n'x'\n\n"),
        ("WorkflowError:\nAt least one job did not complete successfully.", ""),
        ("Exiting because a job execution failed. Look above for error messages", ""),
        ("\x1b[2Jnothing hidden", "\nError: \\x1b[2Jnothing hidden\n\n"),
    ],
)
def test_errors_of_snakemake_are_said_as_all_errors_are(handler, capsys, text, said):
    handler.emit(record(text, logging.ERROR))
    assert capsys.readouterr().err == said


def test_why_a_job_failed(tmp_path):
    log = tmp_path / "a.log"
    one = Job("tables", "Tables of x", {}, log, 0.0)
    assert why(one, log, "SIGKILL").startswith("Tables of x was ended by SIGKILL (often: there was not enough memory)")
    log.write_text("Traceback (most recent call last):\n  old\nError: a: is wrong;\n  b: too")
    assert why(one, log) == "a: is wrong;\n  b: too"
    log.write_text("Traceback (most recent call last):\nValueError: 3\n")
    assert why(None, log).endswith(f"its log is {log}:\nTraceback (most recent call last):\nValueError: 3")


IN_A_TERMINAL = """
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn([sys.executable, "-c", sys.argv[1]])))
"""
LIVE = """
import logging, time
from types import SimpleNamespace
from snakemake_interface_logger_plugins.common import LogEvent
from sleepbench.cli.terminal import LogHandler
def record(**more):
    made = logging.LogRecord("snakemake", logging.INFO, "", 0, "", None, None)
    vars(made).update(more)
    return made
handler = LogHandler(SimpleNamespace(), None)
handler.emit(record(event=LogEvent.RUN_INFO, stats={"tables": 2}))
for number in 1, 2:
    handler.emit(record(event=LogEvent.JOB_INFO, jobid=number, rule_name="tables", wildcards={}, log=[],
                        rule_msg="[red]Tables[/red] of " + 200 * "x"))
handler.live.refresh()
for number in 1, 2:
    handler.emit(record(event=LogEvent.JOB_FINISHED, job_id=number))
handler.close()
print("end")
"""


def test_in_a_terminal_one_line_lives_and_is_gone_at_the_end():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm", "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, "-c", IN_A_TERMINAL, LIVE], env=environment, capture_output=True, text=True, check=True
    )
    lines = [line.rpartition("\x1b[2K")[2] for line in done.stdout.replace("\r", "\n").splitlines()]
    alive = max((line for line in lines if line.startswith("0 of 2 jobs: ")), key=len)
    assert alive.startswith("0 of 2 jobs: [red]Tables[/red] of xxx") and len(alive) == 100 and alive.endswith("…")
    assert "       0 s  tables" in lines and lines[-1] == "end"
    colours = [code for code in done.stdout.split("\x1b[")[1:] if code.split("m")[0].isdigit()]
    assert not colours


def test_what_a_file_system_refuses_snakemake_is_no_traceback():
    place = 'Traceback (most recent call last):\n\n  File "jobs.py", line 1\n\n'
    refused = f"{place}OSError: [Errno 30] Read-only file system: 'a.log'\n"
    assert terminal._without_traceback(refused).startswith("a.log is on a file system that is read-only")
    assert terminal._without_traceback(f"{place}KeyError: 'a.log'\n") == f"{place}KeyError: 'a.log'\n"

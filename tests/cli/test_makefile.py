"""Make passes what it is given as text: no shell reads it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOSTILE = "a`touch made` $(touch made) $(shell touch made) \"'; touch made #"
RECORDER = '#!/bin/sh\nprintf "%s\\0" "$0" "$@" "end of call" >>calls\n'


@pytest.fixture
def project(tmp_path):
    """A directory with the Makefile, where every program that it starts writes down its arguments."""
    (tmp_path / "Makefile").symlink_to(ROOT / "Makefile")
    programs = ("sleepbench", "python", "ruff", "snakefmt", "snakemake", "lint-imports", "sphinx-build")
    own = [f".venv/bin/{name}" for name in programs]
    for program in ("envs/setup.sh", "envs/lock.sh", *own, "odd 'place`/bin/sleepbench"):
        path = tmp_path / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(RECORDER)
        path.chmod(0o755)
    return tmp_path


def make(project, *arguments, **environment):
    """Run make; its result, and the calls of programs as lists of their arguments."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    result = subprocess.run(
        ["make", *arguments], cwd=project, env=kept | environment, capture_output=True, text=True, check=False
    )
    calls = project / "calls"
    written = calls.read_text().split("end of call\0")[:-1] if calls.exists() else []
    calls.unlink(missing_ok=True)
    assert not (project / "made").exists()
    return result, [call.split("\0")[:-1] for call in written]


def test_help_lists_all_targets_in_80_columns(project):
    result, _ = make(project)
    targets = re.findall(r"^  make (\S+)", result.stdout, re.MULTILINE)
    assert targets == [
        "help",
        "setup",
        "demo",
        "demo-real",
        "docs",
        "try-real",
        "paper",
        "rivals",
        "check-gpu",
        "test",
        "test-slurm",
        "lint",
        "format",
        "lock",
        "release",
    ]
    assert re.findall(r"^(?!GPU)\w[^:\n]*$", result.stdout, re.MULTILINE) == [
        "Start here",
        "On Sleep-EDF",
        "For developers",
    ]
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_each_is_a_call_of_the_command(project):
    set_up = ["envs/setup.sh", "python3", ".venv", ""]
    command = ".venv/bin/sleepbench"
    assert make(project, "demo")[1] == [set_up, [command, "run", "--experiment", "demo"]]
    real = [command, "run", "--experiment", "real-5s"]
    assert make(project, "demo-real")[1] == [set_up, [*real, "--datasets=sleep-edf-20-5s"]]
    assert make(project, "demo-real", "DATASET=quick")[1] == [set_up, [*real, "--datasets=quick"]]
    assert make(project, "try-real")[1] == [set_up, [command, "run", "--experiment", "try-real"]]
    paper = ["--experiment", "paper", "--datasets=sleep-edf-20"]
    calls = make(project, "paper", "DATASET=sleep-edf-20")[1]
    assert calls == [set_up, [command, "estimate", *paper], [command, "run", *paper]]
    rivals = ["--experiment", "rivals", "--datasets=sleep-edf-20"]
    assert make(project, "rivals")[1] == [set_up, [command, "estimate", *rivals], [command, "run", *rivals]]
    tiny = [command, "run", "--experiment", "rivals", "--datasets=simulated-tiny"]
    assert make(project, "rivals", "DATASET=simulated-tiny")[1] == [set_up, tiny]  # 62 models in eight minutes
    assert make(project, "release")[1] == [set_up, [".venv/bin/python", "tools/release.py"]]
    assert make(project, "lock", "PYTHON=python3.12")[1] == [["envs/lock.sh", "python3.12"]]
    assert make(project, "setup", "GPU=1")[1] == [["envs/setup.sh", "python3", ".venv", "1"]]


def test_test_is_lint_and_the_suite(project):
    result, calls = make(project, "test")
    assert result.returncode == 0, result.stderr
    programs = ["ruff", "ruff", "snakefmt", "snakemake", "lint-imports", "python"]
    assert [call[0] for call in calls] == ["envs/setup.sh", *(f".venv/bin/{name}" for name in programs)]
    assert calls[-1][1:] == ["-m", "pytest"]


def test_the_check_of_a_gpu_sets_up_nothing(project):
    check = ["-m", "sleepbench.benchmarks.gpu_check"]
    assert make(project, "check-gpu")[1] == [[".venv/bin/python", *check]]
    (project / ".venv/bin/python").rename(project / "python-of-this-machine")
    assert make(project, "check-gpu", "PYTHON=./python-of-this-machine")[1] == [["./python-of-this-machine", *check]]


def test_a_cluster_is_tested_alone_and_says_why_not(project):
    _, calls = make(project, "test-slurm")
    assert calls[-1] == [".venv/bin/python", "-m", "pytest", "tests/workflow/test_slurm.py"]


def test_docs_builds_the_site_and_says_where_it_is(project):
    result, calls = make(project, "docs")
    assert calls[-1] == [".venv/bin/sphinx-build", "-q", "-W", "--keep-going", "-c", "docs", ".", "docs/_build"]
    assert result.returncode == 0 and result.stdout == "Open docs/_build/index.html\n"


def test_paper_needs_a_dataset(project):
    result, calls = make(project, "paper")
    assert result.returncode == 2 and len(calls) == 1
    assert "Name the dataset: make paper DATASET=sleep-edf-20" in result.stderr


@pytest.mark.parametrize("target", ["demo", "try-real"])
def test_what_has_a_dataset_of_its_own_takes_no_other(project, target):
    for arguments, environment in ((["DATASET=sleep-edf-20"], {}), ([], {"DATASET": HOSTILE})):
        result, calls = make(project, target, *arguments, **environment)
        assert result.returncode == 2 and calls == []
        assert "take no DATASET" in result.stderr and "make paper" in result.stderr
    assert make(project, target)[0].returncode == 0 and make(project, "help", "DATASET=x")[0].returncode == 0


def test_without_an_estimate_the_run_starts(project):
    path = project / ".venv/bin/sleepbench"
    path.write_text(RECORDER + '[ "$1" != estimate ]\n')
    result, calls = make(project, "paper", "DATASET=sleep-edf-78")
    assert result.returncode == 0 and "no estimate could be made" in result.stderr
    assert [call[1] for call in calls[1:]] == ["estimate", "run"]


def test_a_wrong_configuration_is_said_once(project):
    path = project / ".venv/bin/sleepbench"
    path.write_text(RECORDER + 'echo "Error: unknown name" >&2\nexit 2\n')
    for target in ("paper", "rivals"):
        result, calls = make(project, target, "DATASET=sleep-edf-2O")
        assert result.returncode == 2 and result.stderr.count("unknown name") == 1
        assert "no estimate" not in result.stderr and len(calls) == 2


@pytest.mark.parametrize("how", ["as an argument", "by the environment"])
def test_what_is_hostile_reaches_the_command_as_text(project, how):
    for target in ("paper", "rivals"):
        arguments, environment = ([f"DATASET={HOSTILE}"], {}) if how == "as an argument" else ([], {"DATASET": HOSTILE})
        result, calls = make(project, target, *arguments, **environment)
        assert result.returncode == 0, result.stderr
        assert [call[-1] for call in calls[1:]] == [f"--datasets={HOSTILE}"] * 2


def test_other_values_are_text_too(project):
    odd = str(project / "odd 'place`")
    calls = make(project, "demo", f"VENV={odd}", f"PYTHON={HOSTILE}", f"GPU={HOSTILE}")[1]
    assert calls == [["envs/setup.sh", HOSTILE, odd, HOSTILE], [f"{odd}/bin/sleepbench", "run", "--experiment", "demo"]]


VALUES = {
    "backquotes": "a`touch made`",
    "a_command": "$(touch made)",
    "a_function_of_make": "$(shell touch made)",
    "a_function_in_braces": "${shell touch made}",
    "a_variable": "$$(touch made) $PATH ${HOME}",
    "a_semicolon": "; touch made",
    "a_pipe": "| touch made",
    "an_ampersand": "& touch made &",
    "a_redirection": "> made",
    "an_open_quote": "'; touch made; '",
    "an_open_double_quote": '"; touch made; "',
    "a_new_line": "a\ntouch made\n",
    "a_dash": "--help",
    "blanks": "a  b ",
    "a_pattern": "*",
    "a_backslash": "a\\ b\\",
    "a_comment": "a # b",
    "an_archive": "`touch made`.zip",
    "a_path": "../../$(touch made)/a b",
    "no_ascii": "\u00fc\u202e",
}
"""Values as nobody means them well; none may be more than text."""


@pytest.mark.parametrize("kind", VALUES)
def test_no_value_is_a_command(project, kind):
    """Neither of the variables that a command has, by both ways, nor of any other that is given."""
    value = VALUES[kind]
    result, calls = make(project, "demo-real", f"DATASET={value}", f"PYTHON={value}", f"GPU={value}")
    assert result.returncode == 0, result.stderr
    assert calls[0] == ["envs/setup.sh", value, ".venv", value]
    assert calls[1][-1] == f"--datasets={value}"
    result, calls = make(project, "paper", DATASET=value, GPU=value, PYTEST=value)
    assert result.returncode == 0 and [call[-1] for call in calls[1:]] == [f"--datasets={value}"] * 2
    others = ("CSV", "EXPERIMENT", "MODELS", "ROW", "TO", "WITH", "YES")
    result, calls = make(project, "demo", *(f"{name}={value}" for name in others))
    assert f"{' '.join(others)}: nothing here takes that" in result.stderr
    assert result.returncode == 0 and calls[1] == [".venv/bin/sleepbench", "run", "--experiment", "demo"]


def set_up(tmp_path, python="python3", venv=".venv", gpu=""):
    """Run the set-up's script in a directory that it has nothing to do with; its result."""
    (tmp_path / "envs").mkdir()
    for name in ("setup.sh", "requirements.lock"):
        (tmp_path / "envs" / name).write_bytes((ROOT / "envs" / name).read_bytes())
    (tmp_path / "pyproject.toml").write_text("")
    command = ["sh", str(tmp_path / "envs" / "setup.sh"), python, venv, gpu]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"venv": ""}, "VENV is empty"),
        ({"python": ""}, "PYTHON is ''"),
        ({"python": "-c"}, "PYTHON is '-c'"),
        ({"python": "$(touch made)"}, "there is no '$(touch made)'"),
        ({"python": "`touch made`"}, "there is no '`touch made`'"),
        ({"python": "sh; touch made"}, "there is no 'sh; touch made'"),
        ({"gpu": "yes"}, "GPU is 'yes', expected 1"),
        ({"gpu": "$(touch made)"}, "GPU is '$(touch made)', expected 1"),
        ({"venv": "envs"}, "'envs' exists and is no virtual environment"),
    ],
)
def test_set_up_refuses_what_it_cannot_take(tmp_path, arguments, said):
    result = set_up(tmp_path, **arguments)
    assert result.returncode == 1 and said in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["envs", "pyproject.toml"]


@pytest.mark.parametrize("venv", ["touch made #", "a b", "-v", "$(touch made)", "a;touch made", "*"])
def test_the_name_of_the_environment_is_no_command(tmp_path, venv):
    """A Python that only writes down what it is asked stands for the real one."""
    python = tmp_path / "fake-python"
    python.write_text(
        "#!/bin/sh\n"
        'if [ "$2" = venv ]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python"; fi\n'
        f'printf "%s\\0" "$@" "end of call" >>{tmp_path}/calls\n'
        'case "$*" in *version_info\\[*) echo 3.11 ;; esac\n'
    )
    python.chmod(0o755)
    result = set_up(tmp_path, python=str(python), venv=venv)
    assert result.returncode == 0, result.stderr
    calls = [call.split("\0")[:-1] for call in (tmp_path / "calls").read_text().split("end of call\0")[:-1]]
    where = f"./{venv}" if venv.startswith("-") else venv
    assert ["-m", "venv", where] in calls
    assert ["install", "--require-hashes", "--requirement", f"{where}/cpu.lock"] in [call[-4:] for call in calls]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"envs", "pyproject.toml", "fake-python", "calls", Path(venv).name}


def test_no_text_of_a_command_is_put_together():
    """No rule has a command for a shell, and no program starts one."""
    rules = [ROOT / "Snakefile", ROOT / "workflow/Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]
    assert not [path for path in rules if re.search(r"^\s*(shell|run)\s*:", path.read_text(), re.MULTILINE)]
    programs = [path for folder in ("workflow", "tools") for path in (ROOT / folder).rglob("*.py")]
    started = re.compile(r"shell\s*=\s*True|os\.(system|popen|spawn)|getoutput")
    assert len(programs) > 100 and not [path for path in programs if started.search(path.read_text(encoding="utf-8"))]

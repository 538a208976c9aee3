"""The commands of README.md and the other pages: what they are, whether they can be, and which are run by what test."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import click
from markdown_it import MarkdownIt

from sleepbench.cli import app
from sleepbench.cli.selection import LISTS, planned, settings_of, settings_of_data
from sleepbench.core.errors import BenchmarkError

ROOT = Path(__file__).parents[1]
SHELL, OTHERS = "sh", {"text", "python", "yaml", "csv", "json", "c", "ini", "toml"}
"""Languages of blocks: of commands, and of what is none."""
NOT_RUN = re.compile(r"# Not run by a test(?:, [^:]*)?: (.+)")
"""A line of a block of commands; none behind it is run."""
PROGRAMS = ("sleepbench", "make", "python", "snakemake")
OF_EXAMPLES = {"my-nights": "simulated", "first_steps": "ulw_sleepnet", "DATASET": "simulated"}
"""Names that a page makes up, and one that is known in place of each."""
TO_BE_WRITTEN = {"sleepbench paths"}
"""Commands that are the example of a page."""
MAKEFILE = "tests/cli/test_makefile.py"
BY_OTHER_TESTS = {
    "make demo": f"{MAKEFILE}::test_each_is_a_call_of_the_command",  # and, with a smaller cohort, test_end_to_end.py
    "make test": f"{MAKEFILE}::test_test_is_lint_and_the_suite",
    "make docs": "tests/test_docs_site.py::test_the_site_is_made_without_a_warning",
    "sleepbench model bundle": "tests/deployment/test_making.py::test_a_run_is_bundled_by_the_first_digits_of_its_key",
    "sleepbench model card": "tests/cli/test_score.py::test_the_card_of_a_bundle_is_printed",
    "sleepbench score PSG.edf": "tests/cli/test_score.py::test_a_recording_is_scored_and_compared",
    "sleepbench score recordings/": (
        "tests/cli/test_score.py::test_a_folder_is_a_batch_in_which_a_bad_file_stops_nothing"
    ),
    "sleepbench score - --stream": "tests/cli/test_score.py::test_samples_on_standard_input_are_scored_as_they_come",
    "sleepbench score samples.f32": "tests/deployment/test_stream.py::test_a_file_is_followed_while_it_grows",
    "sleepbench model export ulw.bundle --to c": (
        "tests/deployment/test_to_c.py::test_what_is_exported_passes_its_own_test"
    ),
    "sleepbench model export ulw.bundle --to onnx": (
        "tests/deployment/test_to_onnx.py::test_the_command_writes_what_the_page_s_example_runs"
    ),
    "sleepbench benchmark inference": (
        "tests/benchmarks/test_benchmark_inference.py::test_table_has_cpu_and_clock_of_every_way"
    ),
    "sleepbench results check docs/real-5s/sleep-edf-20-5s-results.zip": (
        "tests/runs/test_archived.py::test_the_archive_of_real_results_is_as_it_says_and_of_a_version"
    ),
    "make check-gpu": f"{MAKEFILE}::test_the_check_of_a_gpu_sets_up_nothing",  # and tests/benchmarks/test_gpu_check.py
    "sleepbench ui": "tests/cli/test_app.py::test_mlflow_shows_the_configured_store",
    "sleepbench data prepare --datasets my-nights": "tests/workflow/test_extensions.py::extended",
    "sleepbench run --datasets my-nights": "tests/workflow/test_extensions.py::extended",
    "python tools/others_predictions.py mt18": "tests/tools/test_others_predictions_tool.py::mt18_imported",
    "sleepbench results import cnn.parquet": "tests/tools/test_others_predictions_tool.py::mt18_imported",
    "sleepbench results import rerun.parquet": "tests/tools/test_others_predictions_tool.py::mt18_imported",
    "python tools/others_predictions.py attnsleep": (
        "tests/tools/test_others_predictions_tool.py::test_ten_folds_of_a_network_on_excerpts"
    ),
    "sleepbench results import attnsleep.parquet": (
        "tests/tools/test_others_predictions_tool.py"
        "::test_a_network_on_excerpts_is_checked_against_them_and_says_that_they_are"
    ),
}
"""How a command begins, and the test, or what all tests of a file rest on, that does what it does."""


@dataclass(frozen=True)
class Command:
    """A command of a page.

    not_run : why no test runs it; None where one does
    is_whole : whether it stands in a block; within a sentence it may lack arguments
    """

    page: str
    text: str
    not_run: str | None = None
    is_whole: bool = True

    @property
    def words(self) -> list[str]:
        """Its words, the first of them without a directory of programs."""
        first, *others = shlex.split(self.text, comments=True)
        return [first.removeprefix(".venv/bin/"), *others]

    @property
    def test(self) -> str | None:
        """The test of BY_OTHER_TESTS that does what it does, if it stands in a block and is run."""
        if self.not_run is not None or not self.is_whole:
            return None
        line = " ".join(self.words)
        return next((test for start, test in BY_OTHER_TESTS.items() if f"{line} ".startswith(f"{start} ")), None)

    @property
    def is_run_here(self) -> bool:
        """Whether it is run as it stands, where a small demo was finished."""
        return self.is_whole and self.not_run is None and self.test is None


def pages() -> list[Path]:
    """All pages of the site."""
    docs = [path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts]
    beside = [*ROOT.glob("tools/*/README.md"), *ROOT.glob("workflow/resources/*/README.md")]
    named = [ROOT / name for name in ("README.md", "REPRODUCE.md", "config/README.md", "results/README.md")]
    return [*named, *docs, *sorted(beside)]


def commands() -> list[Command]:
    """The commands of all pages."""
    return [
        one for page in pages() for one in commands_of(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)))
    ]


def commands_of(text: str, page: str) -> list[Command]:
    """The commands of a page, from its blocks of commands and from code within sentences.

    ValueError where a block does not say what it is.
    """
    found = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type in ("fence", "code_block"):
            language = token.info.split()[0] if token.info.split() else ""
            if not language.startswith("{") and language not in {SHELL, *OTHERS}:
                line = token.map[0] + 1
                raise ValueError(f"{page}, line {line}: a block of '{language}', expected ```{SHELL} around commands")
            found += _of_block(token.content, page) if language == SHELL else []
        for child in token.children or ():
            words = child.content.removeprefix(".venv/bin/").split()
            if child.type == "code_inline" and len(words) > 1 and words[0] in PROGRAMS:
                found.append(Command(page, child.content.replace("\n", " "), is_whole=False))
    return found


def _of_block(content: str, page: str) -> list[Command]:
    found, why = [], None
    for line in content.replace("\\\n", " ").splitlines():
        if line.startswith("#"):
            why = said[1] if (said := NOT_RUN.fullmatch(line)) else why
        elif line.strip():
            found.append(Command(page, line.strip(), why))
    return found


def check(command: Command) -> None:
    """Raise ValueError, click.UsageError or BenchmarkError where there is no such command, option or name."""
    program, *arguments = command.words
    arguments = [OF_EXAMPLES.get(word, word) for word in arguments]
    if program not in PROGRAMS:
        raise ValueError(f"{command.text}: no program of this project; known: {', '.join(PROGRAMS)}")
    if program == "sleepbench" and " ".join(command.words) not in TO_BE_WRITTEN:
        _check_sleepbench(arguments, command.is_whole)
    elif program == "make":
        _check_make(arguments)
    elif program == "python":
        _check_tool(arguments)
    if command.test and not _is_there(command.test):
        raise ValueError(f"{command.text}: {command.test} is no test")


def _check_sleepbench(arguments: list[str], is_whole: bool) -> None:
    """Parse the line as the command does, and look up every name in the configuration."""
    context = click.Context(app.commands, info_name="sleepbench")
    one: click.Command = app.commands
    while isinstance(one, click.Group) and arguments and not arguments[0].startswith("-"):
        name, found, arguments = one.resolve_command(context, arguments)
        assert found is not None
        one, context = found, click.Context(found, parent=context, info_name=name)
    try:
        params = one.make_context(one.name, arguments, parent=context.parent).params
    except click.exceptions.Exit:  # --help
        return
    except (click.MissingParameter, click.exceptions.NoArgsIsHelpError):
        if is_whole:
            raise
        return
    if "experiment" in params:
        planned(settings_of(**{name: params[name] for name in ("experiment", *LISTS)}))
    elif (dataset := params.get("datasets", params.get("dataset"))) is not None:
        settings_of_data(dataset)


def _check_make(arguments: list[str]) -> None:
    """Look for the targets and the variables in the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets, variables = re.findall(r"^([a-z-]+):", text, re.M), re.findall(r"^(\w+) \?=", text, re.M)
    for argument in arguments:
        name, is_variable, value = argument.partition("=")
        if name not in (variables if is_variable else targets):
            raise ValueError(f"make {argument}: the Makefile has no {name}")
        if name == "DATASET":
            settings_of_data(OF_EXAMPLES.get(value, value))


def _check_tool(arguments: list[str]) -> None:
    """Look for the script, and for its options in its text."""
    script = ROOT / arguments[0]
    files = sorted(script.glob("*.py")) if script.is_dir() else [script]
    if not files or not all(path.is_file() for path in files):
        raise ValueError(f"python {arguments[0]}: there is no such script")
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    for option in (word.partition("=")[0] for word in arguments[1:] if word.startswith("--")):
        if f'"{option}"' not in text:
            raise ValueError(f"python {arguments[0]}: it has no option {option}")


def _is_there(test: str) -> bool:
    file, _, name = test.partition("::")
    path = ROOT / file
    return path.is_file() and f"\ndef {name}(" in path.read_text(encoding="utf-8")


def refusal(command: Command) -> str | None:
    """What is wrong with a command; None where nothing is."""
    try:
        check(command)
    except (ValueError, click.UsageError, BenchmarkError) as error:
        return error.format_message() if isinstance(error, click.ClickException) else str(error)
    return None

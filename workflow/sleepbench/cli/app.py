"""The command `sleepbench`: what it offers, and the one way errors end.

A command is a function in a module of this package and a name in SECTIONS. Modules import here what costs nothing:
whatever starts NumPy, pandas or PyTorch is imported by the command that needs it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

import sleepbench
from sleepbench.cli import benchmark, data, model, results, run, score
from sleepbench.core import surroundings
from sleepbench.core.errors import ConfigurationError, printable
from sleepbench.core.logs import explained

SECTIONS = {
    "Run": [run.run, run.estimate],
    "Results": [results.tables, results.report, results.verify, results.trace, results.results, results.ui],
    "Use": [score.score, model.model],
    "Data": [data.data],
    "Measure": [benchmark.benchmark],
}


class Sections(click.Group):
    """A group whose help lists the commands below it in sections, those of groups as well."""

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list for every section."""
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, one.get_short_help_str(70)) for name, one in listed(commands)])


def listed(commands: Sequence[click.Command], before: str = "") -> list[tuple[str, click.Command]]:
    """Commands that are shown, by their whole names: in place of a group what is below it."""
    names: list[tuple[str, click.Command]] = []
    for one in commands:
        if isinstance(one, click.Group):
            names += listed(list(one.commands.values()), f"{before}{one.name} ")
        elif not one.hidden:
            names.append((f"{before}{one.name}", one))
    return names


@click.group(
    cls=Sections,
    commands=[one for commands in SECTIONS.values() for one in commands],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="sleepbench COMMAND --help says more of each, with an example.",
)
@click.version_option(sleepbench.__version__, prog_name="sleepbench")
def commands() -> None:
    """Train, evaluate and compare sleep-staging networks, reproducibly.

    config.yaml in the directory of the project says what is run. Start commands there.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit with its status.

    The status is 0 on success, 1 with an error message where the command failed, 2 for a wrong command line or
    configuration, and 130 after Ctrl-C.
    """
    surroundings.without_optimization()
    surroundings.settle()
    try:
        surroundings.require_own_workflow(Path.cwd())
        status = commands.main(arguments, "sleepbench", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        status = 130
    except Exception as error:
        message = explained(error) or (str(error) if isinstance(error, OSError) else None)
        if message is None:
            raise
        click.echo(f"Error: {printable(message)}", err=True)
        status = 2 if isinstance(error, ConfigurationError) else 1
    sys.exit(status or 0)


if __name__ == "__main__":
    main()

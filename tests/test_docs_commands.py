"""Every command of README.md and of the other pages can be, and a test runs it, or the page says why none does."""

from pathlib import Path

import documented
import pytest
from documented import Command, commands_of, refusal

COMMANDS = documented.commands()


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(documented.ROOT)


@pytest.mark.parametrize("command", COMMANDS, ids=[f"{one.page}: {one.text}" for one in COMMANDS])
def test_each_is_a_command_with_options_and_names_that_are_known(command: Command) -> None:
    assert refusal(command) is None


def test_each_is_run_here_or_by_a_test_that_is_named_or_says_why_not() -> None:
    """Those that are run here are run by tests/workflow/test_end_to_end.py."""
    for command in (one for one in COMMANDS if one.is_run_here):
        assert command.words[0] in ("sleepbench", "snakemake"), f"{command}: say which test runs it, or why none does"


def test_no_test_is_named_for_a_command_that_no_page_has() -> None:
    lines = [" ".join(one.words) for one in COMMANDS if one.is_whole]
    for start in documented.BY_OTHER_TESTS:
        assert any(f"{line} ".startswith(f"{start} ") for line in lines), start


PAGE = """
Try `make nothing` or `sleepbench results`.

```sh
sleepbench run -n   # plans only
# This says something else.
make demo
# Not run by a test: it needs the network
make paper \\
  DATASET=sleep-edf-20
```

```python
make = "no command"
```
"""


def test_commands_are_found_in_blocks_and_sentences_with_what_keeps_them_from_being_run() -> None:
    found = {" ".join(one.words): one for one in commands_of(PAGE, "page.md")}
    assert list(found) == [
        *("make nothing", "sleepbench results", "sleepbench run -n", "make demo"),
        "make paper DATASET=sleep-edf-20",
    ]
    why = "it needs the network"
    assert [one.not_run for one in found.values()] == [None, None, None, None, why]
    assert [one.is_run_here for one in found.values()] == [False, False, True, False, False]


@pytest.mark.parametrize("block", ["```\nmake demo\n```\n", "```bash\nmake demo\n```\n", "Say:\n\n    make demo\n"])
def test_a_block_that_does_not_say_what_it_is_is_refused(block: str) -> None:
    with pytest.raises(ValueError, match=r"page\.md, line \d: a block of '.*', expected ```sh around commands"):
        commands_of(block, "page.md")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sleepbench rum", "No such command 'rum'"),
        ("sleepbench run --experimnt demo", "No such option"),
        ("sleepbench run --cores none", "not a valid integer"),
        ("sleepbench run --experiment dmo", "dmo"),
        ("sleepbench run --models ulw_sleepnet,ulw_sleepnt", "ulw_sleepnt"),
        ("sleepbench data fetch --datasets sleep-edf-2O", "sleep-edf-2O"),
        ("sleepbench trace sleep-edf-2O protocol=clean", "sleep-edf-2O"),
        ("sleepbench results compare simulated", "Missing argument"),
        ("sleepbench results exprt simulated", "No such command 'exprt'"),
        ("make dmo", "the Makefile has no dmo"),
        ("make paper DATASETS=sleep-edf-20", "the Makefile has no DATASETS"),
        ("make paper DATASET=sleep-edf-2O", "sleep-edf-2O"),
        ("python tools/nothing.py", "there is no such script"),
        ("python tools/reliability.py --kind flips", "it has no option --kind"),
        ("rm -r results", "no program of this project"),
    ],
)
def test_what_is_no_command_is_refused(line: str, said: str) -> None:
    assert said in (refusal(Command("page.md", line)) or "")


def test_within_a_sentence_a_command_may_lack_arguments_but_not_exist() -> None:
    assert refusal(Command("page.md", "sleepbench results compare", is_whole=False)) is None
    assert refusal(Command("page.md", "sleepbench results", is_whole=False)) is None
    assert "exprt" in (refusal(Command("page.md", "sleepbench results exprt", is_whole=False)) or "")


def test_a_test_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{Path(__file__).relative_to(documented.ROOT)}::test_nothing"
    monkeypatch.setitem(documented.BY_OTHER_TESTS, "make lint", name)
    assert refusal(Command("page.md", "make lint")) == f"make lint: {name} is no test"

"""What every script of the workflow does around its one call."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from sleepbench.errors import BenchmarkError


@contextlib.contextmanager
def logged(log: str) -> Iterator[None]:
    """Send what a job prints to its log file.

    A BenchmarkError ends the job with its message, and no traceback, in the log and on the terminal; any other
    exception leaves its traceback in the log as well.
    """
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    terminal = sys.stderr
    # line by line, so that the log of a running job can be followed
    with Path(log).open("w", encoding="utf-8", buffering=1) as file:
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield
        except BenchmarkError as error:
            print(f"Error: {error}", file=file)
            print(f"\nError: {error}\n", file=terminal)
            raise SystemExit(1) from None
        except Exception:
            import traceback

            traceback.print_exc(file=file)
            raise

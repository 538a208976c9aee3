"""What a run says on the terminal, in place of Snakemake: a plugin of its log, by its own interface.

While it runs, one line is alive where standard error is a terminal; elsewhere a line stands now and then. Each finished
stage is a line, and each error is said once. Snakemake's whole log is in the file that is named at the end.
"""

import os
import re
import sys
import time
from logging import WARNING, LogRecord
from pathlib import Path
from types import ModuleType

from rich.console import Console
from rich.live import Live
from rich.text import Text
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent
from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

from sleepbench.cli.progress import Job, Progress
from sleepbench.core.errors import printable
from sleepbench.core.logs import explained

NAME = "sleepbench"
WIDTH = 100
HEARTBEAT_S = 600
"""Where no line is alive, what a run does is said after so long a silence."""
SAID = re.compile(r"Nothing to be done|Will exit after|Terminating processes")
"""What of Snakemake's is news to a user."""
NOISE = re.compile(
    r"Exiting because a job|(WorkflowError:\n)?At least one job did not complete|CalledProcessError in file|"
    r"RuleException:\nCalledProcessError in file"
)
"""What Snakemake says of jobs that failed; each said itself, in its log, why it did."""
CLASS = re.compile(r"^(?:WorkflowError|\w+Exception)(?: in [^\n]*)?:\n")
SIGNAL = re.compile(r"died with <Signals\.(\w+)|exit status (130)\b")
INTERRUPTED = ("SIGINT", "130")
"""How a job ends at Ctrl-C, which no error is: by the signal, or by the exit status that stands for it."""
REFUSED = re.compile(
    r"Traceback \(most recent call last\).*\n\w+Error: \[Errno (\d+)\] [^\n]*: '([^'\n]*)'\s*$", re.DOTALL
)
"""A traceback of Snakemake that a file system's refusal ends."""
LOG = re.compile(r"Complete log\(s\): (.*)")


class LogHandler(LogHandlerBase):
    """Snakemake's log, as it is shown."""

    writes_to_stream, writes_to_file = True, False
    has_filter = has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self.progress = Progress(time.monotonic)
        self.said: set[str] = set()
        self.ended_by = ""
        self.last = time.monotonic()
        self.live: Live | None = None
        console = Console(stderr=True)
        if console.is_terminal and not console.is_dumb_terminal:
            console.width = min(WIDTH, console.width)
            self.live = Live(
                console=console, get_renderable=self._line, transient=True, refresh_per_second=2
            )  # fmt: skip
            self.live.start()

    def _line(self) -> Text:
        return Text(printable(self.progress.line()), no_wrap=True, overflow="ellipsis")

    def say(self, text: str) -> None:
        """Print lines above the live one."""
        self.last = time.monotonic()
        if self.live:
            self.live.console.print(Text(printable(text)), soft_wrap=True)
        else:
            print(printable(text), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Take the live line away."""
        if self.live:
            self.live.stop()
            self.live = None
        super().close()

    def emit(self, record: LogRecord) -> None:
        """Show one record, or nothing of it."""
        try:
            self._show(record)
        except Exception:
            self.handleError(record)

    def _show(self, record: LogRecord) -> None:
        event, text = getattr(record, "event", None), record.getMessage()
        if event == LogEvent.RUN_INFO:
            self.say(self.progress.plan(record.stats))
        elif event == LogEvent.JOB_INFO:
            log = Path(record.log[0]) if record.log else None
            self.progress.begin(record.jobid, record.rule_name, record.rule_msg or "", dict(record.wildcards), log)
        elif event == LogEvent.JOB_FINISHED:
            if stage := self.progress.end(record.job_id):
                self.say(stage)
            elif not self.live and time.monotonic() - self.last > HEARTBEAT_S:
                self.say(f"{self.progress.elapsed:>11}  {self.progress.line()}")
        elif event == LogEvent.JOB_ERROR:
            self._fail(record)
        elif found := LOG.match(text):
            self.say(f"Full log: {os.path.relpath(found[1])}")
        elif record.levelno < WARNING:
            if SAID.match(text):
                self.say(text)
        elif NOISE.match(text):
            self.ended_by = found[1] or found[2] if (found := SIGNAL.search(text)) else self.ended_by
        else:
            self.error(_without_traceback(CLASS.sub("", text)) if record.levelno > WARNING else text, record.levelno)

    def _fail(self, record: LogRecord) -> None:
        """Say why a job failed: its log ends with it."""
        job, ended_by = self.progress.fail(record.jobid), self.ended_by or record.rule_msg or ""
        self.ended_by = ""
        if ended_by not in INTERRUPTED:
            self.error(why(job, Path(record.log[0]) if record.log else None, ended_by))

    def error(self, text: str, level: int = WARNING + 1) -> None:
        """Say what is wrong, once."""
        if text not in self.said:
            self.said.add(text)
            self.say(f"\nError: {text}\n" if level > WARNING else f"Warning: {text}")


def _without_traceback(text: str) -> str:
    """What to do about what a file system refused Snakemake itself; any other text as it is."""
    if found := REFUSED.search(text):
        number = int(found[1])
        return explained(OSError(number, os.strerror(number), found[2])) or text
    return text


def why(job: Job | None, log: Path | None, ended_by: str = "") -> str:
    """Why a job failed, from its log: its error, or else its traceback; else what it was ended by."""
    text = ""
    if log is not None and log.exists():
        text = log.read_text(encoding="utf-8", errors="replace")
    if errors := re.findall(r"^Error: (.*)", text, re.MULTILINE | re.DOTALL):
        return errors[-1].strip()
    what = job.what if job else "a job"
    if "Traceback (most recent call last):" in text:
        end = text[text.rindex("Traceback (most recent call last):") :].strip()
        return f"{what} failed, which it should not whatever it is given; its log is {log}:\n{end}"
    ended = f" by {ended_by}" if ended_by.startswith("SIG") else ""
    memory = " (often: there was not enough memory)" if ended_by == "SIGKILL" else ""
    more = f"; {ended_by.strip()}" if ended_by and not ended else ""
    where = f"; its log is {log}" if log is not None else ""
    return f"{what} was ended{ended}{memory}{where}{more}; run again"


def register() -> str:
    """Make Snakemake know this plugin; what it is called there."""
    plugin = ModuleType(NAME)
    plugin.LogHandler = LogHandler
    LoggerPluginRegistry().register_plugin(NAME, plugin)
    return NAME

"""Trials of reliability: finished runs to damage, and what became of one that was damaged.

A trial takes a copy of a finished run, damages or interrupts something, and gives the command that a user would give
next. It ends well if that command makes the same results, or refuses with an error whose remedy, followed as it is
printed, makes them.
"""

import io
import json
import os
import random
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import forked
import pandas as pd
import yaml
from forked import Ended

REPOSITORY = Path(__file__).resolve().parents[1]
DATASET = "simulated-tiny"
HOME = f"results/{DATASET}"
DATA = f"results/data/{DATASET}"
FOLDS = {"clean": "subject-2-kept-validation0", "released": "recording_block-2-dropped-no_validation"}
SEED = f"{HOME}/trainings/{FOLDS['clean']}/standard/ulw_sleepnet/four/ulw/seed-32"
TRAINING = f"{SEED}/fold-0"
SMOOTHED = f"{TRAINING.replace('/trainings/', '/postprocessed/')}/best_validation"
STACK_SEED = SEED.replace("/four/", "/one/")
PREDICTED = "results/*/trainings/**/predictions.parquet"

SAME, HEALED = "same", "refused and healed"
SILENT, LOST, UNHEALED, TRACEBACK, HUNG = "silent", "lost", "not healed", "traceback", "hung"
BAD = {
    SILENT: "it succeeds with other results",
    LOST: "it succeeds, and a file that was there is missing",
    UNHEALED: "it refuses without an error that is clear, or the remedy does not heal",
    TRACEBACK: "a traceback, or a crash",
    HUNG: f"it computes, or waits, for more than {forked.LIMIT_S} s",
}
SKIPPED = "skipped"

NOT_THE_SAME_TWICE = re.compile("duration|latency|git_commit|(document|training_json|content)_sha256")
"""Columns and keys of what is measured by a clock, and of hashes over these: two runs differ in them."""
ROUNDS = 4
"""Remedies that are followed before a trial counts as not healed: there may be several damaged files."""


@dataclass(frozen=True)
class Result:
    """What became of a trial: its outcome, what is to be said of it, and how often the kind was tried in it."""

    outcome: str
    said: str = ""
    tried: int = 1

    @property
    def is_bad(self) -> bool:
        return self.outcome in BAD


@dataclass(frozen=True)
class Kind:
    """A kind of damage or interruption.

    times : how often the whole campaign tries it
    attempt : does so once, with what is drawn from a random source; the number of the trial chooses where all are tried
    short : how often the short campaign does, which is part of the tests
    """

    group: str
    name: str
    times: int
    attempt: Callable[["Workshop", random.Random, int], Result]
    short: int = 0


@dataclass
class Workshop:
    """A folder with finished runs, made once, and copies of them for trials.

    short : whether the finished run ends with one training, of fewer recordings
    wanted : how often a kind is still to be tried, for one that is tried several times at once
    """

    folder: Path
    short: bool = False
    wanted: int = 1
    _made: dict[str, Path] = field(default_factory=dict)
    _count: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        os.environ["XDG_CACHE_HOME"] = str(self.folder / "cache")
        package = str(REPOSITORY / "workflow")
        os.environ["PYTHONPATH"] = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])

    def finished(self, variant: str = "finished") -> Path:
        """The finished run of a variant; made the first time."""
        if variant not in self._made:
            path = self.folder / variant
            if not (path / "whole").exists():
                shutil.rmtree(path, ignore_errors=True)
                VARIANTS[variant](self, path)
                (path / "whole").touch()
            self._made[variant] = path
        return self._made[variant]

    def copy(self, of: str = "finished", name: str = "") -> "Project":
        """A copy of a finished run, for one trial."""
        reference = self.finished(of)
        self._count += 1
        directory = self.folder / "trials" / (name or f"{os.getpid()}-{self._count}")
        shutil.copytree(reference, directory, symlinks=True, copy_function=_copy)
        return Project(directory, reference)

    def new(self) -> "Project":
        """A project in which nothing was run yet."""
        self._count += 1
        directory = self.folder / "trials" / f"{os.getpid()}-{self._count}"
        write_project(directory)
        return Project(directory, self.finished())


def _copy(source: str, to: str) -> str:
    """Large files, which nothing changes in place, are linked."""
    if source.endswith((".npy", ".edf")):
        os.link(source, to)
        return to
    return shutil.copy2(source, to)


def write_project(directory: Path, **sections: dict) -> None:
    """A project of this workflow: two protocols, one fold each, on the smallest simulated cohort."""
    directory.mkdir(parents=True)
    for name in ("Snakefile", "workflow", "envs"):
        (directory / name).symlink_to(REPOSITORY / name)
    config = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))
    run = {"datasets": [DATASET], "protocols": ["released", "clean"], "models": ["ulw_sleepnet"]}
    config |= {"run": {"experiment": "demo", **run}}
    for name, values in sections.items():
        config.setdefault(name, {}).update(values)
    (directory / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


def _must(ended: Ended) -> None:
    if ended.status != 0:
        raise SystemExit(f"the undisturbed run failed:\n{ended.printed[-4000:]}")


def _make_finished(workshop: Workshop, directory: Path) -> None:
    fewer = {"datasets": {DATASET: {"single_night_subjects": [0, 1, 2, 3]}}}
    write_project(directory, **(fewer if workshop.short else {}))
    started = time.monotonic()
    _must(forked.run(directory, "run", *([TRAINING] if workshop.short else []), limit_s=3600))
    (directory / "wall_s").write_text(str(time.monotonic() - started))


def _make_checkpoints(workshop: Workshop, directory: Path) -> None:
    """A training of three training epochs, finished; and beside it what a kill behind the second leaves."""
    _make_longer(workshop, directory, TRAINING, {"datasets": {DATASET: {"training_epochs": 3}}})


def _make_stack(workshop: Workshop, directory: Path) -> None:
    """Two folds that were trained as one stack, with the same beside it."""
    sections = {
        "datasets": {DATASET: {"training_epochs": 3, "only_folds": None}},
        "recipes": {"ulw": {"batch_size": 8}},
        "training": {"folds_per_job": 2},
        "run": {"inputs": ["one"], "protocols": ["clean"]},
    }
    _make_longer(workshop, directory, f"{STACK_SEED}/stack-0-1.json", sections)
    _must(forked.run(directory, "run", f"{HOME}/runs.csv"))


def _make_longer(workshop: Workshop, directory: Path, target: str, sections: dict) -> None:
    shutil.copytree(workshop.finished(), directory, symlinks=True, copy_function=_copy)
    (directory / "whole").unlink()
    for name in ("trainings", "postprocessed"):
        shutil.rmtree(directory / HOME / name)
    path = directory / "config.yaml"
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    for name, values in sections.items():
        config.setdefault(name, {}).update(values)
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    seed = (directory / target).parent

    def killed_behind_the_second() -> None:
        from sleepbench.training.checkpoint import Checkpoint

        save, saved = Checkpoint.save, []

        def save_and_die(self: Checkpoint, state: dict) -> None:
            save(self, state)
            saved.append(1)
            if len(saved) == 2:
                os.kill(os.getpid(), 9)

        Checkpoint.save = save_and_die

    ended = forked.run(directory, "run", target, before=killed_behind_the_second)
    checkpoints = list(seed.glob(".*.checkpoint"))
    if ended.status == 0 or len(checkpoints) != 1:
        raise SystemExit(f"no checkpoint is left in {seed}:\n{ended.printed[-4000:]}")
    shutil.copy2(checkpoints[0], directory / "checkpoint")
    (directory / "checkpoint.name").write_text(checkpoints[0].name)
    _must(forked.run(directory, "run", target))


VARIANTS = {"finished": _make_finished, "checkpoint": _make_checkpoints, "stack": _make_stack}


@dataclass
class Project:
    """A directory in which a trial takes place, and the finished run that its results must be the same as."""

    directory: Path
    reference: Path
    environment: dict[str, str] = field(default_factory=dict)

    def sleepbench(self, *arguments: str) -> Ended:
        """A command of the user."""
        return forked.run(self.directory, *arguments, environment=self.environment)

    def files(self, *patterns: str) -> list[str]:
        """Files that match patterns, in order, relative to the directory."""
        found = {path for pattern in patterns for path in self.directory.glob(pattern) if path.is_file()}
        return sorted(str(path.relative_to(self.directory)) for path in found)

    def remove(self, *patterns: str) -> None:
        """Remove files and directories."""
        for path in [path for pattern in patterns for path in self.directory.glob(pattern)]:
            remove(path)

    def differing(self, patterns: Iterable[str]) -> list[str]:
        """Files of the reference that match patterns, and are missing here or hold other results."""
        known = [path for pattern in patterns for path in sorted(self.reference.glob(pattern)) if path.is_file()]
        if not known:
            raise SystemExit(f"the undisturbed run has none of {', '.join(patterns)}: there is nothing to compare")
        names = [path.relative_to(self.reference) for path in known]
        return [
            str(name) for name, path in zip(names, known, strict=True) if not same_results(path, self.directory / name)
        ]

    def judge(
        self,
        targets: Sequence[str],
        products: Sequence[str],
        *,
        command: Callable[[], Ended] | None = None,
        there: Sequence[str] = (),
        heal: Callable[[], object] = lambda: None,
    ) -> Result:
        """Give the command that makes some targets, follow the remedies that are printed, and compare the products.

        command : in place of that command
        there : files that must be there in the end
        heal : what a user does who is told to make room, or the like
        """
        refused: list[str] = []
        for _ in range(ROUNDS + 1):
            ended = command() if command else self.sleepbench("run", *targets)
            if bad := crash_of(ended):
                return bad
            if ended.status == 0:
                if wrong := self.differing(products):
                    return Result(SILENT, f"differs: {', '.join(wrong[:4])}; {'; '.join(refused) or 'no word'}")
                if missing := [name for name in there if not (self.directory / name).exists()]:
                    return Result(LOST, f"missing: {', '.join(missing[:4])}")
                return Result(HEALED, "; ".join(refused)) if refused else Result(SAME)
            errors = errors_of(ended.printed)
            if not errors:
                return Result(UNHEALED, f"no clear error: {ended.printed[-800:]}")
            if errors[0] in refused:
                return Result(UNHEALED, f"the remedy was followed, and the same came again: {errors[0]}")
            refused += errors
            heal()
            if not any([self._follow(error) for error in errors]):
                return Result(UNHEALED, f"no remedy can be followed: {' / '.join(errors)}")
        return Result(UNHEALED, f"{ROUNDS} remedies were followed: {' / '.join(refused)}")

    def _follow(self, error: str) -> bool:
        """Do what a message says; whether it says something that can be done."""
        done = False
        for pattern, remedy in REMEDIES:
            if found := re.search(pattern, error, re.DOTALL):
                done |= remedy(self, error, found)
        return done


def remove(path: Path) -> None:
    """Remove a file or a directory."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def crash_of(ended: Ended) -> Result | None:
    """What is bad about the way a command ended, whatever it was to do."""
    if ended.status is None:
        return Result(HUNG, ended.printed[-500:])
    if ended.status < 0:
        return Result(TRACEBACK, f"ended by the signal {-ended.status}: {ended.printed[-1500:]}")
    if found := re.findall(r"Traceback \(most recent call last\):\n(?: .*\n)+.*", ended.printed):
        return Result(TRACEBACK, "\n  ".join(found[-1].splitlines()[-7:]))
    if found := re.search(r"Fatal Python error.*|died with <Signals\.(?!SIGKILL)\w+", ended.printed):
        return Result(TRACEBACK, found[0])
    return None


def errors_of(printed: str) -> list[str]:
    """The error messages of what a command printed, each once."""
    found = re.findall(r"^Error: (.+?)(?:\n\n|\n(?=\[|Error)|\Z)", printed, re.MULTILINE | re.DOTALL)
    found += re.findall(
        r"^WorkflowError(?: in [^\n]*)?:\n((?!At least one job)[^\n]+(?:\n {2,}[^\n]+)*)", printed, re.M
    )
    return list(dict.fromkeys(text.strip() for text in found if not text.startswith("TypeError")))


def same_results(reference: Path, path: Path) -> bool:
    """Whether two files hold the same results: the same bytes, but for what a clock says."""
    if not path.is_file():
        return False
    ours, theirs = path.read_bytes(), reference.read_bytes()
    if ours == theirs:
        return True
    if path.suffix == ".csv":
        try:
            tables = [pd.read_csv(io.BytesIO(one), dtype=str, keep_default_na=False) for one in (ours, theirs)]
        except ValueError:
            return False
        kept = [table[[n for n in table if not NOT_THE_SAME_TWICE.search(str(n))]] for table in tables]
        return kept[0].equals(kept[1])
    return path.suffix == ".json" and _timeless(ours) == _timeless(theirs)


def _timeless(content: bytes) -> object:
    def without(value: object) -> object:
        if isinstance(value, list):
            return [without(one) for one in value]
        if isinstance(value, dict):
            return {k: without(v) for k, v in value.items() if not NOT_THE_SAME_TWICE.search(k)}
        return value

    try:
        return without(json.loads(content))
    except ValueError:
        return content


# --------------------------------------------------------------------------------------------------------- remedies


def _paths(project: Project, error: str) -> list[Path]:
    """The paths that a message names, as far as they are there."""
    named = re.findall(r"(?:/[\w.@+=,{} -]*)?results/[^\s,;:()'\"…]+|\.?/[^\s,;:()'\"…]+", error)
    found = [project.directory / name.strip().rstrip(".") for name in named]
    inside = [path for path in found if project.directory in path.parents]
    return list(dict.fromkeys(path for path in inside if path.exists() or path.is_symlink()))


def _delete_subject(project: Project, error: str, found: re.Match) -> bool:
    """Delete what the message begins with."""
    subject = _paths(project, error)[:1]
    for path in subject:
        remove(path)
    return bool(subject)


def _delete_named(project: Project, error: str, found: re.Match) -> bool:
    named = _paths(project, f" {found[1]}")
    for path in named:
        remove(path)
    return bool(named)


def _delete_runs_table(project: Project, error: str, found: re.Match) -> bool:
    project.remove("results/*/runs.csv")
    return True


def _delete_folds(project: Project, error: str, found: re.Match) -> bool:
    """Delete the directories of the folds that a message names, and receipts beside them."""
    named = re.findall(r"results/\S+?/fold-\d+", error)
    for one in re.finditer(r"(\w+) seed (\d+) fold (\d+)|(\w+), \w+, \w+, \w+, seed (\d+), fold (\d+)", error):
        protocol, seed, fold = [part for part in one.groups() if part]
        pattern = f"results/*/trainings/{FOLDS.get(protocol, '*')}/*/*/*/*/seed-{seed}/fold-{fold}"
        named += [str(path.relative_to(project.directory)) for path in project.directory.glob(pattern)]
    for name in set(named):
        remove(project.directory / name)
        project.remove(f"{Path(name).parent}/stack-*.json")
    return bool(named)


def _move_away(project: Project, error: str, found: re.Match) -> bool:
    subject = _paths(project, error)[:1]
    for path in subject:
        path.rename(path.with_name(f"{path.name}.away"))
    return bool(subject)


def _command(project: Project, error: str, found: re.Match) -> bool:
    project.sleepbench(*found[1].split())
    return True


def _as_verified(project: Project, error: str, found: re.Match) -> bool:
    """Ask `data verify` what to do, and do it."""
    said = project.sleepbench(*found[1].split()).printed
    for path in _paths(project, "\n".join(re.findall(r"^  (\S+?): ", said, re.MULTILINE))):
        path.rename(path.with_name(f"{path.name}.away"))
    for command in re.findall(r"`sleepbench ([^`]+)`", said):
        project.sleepbench(*command.split())
    return "What to do" in said


def _data(command: str) -> Callable[[Project, str, re.Match], bool]:
    def remedy(project: Project, error: str, found: re.Match) -> bool:
        project.sleepbench("data", command, "--datasets", DATASET)
        return True

    return remedy


def _nothing(project: Project, error: str, found: re.Match) -> bool:
    return True


REMEDIES: list[tuple[str, Callable[[Project, str, re.Match], bool]]] = [
    (r"`?sleepbench (data verify [-\w ]+?)`? says how", _as_verified),
    (r"`sleepbench ((?!run)[^`]+)`", _command),
    (r"[Dd]elete (?:it|this file|the file|the directory|both|them)\b", _delete_subject),
    (r"[Dd]elete ([^\s,;]*/[^\s,;]+(?:(?:,| and|, and| with) [^\s,;]*/[^\s,;]+)*)", _delete_named),
    (r"[Dd]elete the (?:runs table|table of runs)", _delete_runs_table),
    (
        r"of the folds named here the directories|delete the fold's directory|[Tt]rain (?:it|this fold) again",
        _delete_folds,
    ),
    (r"move it away", _move_away),
    (r"prepare (?:it|its recording|the recording|all|them) again", _data("prepare")),
    (r"fetch (?:it|its recording|the recording) again", _data("fetch")),
    (r"(?:make|smooth) (?!it writable)[\w ]*again", _delete_subject),
    (r"[Rr]un again|[Rr]un it again|make room|Start (?:it|the run) again", _nothing),
]
"""What messages tell a user to do, and how that is done here: to the letter."""


def say(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr, flush=True)

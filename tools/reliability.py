"""Try every kind of damage and interruption on a small simulated run, and say how each ended.

    python tools/reliability.py                              all of it: two hours of one core
    python tools/reliability.py --kinds flips --times 3      some of it; --list says what there is
    python tools/reliability.py --write docs/reliability.md  writes the table

With `--keep DIRECTORY` what became of each kind is kept there, and kinds of which the same code was tried, as
often and with the same seed, are not tried again: a campaign may be interrupted, and two processes may try some kinds
each.
A trial depends only on the seed, its kind and its number: `--kinds "a bit of: folds" --only 7` repeats one. It is good
if the next command makes the same predictions and tables as the undisturbed run, or refuses with one clear error whose
remedy, followed as it is printed, makes them.
"""

import argparse
import datetime
import functools
import json
import os
import platform
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import forked

REPOSITORY = Path(__file__).resolve().parents[1]
DOCUMENT = REPOSITORY / "docs" / "reliability.md"


@dataclass
class Tally:
    """How often a kind was tried at a commit, by outcome; the trials that ended badly; and CPU seconds."""

    commit: str
    outcomes: Counter = field(default_factory=Counter)
    bad: list[tuple[int, str, str]] = field(default_factory=list)
    cpu_s: float = 0.0
    skipped: str = ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a campaign; 1 if a trial ended badly."""
    options = parse(arguments)
    sys.path.insert(0, str(REPOSITORY / "workflow"))
    forked.import_everything()
    import trials

    chosen = [kind for kind in kinds() if not options.kinds or {kind.group, kind.name} & {*options.kinds.split(",")}]
    if options.short:
        chosen = [kind for kind in chosen if kind.short]
    if options.list or not chosen:
        print("\n".join(f"{kind.group:13} {kind.times:4}  {kind.name}" for kind in chosen or kinds()))
        return 0
    folder = Path(options.scratch or tempfile.mkdtemp(prefix="reliability-"))
    workshop = trials.Workshop(folder, options.short)
    try:
        begun = cpu_seconds()
        workshop.finished()
        print(f"the undisturbed run: {cpu_seconds() - begun:.0f} CPU s", file=sys.stderr, flush=True)
        tallies = {kind: kept(kind, options) or tried(kind, workshop, options) for kind in chosen}
    finally:
        if not options.scratch:
            shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(table(tallies)))
    print("\n".join(bad_trials(tallies, options.seed)))
    if options.write:
        write(options.write, tallies, options.seed)
    return int(any(tally.bad for tally in tallies.values()))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kinds", metavar="LIST", help="groups or kinds, separated by commas")
    parser.add_argument("--times", type=int, help="trials of each kind, where the whole campaign has more")
    parser.add_argument("--only", type=int, help="the number of the one trial to repeat")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="a few trials of the cheap kinds")
    parser.add_argument("--list", action="store_true", help="list the kinds")
    parser.add_argument("--scratch", metavar="DIRECTORY", help="where finished runs are kept for the next campaign")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="where what became of each kind is kept")
    parser.add_argument("--write", type=Path, metavar="FILE", help=f"write the table, as {DOCUMENT.name}")
    return parser.parse_args(arguments)


def kinds() -> list:
    """Every kind of damage and interruption."""
    import damage
    import hostile_input
    import interruptions
    import surroundings

    return [kind for module in (interruptions, damage, surroundings, hostile_input) for kind in module.kinds()]


def tried(kind, workshop, options: argparse.Namespace) -> Tally:
    """Try a kind as often as asked for."""
    tally, number, begun, started = Tally(commit()), 0, cpu_seconds(), time.monotonic()
    total = wanted(kind, options)
    while sum(tally.outcomes.values()) < total and not tally.skipped:
        workshop.wanted = total - sum(tally.outcomes.values())
        chosen = number if options.only is None else options.only
        result = kind.attempt(workshop, random.Random(f"{options.seed}/{kind.name}/{chosen}"), chosen)
        if result.outcome == "skipped":
            tally.skipped = result.said
            break
        tally.outcomes[result.outcome] += result.tried if not result.is_bad else 1
        if result.is_bad:
            print(f"  {result.outcome}, {kind.name}, {chosen}: {result.said[:600]}", file=sys.stderr, flush=True)
            tally.bad.append((chosen, result.outcome, result.said))
            if result.tried > 1:
                tally.outcomes["same"] += result.tried - 1
        shutil.rmtree(workshop.folder / "trials", ignore_errors=True)
        number += 1
        if options.only is not None:
            print(f"{result.outcome}: {result.said}")
            break
    tally.cpu_s = cpu_seconds() - begun
    counts = ", ".join(f"{n} {outcome}" for outcome, n in tally.outcomes.items()) or f"skipped: {tally.skipped}"
    took = f"{tally.cpu_s:.0f} CPU s, {time.monotonic() - started:.0f} s"
    print(f"{kind.group}: {kind.name}: {counts} ({took})", file=sys.stderr, flush=True)
    if options.keep and options.only is None:
        path = keeping_place(kind, options)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"of": circumstances(kind, options), "tally": vars(tally)}), encoding="utf-8")
    return tally


def wanted(kind, options: argparse.Namespace) -> int:
    """How often a kind is tried."""
    return kind.short if options.short else min(options.times or kind.times, kind.times)


def keeping_place(kind, options: argparse.Namespace) -> Path:
    """Where what became of a kind is kept."""
    return options.keep / (re.sub(r"\W+", "-", f"{kind.group} {kind.name}") + ".json")


def circumstances(kind, options: argparse.Namespace) -> dict:
    """What must be the same for trials not to be made again."""
    return {"kind": kind.name, "times": wanted(kind, options), "seed": options.seed, "code": code()}


def kept(kind, options: argparse.Namespace) -> Tally | None:
    """What became of a kind in an earlier campaign like this one."""
    if not options.keep or options.only is not None or not (path := keeping_place(kind, options)).exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["of"] != circumstances(kind, options):
        return None
    tally = found["tally"]
    bad = [tuple(one) for one in tally["bad"]]
    return Tally(tally["commit"], Counter(tally["outcomes"]), bad, tally["cpu_s"], tally["skipped"])


@functools.cache
def code() -> str:
    """A hash of the package and the rules that are tried."""
    said = subprocess.run(["git", "rev-parse", "HEAD:workflow"], cwd=REPOSITORY, capture_output=True, text=True)
    return said.stdout.strip()


@functools.cache
def commit() -> str:
    """The commit that is tried."""
    said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True)
    return said.stdout.strip() or "unknown"


def cpu_seconds() -> float:
    """CPU time of this process and of those that it waited for."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in spent)


def table(tallies: dict) -> Iterator[str]:
    """The table of outcomes as Markdown."""
    import trials

    yield "| what is tried | tried | same | refused, then the same | bad |"
    yield "|---|--:|--:|--:|--:|"
    sums: Counter = Counter()
    group = ""
    for kind, tally in tallies.items():
        if kind.group != group:
            group = kind.group
            yield f"| **{group}** | | | | |"
        n_bad = sum(tally.outcomes[outcome] for outcome in trials.BAD)
        cells = [sum(tally.outcomes.values()), tally.outcomes[trials.SAME], tally.outcomes[trials.HEALED], n_bad]
        if tally.skipped:
            yield f"| {kind.name} | – | | | skipped: {tally.skipped} |"
            continue
        outcomes = Counter({one: tally.outcomes[one] for one in trials.BAD if tally.outcomes[one]})
        said = ", ".join(f"{n} {one}" for one, n in outcomes.items())
        yield f"| {kind.name} | {' | '.join(map(str, cells))}{f' ({said})' if said else ''} |"
        sums.update(dict(zip(("tried", "same", "healed", "bad"), cells, strict=True)))
    yield f"| **all** | {' | '.join(str(sums[one]) for one in ('tried', 'same', 'healed', 'bad'))} |"


def bad_trials(tallies: dict, seed: int) -> Iterator[str]:
    """What became of each bad trial, and how it is repeated."""
    for kind, tally in tallies.items():
        for number, outcome, said in tally.bad:
            again = f'python tools/reliability.py --seed {seed} --kinds "{kind.name}" --only {number}'
            yield f"\n{outcome}: {again}\n  {said}"
    spent = sum(tally.cpu_s for tally in tallies.values())
    whole = sum(
        tally.cpu_s * kind.times / max(1, sum(tally.outcomes.values())) for kind, tally in tallies.items()
    )  # fmt: skip
    yield f"\n{spent / 60:.1f} CPU minutes; these kinds as often as the whole campaign tries them: {whole / 60:.0f}"


def write(path: Path, tallies: dict, seed: int) -> None:
    """Write the table into a document, between its two marks."""
    commits = list(dict.fromkeys(tally.commit for tally in tallies.values()))
    said = (
        f"Made on {datetime.date.today():%Y-%m-%d} by `python tools/reliability.py`, seed {seed}, at commit "
        f"{' and '.join(commits)}, on {os.cpu_count()} cores of {platform.machine()}, "
        f"{platform.system()}, Python {platform.python_version()}."
    )
    marks = "<!-- trials: by tools/reliability.py -->", "<!-- trials end -->"
    text = path.read_text(encoding="utf-8") if path.exists() else "\n".join(marks) + "\n"
    before, _, rest = text.partition(marks[0])
    _, _, after = rest.partition(marks[1])
    path.write_text(
        "\n".join([f"{before}{marks[0]}", "", said, "", *table(tallies), "", f"{marks[1]}{after}"]), encoding="utf-8"
    )


if __name__ == "__main__":
    sys.exit(main())

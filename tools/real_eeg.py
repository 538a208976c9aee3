"""What the pages show of real EEG, from the finished run of `make demo-real`.

python tools/real_eeg.py writes the archive of the run and the picture of its ladder into docs/real-5s, and tables
between marks: five answers into README.md; the whole ladder of one network, and its accuracy against each rival, into
docs/real-eeg.md.
"""

import re
import shutil
from pathlib import Path

import pandas as pd

from sleepbench.config import paths
from sleepbench.config.load import load
from sleepbench.core.files import write_text
from sleepbench.runs.archive import export

ROOT = Path(__file__).parents[1]
DATASET = "sleep-edf-20-5s"
FOLDER = ROOT / "docs" / "real-5s"
ARCHIVE, PICTURE = FOLDER / f"{DATASET}-results.zip", FOLDER / "ladder.png"
README, PAGE = ROOT / "README.md", ROOT / "docs" / "real-eeg.md"
SHOWN = {"ladder": "ULW-SleepNet (one, ulw)", "non_inferiority": " acc. "}
"""The tables of PAGE, and what stands in the rows that it shows of each."""
MODEL, BASELINE = "ULW-SleepNet", "Band power, gradient boosting"
MARGINS = (1, 2)
"""In points."""


def block(table: str, shown: str) -> str:
    """The rows of a table in Markdown that hold `shown`, under its title, without caption and notes."""
    title, rows, *_ = table.split("\n\n")
    without_notes = re.sub(r" \[\d+\] \|$", "     |", rows, flags=re.MULTILINE)
    head, rule, *others = without_notes.splitlines()
    kept = [head, rule, *(row for row in others if shown in row)]
    return f"**{title.removeprefix('## ')}**\n\n" + "\n".join(kept)


def answers(tables: Path) -> str:
    """Five answers in Markdown, from a folder of the run's tables: clean, by the test fold, rivals, claims.

    All are of Fpz-Cz. The first two are by the released recipe, rivals by one recipe for all, as their verdicts are.
    """
    main, ladder, rivals, claims = (
        pd.read_csv(tables / f"{name}.csv") for name in ("main_results", "ladder", "non_inferiority", "claims")
    )
    title = (tables / "main_results.md").read_text(encoding="utf-8").split("\n")[0]
    warning = re.search(r"\((.*)\)$", title)[1]
    rung = ladder[ladder.title.eq(MODEL) & ladder.recipe.eq("ulw")].set_index("protocol")
    clean, chosen = rung.loc["clean"], rung.loc["validation_held_out"]
    if clean.from_protocol != chosen.name:
        raise ValueError(f"{tables}: clean follows {clean.from_protocol}, expected {chosen.name}")
    result = main.query("model == @MODEL and protocol == 'clean' and recipe == 'ulw'").squeeze()
    against = rivals[rivals.metric.eq("accuracy") & rivals.protocol.eq("clean")].set_index("rival")
    by_rival = ladder[ladder.protocol.eq("clean") & ladder.recipe.eq("common")].set_index("title").drop(MODEL)
    best = by_rival.drop(BASELINE).accuracy.idxmax()
    published = claims[claims.id.str.startswith("accuracy-")]
    verdict = published.verdict.unique().item()
    less = -clean[["accuracy_change", "accuracy_change_high", "accuracy_change_low"]]
    more = "{:.1f} points more [{:.1f}, {:.1f}]".format(*less)
    values = " and ".join(f"{value:.1f}" for value in published.published)
    result = f"macro-F1 {result.macro_f1:.1f}, kappa {result.cohen_kappa:.3f}"
    rows = [
        (f"{MODEL}, held-out subjects choose the training epoch (`clean`)", _with_bounds(clean), result),
        ("The same, but the test fold chooses it", _with_bounds(chosen), f"{more}, by the choice alone"),
        (f"Best rival, `clean`: {best}", _with_bounds(by_rival.loc[best]), _verdict(against.loc[best])),
        (f"No network, `clean`: {BASELINE}", _with_bounds(by_rival.loc[BASELINE]), _verdict(against.loc[BASELINE])),
        ("Published, on whole recordings", values, f"{verdict}: whole recordings are needed"),
    ]
    head = [f"**{warning}**", "", "| | Accuracy, % | |", "|---|--:|---|"]
    return "\n".join([*head, *(f"| {' | '.join(row)} |" for row in rows)])


def _with_bounds(row: pd.Series) -> str:
    """Accuracy and its interval, which no line breaks."""
    return f"{row.accuracy:.1f} [{row.accuracy_low:.1f},&nbsp;{row.accuracy_high:.1f}]"


def _verdict(row: pd.Series) -> str:
    """How MODEL does against a rival, and the verdict that says most."""
    low, high = sorted((abs(row.low), abs(row.high)))
    said = f"{MODEL} is {abs(row.difference):.1f} points {'better' if row.difference > 0 else 'worse'}"
    bounds = f"[{low:.1f}, {high:.1f}]" if row.low * row.high > 0 else f"[{row.low:+.1f}, {row.high:+.1f}]"
    decided = {margin: row[f"verdict_{margin}"] for margin in MARGINS if row[f"verdict_{margin}"] != "not decidable"}
    if not decided:
        return f"{said} {bounds}: not decidable"
    margin = min(decided) if "not inferior" in decided.values() else max(decided)
    return f"{said} {bounds}: {decided[margin]} at a margin of {margin} pt"


def with_block(page: str, name: str, shown: str) -> str:
    """A page with what it shows between the marks of a name."""
    first, last = f"<!-- real-5s, {name}: by tools/real_eeg.py -->", f"<!-- real-5s, {name} ends -->"
    before, _, rest = page.partition(first)
    _, _, after = rest.partition(last)
    return f"{before}{first}\n\n{shown}\n\n{last}{after}"


def blocks(tables: Path) -> dict[tuple[Path, str], str]:
    """What each page shows between the marks of a name, from a folder of the run's tables."""
    shown = {
        (PAGE, name): block((tables / f"{name}.md").read_text(encoding="utf-8"), rows) for name, rows in SHOWN.items()
    }
    return {(README, "answers"): answers(tables), **shown}


def main() -> None:
    """Write all of it."""
    FOLDER.mkdir(exist_ok=True)
    print(export(load(), DATASET, ARCHIVE))
    shutil.copyfile(paths.figure(DATASET, "ladder"), PICTURE)
    for (page, name), shown in blocks(Path(paths.table(DATASET, "ladder")).parent).items():
        write_text(page, with_block(page.read_text(encoding="utf-8"), name, shown))


if __name__ == "__main__":
    main()

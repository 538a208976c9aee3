"""Statistics, tables and figures of non-inferiority and of ranks, from made-up networks."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from fake_results import LABELS, RESOURCES

from sleepbench.core.files import write_json
from sleepbench.datasets.base import DataLabel
from sleepbench.evaluation.claims import NOT_TESTABLE
from sleepbench.evaluation.non_inferiority import INFERIOR, NOT_DECIDABLE, NOT_INFERIOR, paired_difference
from sleepbench.reporting.artefacts import Inputs, figures, tables
from sleepbench.reporting.figures import style
from sleepbench.reporting.rendering import make_table
from sleepbench.reporting.statistics.contender import ContenderStatistics
from sleepbench.reporting.statistics.non_inferiority import NO_VERDICT, non_inferiority_table
from sleepbench.reporting.statistics.ranks import ranks_table
from sleepbench.reporting.tables import marginal_loss, non_inferiority, ranks

ULW, WORSE, EQUAL, UNCLEAR = "ULW-SleepNet", "Better Net", "Equal Net", "SleepStagerChambon2018"
SIZES = {ULW: 13_337, WORSE: 1_000_000, EQUAL: 500_000, UNCLEAR: 6_361}
EXCERPTS = DataLabel("some", "some", "REAL EEG, parts of epochs")
N_EPOCHS = 2_000


def network(
    title: str, accuracies: np.ndarray, seeds: tuple[int, ...] = (32,), input: str = "four", **changes: Any
) -> ContenderStatistics:
    """A network that is right in so many of each subject's epochs, the same by every seed, in five folds."""
    right = np.round(accuracies * N_EPOCHS).astype(int)
    matrices = np.zeros((len(seeds), right.size, 5, 5), dtype=int)
    for stage in range(5):  # so many of each stage
        matrices[:, :, stage, stage] = right // 5
        matrices[:, :, stage, (stage + 1) % 5] = N_EPOCHS // 5 - right // 5
    subjects = [f"{i:02d}" for i in range(right.size)]
    keys = [
        {
            "seed": seed,
            "recording": f"{subject}-1",
            "subject": subject,
            "run_key": f"{title.replace(' ', '')}-{seed}-{i % 5}",
        }
        for seed in seeds
        for i, subject in enumerate(subjects)
    ]
    folds = pd.DataFrame(
        [
            {
                "seed": seed,
                "fold": fold,
                "n_train": 4 * N_EPOCHS,
                "n_test": N_EPOCHS,
                "accuracy": value,
                "macro_f1": value,
            }
            for seed in seeds
            for fold, value in enumerate(accuracies[:5])
        ]
    )
    content = {
        **{"key": ("clean", title, input, "common"), "n_channels": 4, "subjects": subjects, "seeds": list(seeds)},
        **{"tested": pd.DataFrame(keys), "confusions": matrices, "folds": folds},
        **dict.fromkeys(("intervals", "per_subject", "groups", "nights", "sleep_measures", "reliability")),
    }
    return ContenderStatistics(**(content | changes))


@pytest.fixture(scope="module")
def four() -> list[ContenderStatistics]:
    """ULW-SleepNet, one that is five points better, one as good, one that differs from subject to subject."""
    level = 0.8 + 0.05 * np.sin(np.arange(20))
    noise = np.linspace(-1, 1, 20)
    shifts = {ULW: 0 * noise, WORSE: 0.05 + 0.01 * noise, EQUAL: 0.005 * noise, UNCLEAR: 0.012 + 0.08 * noise[::-1]}
    return [network(title, level + shift) for title, shift in shifts.items()]


def compared(results: list[ContenderStatistics], simulated: bool = False) -> pd.DataFrame:
    return non_inferiority_table(results, {}, [ULW], [1.0, 2.0], simulated)


def verdicts(table: pd.DataFrame) -> dict[str, list[str]]:
    return table[table.metric == "accuracy"].groupby("rival", sort=False).verdict.agg(list).to_dict()


def inputs_of(folder: Path, table: pd.DataFrame, name: str, label: DataLabel = LABELS["sleep-edf-20"]) -> Inputs:
    """What the artefacts of `name` are built from."""
    table.to_csv(folder / f"{name}.csv", index=False)
    profiles = []
    for title, parameters in SIZES.items():
        profiles.append(folder / f"{title}.json")
        write_json(profiles[-1], {"title": title, "n_channels": 4, "operations": {"parameters": parameters}})
    files = {f"statistics/{name}": folder / f"{name}.csv", "profiles": profiles, "claims": RESOURCES / "claims.yaml"}
    return Inputs(files, {}, label)


def rendered(name: str, inputs: Inputs, folder: Path) -> tuple[pd.DataFrame, str]:
    """A table's CSV, and its Markdown with single spaces."""
    csv, markdown, latex = (folder / f"table_{name}.{form}" for form in ("csv", "md", "tex"))
    make_table(tables()[name], inputs, csv, markdown, latex)
    text = markdown.read_text(encoding="utf-8")
    assert max(map(len, text.splitlines()[1:])) <= 150 and latex.read_text().isascii()
    assert "nan" not in text.lower().split()
    return pd.read_csv(csv), " ".join(text.split())


# ---------------------------------------------------------------------------------------------------------- statistics


def test_verdicts_are_of_the_claimed_network_against_each_rival(four):
    table = compared(four)
    assert verdicts(table) == {
        WORSE: [INFERIOR, INFERIOR],
        EQUAL: [NOT_INFERIOR, NOT_INFERIOR],
        UNCLEAR: [NOT_DECIDABLE, NOT_DECIDABLE],
    }
    row = table[(table.rival == WORSE) & (table.metric == "accuracy")].iloc[0]
    expected = paired_difference(-0.05 - 0.01 * np.linspace(-1, 1, 20))
    assert (row.difference, row.low, row.high) == pytest.approx((expected.mean, expected.low, expected.high), abs=2e-3)
    assert (row.n_subjects, row.n_folds, row.test_to_train, row.seeds, row.reason) == (20, 5, 0.25, 1, "")
    assert row.worse > 0.99 and row.fold_low < row.fold_difference < row.fold_high
    assert set(row.run_keys.split()) == {f"{title}-32-{fold}" for title in (ULW, "BetterNet") for fold in range(5)}


def test_simulated_signals_get_no_verdict_but_numbers(four):
    table = compared(four, simulated=True)
    assert set(table.verdict) == {NO_VERDICT} and table.low.notna().all()


def test_only_seeds_that_both_have_are_compared(four):
    ulw, worse, *_ = four
    accuracies = np.linspace(0.7, 0.9, 20)
    three = network(ULW, accuracies, seeds=(32, 33, 34), confusions=np.concatenate([ulw.confusions] * 3))
    assert verdicts(compared([three, worse]))[WORSE] == [INFERIOR, INFERIOR]
    assert set(compared([three, worse]).seeds) == {1}
    other = network(WORSE, accuracies, seeds=(99,))
    table = compared([three, other])
    assert set(verdicts(table)[WORSE]) == {NOT_DECIDABLE} and table.difference.isna().all()
    assert table.reason[0] == f"no seed was run of each ({ULW} by 32, 33, 34 and {WORSE} by 99)"


@pytest.mark.parametrize(
    ("accuracies", "reason"),
    [
        ((0.7 * np.ones(19), 0.8 * np.ones(20)), f"not tested on the same subjects (not {ULW} on 19)"),
        ((0.7 * np.ones(20), 0.8 * np.ones(20)), "the difference is the same in each subject, so no bound"),
        ((np.array([0.7]), np.array([0.8])), "a single subject has no spread, so no bound"),
    ],
)
def test_what_cannot_be_computed_is_said(tmp_path, accuracies, reason):
    table = compared([network(title, values) for title, values in zip((ULW, WORSE), accuracies, strict=True)])
    assert set(table.verdict) == {NOT_DECIDABLE} and table.reason.str.startswith(reason).all()
    assert table[["low", "high", "smallest_margin", "better"]].isna().all(axis=None)
    inputs = inputs_of(tmp_path, table, "non_inferiority")
    for name in ("non_inferiority", "marginal_loss"):
        assert reason in rendered(name, inputs, tmp_path)[1]
    assert style.drawn(figures()["non_inferiority"], figures()["non_inferiority"].build(inputs), inputs).axes


def test_nothing_but_the_clean_protocol_and_one_input_is_compared(four):
    ulw, worse, *_ = four
    released = network(WORSE, np.linspace(0.7, 0.9, 20), key=("released", WORSE, "four", "common"))
    on_one = network(WORSE, np.linspace(0.7, 0.9, 20), key=("clean", WORSE, "one", "common"))
    assert compared([ulw, released, on_one]).empty and compared([worse, *four[2:]]).empty


def test_ranks_are_of_the_networks_that_share_a_seed(four):
    lonely = network("Lonely Net", np.linspace(0.7, 0.9, 20), seeds=(7,))
    table = ranks_table([*four, lonely], {})
    mine = table[table.metric == "accuracy"]
    assert mine.title.tolist()[0] == WORSE and set(mine.title) == {ULW, WORSE, EQUAL, UNCLEAR}
    assert mine.mean_rank.sum() == pytest.approx(10) and (mine.n_networks == 4).all()
    assert set(mine.reason) == {"left out, as not run by seed 32: Lonely Net"}
    assert mine.iloc[0].run_keys.startswith("BetterNet-32-0")


@pytest.mark.parametrize(
    ("n_networks", "sizes", "reason"),
    [
        (2, (20, 20), "2 networks, at least 3 are needed"),
        (3, (2, 2, 2), "2 subjects, at least 3 are needed"),
        (3, (20, 20, 19), "not tested on the same subjects (not C on 19)"),
    ],
)
def test_why_there_are_no_ranks_is_said(tmp_path, n_networks, sizes, reason):
    table = ranks_table([network(t, np.linspace(0.7, 0.8, n)) for t, n in zip("ABC", sizes, strict=False)], {})
    assert table.reason.tolist() == [reason] and table.mean_rank.isna().all()
    inputs = inputs_of(tmp_path, table, "ranks")
    assert reason in rendered("ranks", inputs, tmp_path)[1]
    figure = style.drawn(figures()["ranks"], figures()["ranks"].build(inputs), inputs)
    assert reason in [text.get_text() for text in figure.texts]


# ------------------------------------------------------------------------------------------------- tables and figures


def test_the_table_shows_differences_verdicts_and_what_can_be_shown(tmp_path, four):
    rows, text = rendered("non_inferiority", inputs_of(tmp_path, compared(four), "non_inferiority"), tmp_path)
    assert list(rows.metric) == ["accuracy", "macro_f1"] * 3 and list(rows)[-1] == "run_keys"
    row = rows.iloc[0]
    shown = (
        f"{row.difference:+.1f} [{row.low:+.1f}, {row.high:+.1f}] | inferior | inferior | {row.smallest_margin:.1f} |"
    )
    assert f"| four, common | {WORSE} | acc. | {shown} 1.00 .00 .00 |" in text
    assert "not inferior" in text and "not decidable" in text and f"{ULW} less the rival, 20 subjects, 1 seed" in text


def test_the_claim_of_a_marginal_loss_has_a_row_per_larger_rival(tmp_path, four):
    inputs = inputs_of(tmp_path, compared(four), "non_inferiority")
    rows, text = rendered("marginal_loss", inputs, tmp_path)
    assert rows.rival.tolist() == [WORSE, EQUAL]  # the third has fewer parameters
    assert rows.fewer.tolist() == pytest.approx([100 * (1 - 13_337 / size) for size in (1_000_000, 500_000)])
    assert rows.verdict_1.tolist() == [INFERIOR, NOT_INFERIOR] and "claimed: up to 98.6 % fewer parameters" in text
    assert rows.loss[0] == pytest.approx(5, abs=0.1) and rows.loss_high[0] > rows.loss[0]


@pytest.mark.parametrize("label", [LABELS["simulated"], EXCERPTS])
def test_a_published_claim_gets_no_verdict_but_from_whole_recordings(tmp_path, four, label):
    table = compared(four, simulated=label.simulated)
    inputs = inputs_of(tmp_path, table, "non_inferiority", label)
    rows, text = rendered("marginal_loss", inputs, tmp_path)
    assert set(rows.verdict_1) == set(rows.verdict_2) == {NOT_TESTABLE} and f"({label.warning})" in text
    said = set(rendered("non_inferiority", inputs, tmp_path)[0].verdict_1)
    assert said == ({NO_VERDICT} if label.simulated else {INFERIOR, NOT_INFERIOR, NOT_DECIDABLE})


def test_where_nothing_was_run_to_compare_it_is_said(tmp_path, four):
    inputs = inputs_of(tmp_path, compared(four[:1]), "non_inferiority")
    assert non_inferiority.NO_PAIR in rendered("non_inferiority", inputs, tmp_path)[1]
    assert marginal_loss.NO_COMPARATOR in rendered("marginal_loss", inputs, tmp_path)[1]
    inputs = inputs_of(tmp_path, ranks_table(four[:1], {}), "ranks")
    assert ranks.NO_RANKS in rendered("ranks", inputs, tmp_path)[1]
    for name in ("non_inferiority", "ranks"):
        files = inputs_of(tmp_path, {"ranks": ranks_table([], {})}.get(name, compared([])), name)
        figure = style.drawn(figures()[name], figures()[name].build(files), files)
        assert not figure.axes and figure.texts[-1].get_text() in (non_inferiority.NO_PAIR + ranks.NO_RANKS)


@pytest.fixture(scope="module")
def many() -> list[ContenderStatistics]:
    """Twenty rivals on an input, and three on another."""
    generator = np.random.default_rng(0)
    titles = [ULW, UNCLEAR, *(f"Rival Network {i}" for i in range(19))]
    level = generator.normal(0.8, 0.04, 20)
    return [
        network(title, level + generator.normal(0.01 * generator.normal(), 0.03, 20), input=input)
        for input, some in (("four", titles), ("one", titles[:4]))
        for title in some
    ]


@pytest.mark.parametrize("name", ["non_inferiority", "ranks"])
@pytest.mark.parametrize("results", ["four", "many"])
def test_nothing_leaves_the_figure_nor_lies_on_something_else(tmp_path, name, results, request):
    results = request.getfixturevalue(results)
    table = compared(results) if name == "non_inferiority" else ranks_table(results, {})
    inputs = inputs_of(tmp_path, table, name)
    figure = style.drawn(figures()[name], figures()[name].build(inputs), inputs)
    with matplotlib.rc_context(style.STYLE):
        figure.draw_without_rendering()
    tight, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert tight.x0 > -0.01 and tight.y0 > -0.01 and tight.x1 < width + 0.01 and tight.y1 < height + 0.01
    for axes in figure.axes:
        low, high = sorted(axes.get_xlim())
        ticks = [tick for tick in axes.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
        texts = [*axes.texts, axes._left_title, *(label for tick in ticks for label in (tick.label1, tick.label2))]
        boxes = [text.get_window_extent() for text in texts if text.get_visible() and text.get_text()]
        # Lines of one column may touch, as their boxes are higher than their letters.
        overlaps = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.padded(-1.5).overlaps(b.padded(-1.5))]
        assert not overlaps
    assert min(text.get_fontsize() for text in figure.findobj(matplotlib.text.Text) if text.get_text()) >= 6


def test_the_figure_shows_bounds_margins_and_verdicts(tmp_path, four):
    table = compared(four)
    inputs = inputs_of(tmp_path, table, "non_inferiority")
    axes, beside = style.drawn(figures()["non_inferiority"], figures()["non_inferiority"].build(inputs), inputs).axes
    mine = table[(table.metric == "accuracy") & (table.margin == 0.01)].sort_values("difference", ascending=False)
    assert [label.get_text() for label in axes.get_yticklabels()] == mine.rival.tolist()
    drawn = [segment[:, 0] for lines in axes.collections for segment in lines.get_segments()]
    assert np.array(drawn) == pytest.approx(100 * mine[["low", "high"]].to_numpy(float))
    assert {-1.0, -2.0, 0.0} <= {line.get_xdata()[0] for line in axes.lines}
    said = [text.get_text() for text in beside.texts]
    assert said.count(NOT_INFERIOR) == said.count(INFERIOR) == said.count(NOT_DECIDABLE) == 2

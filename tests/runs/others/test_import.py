"""Import of others' predictions: what is scored, said and kept, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

from sleepbench.cli import app
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.files import sha256_of_file
from sleepbench.core.stages import STAGES
from sleepbench.runs.others.description import Description
from sleepbench.runs.others.importing import import_predictions
from sleepbench.runs.others.store import read_scores

HOME = Path("results/imported/theirs")
CODES = {name: code for code, name in enumerate(STAGES)}


def scores(home: Path = HOME) -> dict:
    return read_scores(home / "description.json")


def test_a_table_is_scored_and_kept_with_what_was_said_of_it(theirs):
    table = theirs.table()
    text = theirs.read(table)
    assert text.startswith("Others' predictions, scored here (SIMULATED data – not a result on Sleep-EDF)")
    assert "as stated: leave one subject out" in text and "all labels agree, no epoch is cut" in text
    assert "input     not stated" in text and "https://example.org/theirs" in text
    found = scores()
    assert found["pooled"]["accuracy"]["estimate"] == pytest.approx(accuracy_score(table.stage, table.predicted))
    assert found["pooled"]["cohen_kappa"]["estimate"] == pytest.approx(cohen_kappa_score(table.stage, table.predicted))
    f1 = f1_score(table.stage, table.predicted, average=None, labels=STAGES)
    assert [found["pooled"][f"f1_{name}"]["estimate"] for name in STAGES] == pytest.approx(f1)
    assert found["pooled"]["macro_f1"]["estimate"] == pytest.approx(f1.mean())
    low, estimate, high = (found["pooled"]["accuracy"][part] for part in ("low", "estimate", "high"))
    assert low < estimate < high and f"{100 * low:.2f} to {100 * high:.2f}" in text
    people = {one.id: one.subject for one in theirs.dataset.recordings()}
    of_subject = table[table.recording.map(people) == found["subjects"][0]["subject"]]
    assert found["subjects"][0]["accuracy"] == pytest.approx((of_subject.stage == of_subject.predicted).mean())
    assert found["calibration"] is None and found["against_hypnograms"] is None
    record = json.loads((HOME / "description.json").read_text())
    assert record["mark"] == "others' predictions, scored here" and record["simulated"] is True
    assert record["table"] == {"file": "theirs.csv", "sha256": sha256_of_file("theirs.csv")}
    kept = pd.read_parquet(HOME / "predictions.parquet")
    for id, stages in theirs.nights.items():  # by the index in the night, as our own predictions are
        mine = kept[kept.recording == id]
        assert (stages[mine.epoch] == mine.stage).all() and mine.epoch.min() > 0


def test_parquet_numbers_epochs_of_the_night_and_probabilities_give_the_same(theirs):
    theirs.read(theirs.table())
    first, kept = scores(), pd.read_parquet(HOME / "predictions.parquet")
    table = theirs.with_probabilities()
    table = table.assign(epoch=kept.epoch, **{name: table[name].map(CODES) for name in ("stage", "predicted")})
    shuffled = table.sample(frac=1, random_state=0).assign(fold=1)
    text = theirs.read(shuffled, "other.parquet", name="other", stages="numbers", epochs="night")
    second = scores(HOME.with_name("other"))
    assert {**second, "calibration": None} == first
    assert "column fold" in text and "expected calibration error" in text
    confidence = table[[f"p_{name}" for name in STAGES]].max(axis=1)
    bins = second["calibration"]["bins"]
    assert sum(one["n_epochs"] * (one["confidence"] or 0) for one in bins) == pytest.approx(confidence.sum())


def test_labels_that_differ_are_said_and_scored_as_they_are(theirs):
    table = theirs.table()
    moved, other, *_ = theirs.nights
    rows = np.flatnonzero(table.recording == moved)
    stages = table.stage.to_numpy().copy()
    stages[rows[:-1]] = table.stage.to_numpy()[rows[1:]]
    (at,) = np.flatnonzero((table.recording == other) & (table.epoch == 7))
    stages[at] = "REM"
    changed = table.assign(stage=stages)
    text = theirs.read(changed)
    differing = int((stages != table.stage).sum())
    assert f"{differing} of {len(table):,} labels DIFFER" in text
    assert f"{other}: 1 of {(table.recording == other).sum():,} labels differ, the first at epoch 7\n" in text
    assert f"{moved}: {differing - 1} of {rows.size:,} labels differ" in text
    assert text.count("agrees when moved by 1 epoch") == 1
    found = scores()
    assert found["pooled"]["accuracy"]["estimate"] == pytest.approx((stages == table.predicted).mean())
    assert found["against_hypnograms"]["accuracy"] == pytest.approx((table.stage == table.predicted).mean())


def test_cut_epochs_and_missing_recordings_are_said(theirs):
    table = theirs.table()
    first, *_, last = theirs.nights
    whole = (table.recording == first).sum()
    text = theirs.read(table[(table.recording != last) & ~((table.recording == first) & (table.epoch > whole - 10))])
    assert f"{first}: 9 of the {whole:,} epochs of the standard trimming are cut" in text
    assert f"8 recordings of simulated are not in the table: {last}, " in text


def test_epochs_outside_the_standard_trimming_are_said(theirs):
    id, stages = next(iter(theirs.nights.items()))
    epoch = np.flatnonzero(stages < 5)
    names = np.array(STAGES)[stages[epoch]]
    table = pd.DataFrame({"recording": id, "epoch": epoch, "stage": names, "predicted": names})
    text = theirs.read(table, epochs="night")
    assert "all labels agree, no epoch is cut" in text and "epochs are outside the standard trimming" in text


def test_predictions_beside_their_probabilities_are_said(theirs):
    table = theirs.with_probabilities()
    other = table.predicted.map(lambda name: STAGES[(CODES[name] + 1) % 5])
    text = theirs.read(table.assign(predicted=other.where(table.index < 3, table.predicted)))
    assert f"3 of {len(table):,} predicted stages are NOT that of the largest probability" in text
    assert scores()["calibration"]["not_the_likeliest"] == 3


def test_a_second_import_replaces_the_first_and_a_failed_one_leaves_it(theirs):
    table = theirs.table()
    theirs.read(table)
    before = scores()["n_epochs"]
    with pytest.raises(BenchmarkError):
        theirs.read(table.assign(stage="S2"))
    assert scores()["n_epochs"] == before
    assert "Replaced: results/imported/theirs" in theirs.read(table[table.epoch > 3])
    assert scores()["n_epochs"] < before
    assert [path.name for path in HOME.parent.iterdir()] == ["theirs"]
    assert {path.name for path in HOME.iterdir()} == {"description.json", "predictions.parquet", "scores.json"}


def test_changed_scores_are_not_taken_for_those_that_were_imported(theirs):
    theirs.read(theirs.table())
    (HOME / "scores.json").write_text("{}")
    with pytest.raises(BenchmarkError, match=r"scores\.json: was changed since .* import the table again"):
        scores()


def refused(theirs, table, **said) -> str:
    with pytest.raises(BenchmarkError) as error:
        theirs.read(table, **said)
    assert not Path("results/imported").exists()
    return str(error.value)


WRONG_TABLES = {
    "no_column": (lambda t: t.drop(columns="stage"), "lacks the column stage; its columns are recording, epoch, pred"),
    "empty": (lambda t: t[:0], "has no row, expected one for each epoch"),
    "unknown": (
        lambda t: t.assign(recording=t.recording.replace("SC4001", "SC4991")),
        "the recording is not one of simulated; it has SC4001 to SC4051, the nearest is SC4",
    ),
    "twice": (lambda t: pd.concat([t, t[:1]]), "the epoch is there more than once: 2 of "),
    "half_epoch": (lambda t: t.assign(epoch=t.epoch + 0.5), "the epoch is not a whole number from 0"),
    "beyond": (lambda t: t.assign(epoch=t.epoch + 999), "SC4001: epoch 1"),
    "old_names": (lambda t: t.assign(stage=t.stage.replace("N2", "S2")), "stage is not one of W, N1, N2, N3, REM"),
    "numbers": (
        lambda t: t.assign(predicted=t.predicted.map(CODES)),
        "(they are numbers: say `stages: numbers` in the description)",
    ),
    "no_stage": (lambda t: t.assign(predicted=t.predicted.where(t.epoch != 3)), "4 of "),
    "nan": (lambda t: t.assign(p_W=t.p_W.where(t.epoch != 3)), "a probability is no number within 0..1: 4 of "),
    "negative": (lambda t: t.assign(p_W=-0.1), "a probability is no number within 0..1"),
    "sum": (lambda t: t.assign(p_W=t.p_W / 2), "the probabilities do not add up to 1"),
    "four": (lambda t: t.drop(columns="p_REM"), "lacks the column p_REM (of the probabilities all five are needed"),
}


@pytest.mark.parametrize("case", WRONG_TABLES)
def test_a_wrong_table_is_refused_and_what_is_wrong_is_named(theirs, case):
    change, said = WRONG_TABLES[case]
    table = theirs.with_probabilities()
    assert said in refused(theirs, change(table)), case


def test_everything_wrong_with_a_table_is_said_at_once(theirs):
    table = theirs.table().assign(stage="?")
    table.loc[0, "epoch"] = -1
    said = refused(theirs, table)
    assert "found ?" in said and "the epoch is not a whole number from 0: 1 of" in said and "first is row 1" in said


def test_names_where_numbers_were_said(theirs):
    assert "say `stages: names`" in refused(theirs, theirs.table(), stages="numbers")


def test_a_hypnogram_that_is_not_at_hand_is_named(theirs):
    table = theirs.table()
    missing = theirs.dataset.recordings()[-1].id
    said = refused(theirs, table.assign(recording=table.recording.replace("SC4001", missing)))
    assert f"\n  {missing}: results/data/simulated/raw/{missing}" in said and "does not exist" in said
    assert "SC4002" not in said and "--hypnograms" in said


def test_a_prepared_hypnogram_that_was_changed_is_not_trusted(theirs):
    Path("results/data/simulated/prepared/SC4002.quality.json").write_text('{"hypnogram": [[0, 900], [2, 9]]}')
    assert "SC4002.quality.json: was changed since" in refused(theirs, theirs.table())


@pytest.mark.parametrize("name", ["theirs.parquet", "theirs.csv"])
def test_a_file_that_is_not_whole(theirs, name):
    path = theirs.write(theirs.table(), name)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + (b'\n"' if path.suffix == ".csv" else b""))
    with pytest.raises(BenchmarkError, match=rf"{name}: is not a whole {path.suffix} file"):
        import_predictions(theirs.config, path, None)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"licence": None, "source": None}, "source: the key 'source' is missing; add it"),
        ({"protocol": ""}, "protocol: found ''"),
        ({"source": "my desk"}, "found 'my desk', expected an address"),
        ({"name": "../mine"}, "found '../mine', expected letters, digits"),
        ({"epochs": "clock"}, "found 'clock'; the nearest known name is"),
        ({"licens": "MIT"}, "unknown key 'licens'; the nearest known name is 'licence'"),
        ({"dataset": "simulatd"}, "unknown dataset 'simulatd'; the nearest known name is 'simulated'"),
    ],
)
def test_a_wrong_description_is_refused(theirs, said, problem):
    assert problem in refused(theirs, theirs.table(), **said)


def test_the_description_on_the_page_is_one(theirs):
    page = (Path(__file__).parents[3] / "docs" / "others-predictions.md").read_text(encoding="utf-8")
    said = yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])
    assert list(said) == list(Description.model_fields)
    assert "Their Network" in theirs.read(theirs.table(), **{**said, "dataset": "simulated"})


def test_the_command_line(theirs, capsys, monkeypatch):
    path = theirs.write(theirs.table())
    monkeypatch.setattr("sleepbench.config.load.load", lambda: theirs.config)

    def command(*words: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            app.main(["results", "import", *words])
        return ended.value.code, "".join(capsys.readouterr())

    status, text = command(str(path))
    assert status == 0 and "Written: results/imported/theirs/" in text
    path.with_suffix(".yaml").rename("said.yaml")
    status, text = command(str(path))
    assert status == 1 and "theirs.yaml: not found; say there what the table is of (name, title, source" in text
    assert command(str(path), "--description", "said.yaml")[0] == 0
    assert "no such file" in command("theirs.parquet", "--description", "said.yaml")[1]
    assert (
        "a table of predictions is a file named .parquet or .csv" in command("a.npz", "--description", "said.yaml")[1]
    )
    status, text = command(str(path), "--description", "said.yaml", "--hypnograms", "nowhere")
    assert status == 1 and "SC4001: nowhere/" in text

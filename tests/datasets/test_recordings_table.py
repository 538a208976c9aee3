"""Tables of recordings: any ids, any files, whatever is known of people."""

from pathlib import Path

import pytest

from sleepbench.core.errors import BenchmarkError
from sleepbench.datasets.base import Recording, SourceFile
from sleepbench.datasets.recordings_table import first_subjects, read_recordings, write_recordings

PAIR = SourceFile("psg", "a.edf", "0" * 64), SourceFile("scoring", "a.csv", "1" * 64)


def test_recordings_come_back_in_order(tmp_path: Path) -> None:
    recordings = [
        Recording("SN001", "1", 1, PAIR, 33, "F", "young"),
        Recording("3f2b8c1e-5d1a", "eve", 2, PAIR, None, None, None),
        Recording("ST7011", "01", 10, PAIR, 80, "M", None),
    ]
    write_recordings(tmp_path / "table.csv", recordings)
    assert read_recordings(tmp_path / "table.csv") == sorted(recordings)
    header = (tmp_path / "table.csv").read_text().splitlines()[0]
    assert header == "id,subject,night,psg,psg_sha256,scoring,scoring_sha256,age,sex,group"


def test_sizes_of_files_come_back(tmp_path: Path) -> None:
    files = SourceFile("psg", "a.edf", "0" * 64, 48_338_048), SourceFile("scoring", "a.csv", "1" * 64)
    recordings = [Recording("a", "1", 1, files), Recording("b", "1", 2, PAIR)]
    write_recordings(tmp_path / "table.csv", recordings)
    header, first, second = (tmp_path / "table.csv").read_text().splitlines()
    assert header == "id,subject,night,psg,psg_sha256,psg_bytes,scoring,scoring_sha256"
    assert f",{'0' * 64},48338048," in first and f",{'0' * 64},," in second
    assert read_recordings(tmp_path / "table.csv") == recordings


def test_what_is_not_known_has_no_column_or_an_empty_cell(tmp_path: Path) -> None:
    recordings = [Recording("a", "1", 1, (SourceFile("array", "a.npz"),))]
    write_recordings(tmp_path / "table.csv", recordings)
    assert (tmp_path / "table.csv").read_text() == "id,subject,night,array,array_sha256\na,1,1,a.npz,\n"
    assert read_recordings(tmp_path / "table.csv") == recordings


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "the columns are \\[\\], expected id, subject, night"),
        ("id,subject\n", "expected id, subject, night"),
        ("id,subject,night,psg\n", "for each file its role and ROLE_sha256"),
        ("id,subject,night,psg_sha256\n", "for each file its role and ROLE_sha256"),
        ("id,subject,night,sexe\n", "if they are known ROLE_bytes, age, sex, group"),
        ("id,subject,night,psg_bytes\n", "for each file its role and ROLE_sha256"),
        ("id,subject,night,psg,psg_sha256,psg_bytes\na,1,1,a.edf,,many\n", "line 2: not a recording"),
        ("id,subject,night,psg,psg_sha256,psg_bytes\na,1,1,a.edf,,-1\n", "a file cannot have -1 bytes"),
        ("id,subject,night\na,1,first\n", "line 2: not a recording \\(invalid literal for int"),
        ("id,subject,night\na,1\n", "line 2: not a recording \\(it has not as many cells"),
        ("id,subject,night\na,1,1,1\n", "line 2: not a recording \\(it has not as many cells"),
        ("id,subject,night\n../a,1,1\n", "line 2: not a recording \\(its id cannot be the name of a file"),
        ("id,subject,night\n,1,1\n", "its id cannot be the name of a file"),
        ("id,subject,night,age\na,1,1,old\n", "line 2: not a recording"),
        ("id,subject,night\na,1,1\nb,1,2\na,2,1\n", "recordings listed more than once: a"),
    ],
)
def test_bad_tables(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(BenchmarkError, match=f"table.csv.*{message}"):
        read_recordings(tmp_path / "table.csv")


def test_no_table_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"table.csv: the table of recordings does not exist"):
        read_recordings(tmp_path / "table.csv")
    (tmp_path / "table.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(BenchmarkError, match=r"table.csv: the table of recordings cannot be read .*it is a UTF-8 CSV"):
        read_recordings(tmp_path / "table.csv")


def test_first_subjects_are_in_ascending_order() -> None:
    recordings = [Recording(f"r{i}", who, 1) for i, who in enumerate(["b", "a", "c", "a"])]
    assert [one.id for one in first_subjects(recordings, 2)] == ["r0", "r1", "r3"]
    assert first_subjects(recordings, None) == recordings
    with pytest.raises(BenchmarkError, match="4 subjects are asked for, but the table of recordings holds 3"):
        first_subjects(recordings, 4)

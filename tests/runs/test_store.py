import pytest

from sleepbench.runs.store import renew_store_mark


@pytest.fixture
def mark(tmp_path):
    """A mark for a store elsewhere."""
    path = tmp_path / "mark.json"
    renew_store_mark("http://elsewhere", path)
    return path


def renewed(mark, uri: str) -> bool:
    """Whether the mark's content changes: its time alone would not move Snakemake."""
    before = mark.read_bytes()
    renew_store_mark(uri, mark)
    return mark.read_bytes() != before


def test_mark_is_kept_while_the_store_is_there(mark, tmp_path):
    assert not renewed(mark, "http://elsewhere")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    (tmp_path / "mlflow.db").write_bytes(b"")
    assert renewed(mark, uri)  # another store than before
    assert not renewed(mark, uri)


def test_mark_is_renewed_when_the_store_is_gone(mark, tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert renewed(mark, uri)
    assert renewed(mark, uri)

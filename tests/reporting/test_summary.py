"""The summary says which data it is of, and what every protocol does to the recordings."""

from pathlib import Path

from sleepbench.datasets.base import DataLabel
from sleepbench.reporting.page.summary import audit_sentence, write_summary

AUDIT = {
    "protocol": "released",
    "recordings_used": [f"R{n}" for n in range(10)],
    "recordings_dropped": ["R10"],
    "test_recordings_whose_subject_trains": 2,
    "share_of_test_recordings_whose_subject_trains": 0.2,
}


def test_sentence_of_a_protocol():
    assert audit_sentence(AUDIT) == (
        "released: 10 of 11 recordings tested (dropped: R10); the subject of 2 of 10 test recordings (20%) is also in "
        "training"
    )


def test_summary_names_the_data_and_links_to_figures(tmp_path):
    table = tmp_path / "tables" / "one.md"
    table.parent.mkdir()
    table.write_text("## One\n\n| a |\n\n")
    label = DataLabel("simulated", "simulated", "SIMULATED data", simulated=True)
    figures = [Path(tmp_path, "figures", "one.png")]
    write_summary(label, [AUDIT], [table], figures, tmp_path / "summary.md", ["Input four: no."])
    text = (tmp_path / "summary.md").read_text()
    assert text.startswith("# Summary (SIMULATED data)\n\n- released: 10 of 11")
    assert "Not trained. Input four: no." in text and "## One\n\n| a |" in text
    assert text.rstrip().endswith("- [one.png](figures/one.png)")

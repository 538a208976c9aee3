"""The data card is what the code makes of the committed tables."""

import re

from data_card import AGE_GROUPS, CARD, card

from sleepbench.datasets.recordings_table import first_subjects, read_recordings
from sleepbench.datasets.sleep_edf_cassette import OFFICIAL_TABLE


def test_the_committed_card_is_up_to_date() -> None:
    assert CARD.read_text(encoding="utf-8") == card(), "make it again: python tools/data_card.py"


def test_what_the_card_says_of_people_is_so() -> None:
    recordings = read_recordings(OFFICIAL_TABLE)
    assert all(sum(low <= recording.age <= high for low, high in AGE_GROUPS) == 1 for recording in recordings)
    assert max(recording.age for recording in first_subjects(recordings, 20)) < 35  # "all young"
    of_subject = {(recording.subject, recording.age, recording.sex) for recording in recordings}
    assert len(of_subject) == 78  # a subject's nights agree in age and sex


def test_lines_of_text_fit_and_links_are_relative() -> None:
    lines = card().splitlines()
    assert all(len(line) <= 118 for line in lines if not line.startswith("|"))
    assert re.findall(r"\]\((?!https?:)([^)]+)\)", card()) == ["hostile-edf.md"]

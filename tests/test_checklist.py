"""The page of TRIPOD+AI has every item of the checklist once, and says where each is answered."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs/tripod-ai.md"
PARTS = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef", 20: "abc", 23: "ab", 27: "abc"}
"""Items that have parts, of 27 (BMJ 2024;385:e078378, table 2)."""
FOR_DEVELOPMENT = {"9a", "12a", "12b", "12c", "15", "22", "27a", "27b"}
FOR_EVALUATION = {"12f", "12g", "20c", "24"}


def test_all_52_items_are_there_with_what_they_are_asked_of():
    rows = re.findall(r"^\| (\d+[a-g]?)(, [DE])? \| (.+?) \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    expected = [f"{item}{part}" for item in range(1, 28) for part in PARTS.get(item, [""])]
    assert [row[0] for row in rows] == expected and len(expected) == 52
    assert {row[0] for row in rows if row[1] == ", D"} == FOR_DEVELOPMENT
    assert {row[0] for row in rows if row[1] == ", E"} == FOR_EVALUATION
    assert all(len(row[3]) > 3 for row in rows)

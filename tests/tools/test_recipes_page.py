"""The page of recipes is what the code makes of the published recipes and the configuration."""

import re

from recipes_page import PAGE, ROOT, WIDTH, page


def test_the_committed_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "make it again: python tools/recipes_page.py"


def test_lines_of_text_fit_and_links_lead_somewhere() -> None:
    text = page()
    assert all(len(line) <= WIDTH for line in text.splitlines() if not re.match(r"\||\d+\. ", line))
    links = re.findall(r"\]\((?!https?:)([^)]+)\)", text)
    assert links and all((PAGE.parent / link).resolve().is_relative_to(ROOT) for link in links)
    assert all((PAGE.parent / link).exists() for link in links)


def test_every_source_is_numbered_in_its_section() -> None:
    for section in page().split("\n## ")[1:]:
        used = set(re.findall(r"\| (\d+) \|$", section, flags=re.MULTILINE))
        assert used and used == set(re.findall(r"^(\d+)\. ", section, flags=re.MULTILINE))

"""The pages as a site: all are in the contents, links lead somewhere, and nothing is asked of a network."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
REQUESTED = {"src", "srcset", "poster", "data"}
"""Attributes of HTML by which a page asks for a file; a link that is not followed asks for nothing."""


def build(source: Path, target: Path) -> subprocess.CompletedProcess:
    """Make the site as `make docs` does."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", ".", str(target)]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess]:
    site = tmp_path_factory.mktemp("site")
    return site, build(ROOT, site)


class Page(HTMLParser):
    """The links of a page, what it asks for, and its anchors."""

    def __init__(self, path: Path):
        super().__init__()
        self.links: list[str] = []
        self.requests: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attrs if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        self.requests += [given[name] for name in REQUESTED if name in given]
        if "href" in given:
            (self.links if tag == "a" else self.requests).append(given["href"])


def test_the_site_is_made_without_a_warning(built) -> None:
    site, result = built
    assert (result.returncode, result.stderr) == (0, "")
    assert "url=README.html" in (site / "index.html").read_text(encoding="utf-8")
    assert (site / "README.html").exists() and (site / "docs/running.html").exists()


def test_every_link_leads_to_a_file_and_an_anchor_that_are_there(built) -> None:
    site, _ = built
    pages = {path: Page(path) for path in site.rglob("*.html")}
    followed = 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_relative_to(site.resolve()) and target.exists(), f"{path}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, f"{path}: {link}"
            followed += 1
    assert followed > 500


def test_nothing_is_asked_of_a_network(built) -> None:
    site, _ = built
    asked = [request for path in site.rglob("*.html") for request in Page(path).requests]
    assert asked and [request for request in asked if re.match(r"(https?:)?//", request)] == []
    for path in site.rglob("*.css"):
        assert not re.search(r"(url\(\s*[\"']?|@import\s+[\"'])(https?:)?//", path.read_text(encoding="utf-8")), path


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome on this machine")
def test_search_works_in_a_browser_that_opens_files(built) -> None:
    site, _ = built
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000", "--dump-dom"]
    page = f"file://{site}/search.html?q=bootstrap"
    shown = subprocess.run([*command, page], capture_output=True, text=True, check=True).stdout
    found = re.findall(r'<li class="kind-text"><a href="([^"]+)"', shown)
    assert "docs/protocols.html" in {link.partition("?")[0] for link in found}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A project of two pages and the site's settings."""
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs/conf.py", tmp_path / "docs")
    (tmp_path / "config.yaml").write_text("run:\n")
    (tmp_path / "README.md").write_text("# Front\n\nTo [running](docs/running.md#a-part).\n")
    (tmp_path / "docs/running.md").write_text("# Running\n\n## A part\n\nOf [it](../config.yaml).\n")
    return tmp_path


def test_a_small_site_is_right(small: Path, tmp_path: Path) -> None:
    result = build(small, tmp_path / "site")
    assert (result.returncode, result.stderr) == (0, "")
    assert next((tmp_path / "site/_downloads").rglob("config.yaml")).read_text() == "run:\n"


def test_what_is_wrong_is_an_error(small: Path, tmp_path: Path) -> None:
    """A page, an anchor, a file and a picture that are not there; a directory; and a page that no group has."""
    links = "[a](nowhere.md) [b](../README.md#gone) [c](../nothing.yaml) ![d](none.png) [e](../docs)"
    with (small / "docs/running.md").open("a") as file:
        file.write(f"\n{links}\n")
    (small / "docs/lost.md").write_text("# A page of its own\n")
    result = build(small, tmp_path / "site")
    assert result.returncode == 1
    warnings = [line for line in result.stderr.splitlines() if "WARNING: " in line]
    for said in (
        "'nowhere.md'",
        "'gone'",
        "'../nothing.yaml'",
        "none.png",
        "'../docs'",
        "isn't included in any toctree",
    ):
        assert len([line for line in warnings if said in line]) == 1, (said, warnings)
    assert len(warnings) == 6

"""How the documentation becomes pages that open offline: `make docs`.

Its source is the repository itself, so that README.md is the front page and a link means here what it means in the
repository. What a page links to and is none, such as config.yaml, is copied into the site.
"""

from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
CONTENTS = {
    "Start": ["docs/running", "docs/real-eeg", "results/README", "config/README"],
    "Machines": ["docs/gpu", "docs/cluster", "docs/mlflow-server"],
    "Use": ["docs/scoring"],
    "Protocols": ["docs/protocols", "docs/cross-database"],
    "Data": ["docs/data", "docs/data-card", "docs/hostile-edf", "docs/databases/*", "workflow/resources/*/README"],
    "Rivals": ["docs/rivals", "docs/recipes", "docs/others-predictions", "docs/results-site", "tools/parity/README"],
    "Statistics": ["docs/statistics"],
    "Speed": ["docs/speed", "docs/deployment"],
    "Reliability": ["docs/reliability"],
    "Elsewhere": ["docs/containers", "docs/large-studies"],
    "Publishing": ["docs/publishing", "REPRODUCE", "docs/tripod-ai"],
    "Extending": ["docs/structure", "docs/extending", "docs/adding-a-*"],
}
"""The pages by group, each a pattern; a page that none of them has is an error."""

project = "sleepbench"
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = [
    "README.md",
    "REPRODUCE.md",
    "config/README.md",
    "docs/**.md",
    "results/README.md",
    "tools/*/README.md",
    "workflow/resources/*/README.md",
]
exclude_patterns = ["docs/_build", "results/[!R]*", "tests", ".*"]
myst_heading_anchors = 3
highlight_language = "text"

html_theme = "furo"
html_title = "sleepbench"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_search_summary = False  # a page that was opened from a file cannot read others


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the contents, which the sidebar shows, behind the front page."""
    if page != root_doc:
        return
    for group, patterns in CONTENTS.items():
        files = [path for pattern in patterns for path in sorted(ROOT.glob(f"{pattern}.md"))]
        names = [path.relative_to(ROOT).with_suffix("").as_posix() for path in files]
        source[0] += "\n".join(["\n```{toctree}", ":hidden:", f":caption: {group}", "", *names, "```\n"])


def add_entrance(app: Sphinx, failed: Exception | None) -> None:
    """Let the usual name of a site's first page lead to the front page."""
    if failed:
        return
    entrance = f'<!doctype html><meta http-equiv="refresh" content="0; url={root_doc}.html"><title>{project}</title>\n'
    Path(app.outdir, "index.html").write_text(entrance, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Sphinx calls this."""
    app.add_lexer("csv", TextLexer)  # of which Pygments knows nothing
    app.connect("source-read", add_contents)
    app.connect("build-finished", add_entrance)

"""One look for every figure: journal widths, colour-blind-safe colours, reproducible files."""

import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib.style
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from sleepbench.core.files import replacing
from sleepbench.reporting.artefacts import FigureArtefact, Inputs

COLUMN_WIDTH = 3.5
PAGE_WIDTH = 7.2
"""Widths of one and of two journal columns, in inches."""

# Okabe and Ito's palette.
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    *("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"),
)
GREY = "#767676"
NETWORK_COLOURS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)
"""Of contenders, in the order in which a figure has them."""
STAGE_COLOURS = {"W": YELLOW, "N1": GREEN, "N2": SKY, "N3": BLUE, "REM": VERMILION}
PART_COLOURS = {"train": BLACK, "validation": ORANGE, "test": BLUE}

SMALL = 6.5
"""Size of print, in points, for what is written within panels and of small ones."""

STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "figure.titlesize": 9,
    "legend.fontsize": 8,
    "legend.columnspacing": 1.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1,
    "pdf.fonttype": 42,  # fonts are embedded and text stays text, which journals ask for
    "savefig.dpi": 200,
}


def styled() -> AbstractContextManager[None]:
    """The one look: matplotlib's own defaults and STYLE, whatever a user's matplotlibrc says."""
    return matplotlib.style.context(["default", STYLE])


def make_figure(
    artefact: FigureArtefact,
    inputs: Inputs,
    png: str | Path,
    pdf: str | Path,
    csv: str | Path,
    titles: bool = True,
) -> None:
    """Write a figure as PNG and PDF, and the numbers behind it as CSV.

    The last column of the CSV, `simulated`, says in every row whether the numbers are of simulated data. Without titles
    a warning is left of the title, where the data have one; the files name the title in any case.
    """
    numbers = artefact.build(inputs)
    figure = drawn(artefact, numbers, inputs)
    if not titles:
        with styled():
            take_title(figure, inputs.label.warning)
    save(figure, png, pdf)
    with replacing(csv) as temporary:
        numbers.assign(simulated=inputs.label.simulated).to_csv(temporary, index=False)


def drawn(artefact: FigureArtefact, numbers: pd.DataFrame, inputs: Inputs) -> Figure:
    """The figure of these numbers in the one style."""
    with styled():
        return artefact.draw(numbers, inputs)


def new_figure(width: float, height: float, title: str) -> Figure:
    """An empty figure, sizes in inches, with a title whose lines are wrapped to its width."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(_wrapped(title, width))
    figure.set_label(" ".join(title.split()))
    return figure


def take_title(figure: Figure, warning: str) -> None:
    """Take a figure's title and the room it had; what is said of its data where they have a warning stays."""
    lines = figure.get_suptitle().count("\n") + 1
    width, height = figure.get_size_inches()
    said = _wrapped(f"({warning})", width) if warning else ""
    figure.suptitle(said).set_in_layout(bool(said))
    gone = lines - (said.count("\n") + 1 if said else 0)
    figure.set_figheight(height - gone * 1.2 * STYLE["figure.titlesize"] / 72)


def _wrapped(title: str, width: float) -> str:
    """A title in lines that fit into a width in inches."""
    return "\n".join(textwrap.fill(line, int(width * 14)) for line in title.splitlines())


def heading(inputs: Inputs, text: str) -> str:
    """A figure's title that says which data it is of, a warning on a line of its own."""
    label = inputs.label
    return f"{text}\n({label.warning})" if label.warning else label.title(text)


def figure_of_nothing(title: str, reason: str) -> Figure:
    """A figure that says why nothing is drawn."""
    figure = new_figure(PAGE_WIDTH, 1, title)
    figure.text(0.5, 0.4, reason, ha="center")
    return figure


def key_below(figure: Figure, handles: Sequence[Artist], n_columns: int | None = None) -> None:
    """A key under everything else, in one row unless told otherwise."""
    figure.legend(handles=handles, loc="outside lower center", ncols=n_columns or len(handles))


def save(figure: Figure, png: str | Path, pdf: str | Path) -> None:
    """Write a figure as PNG (200 dpi) and PDF; the same figure gives the same bytes.

    Both name the title that the figure was made with.
    """
    said = {"Title": figure.get_label()}
    with styled():
        figure.set_dpi(STYLE["savefig.dpi"])
        canvas = FigureCanvasAgg(figure)
        # Places are found once, and the canvases print: savefig would draw all of it twice, the first time to place it.
        if figure.axes:
            figure.get_layout_engine().execute(figure)
        figure.set_layout_engine("none")
        with replacing(png) as temporary:
            canvas.print_png(temporary, metadata=said)
        with replacing(pdf) as temporary:
            FigureCanvasPdf(figure).print_pdf(temporary, metadata={**said, "CreationDate": None})

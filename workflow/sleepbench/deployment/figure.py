"""The figure of a scored night: hypnogram, with that of a scorer under it where there is one, and hypnodensity."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from sleepbench.core.stages import EPOCH_SECONDS, STAGES
from sleepbench.deployment.scorer import Scoring
from sleepbench.reporting.figures.night import ORDER, draw_disagreement, draw_hypnogram, draw_probabilities
from sleepbench.reporting.figures.style import BLACK, PAGE_WIDTH, STAGE_COLOURS, key_below, new_figure, styled


def night_figure(night: Scoring) -> Figure:
    """The figure, whose title says what the model was trained on where a reader must know."""
    table = epoch_table(night)
    compared = night.scored is not None
    ratios = [1, *([0.12, 1] if compared else []), 0.8]
    with styled():
        warning = f"\n({night.description.warning})" if night.description.warning else ""
        title = f"{night.recording.path.name}, scored by {night.description.title}{warning}"
        figure = new_figure(PAGE_WIDTH, 1.2 + 1.1 * sum(ratios), title)
        rows = figure.subplots(len(ratios), sharex=True, height_ratios=ratios)
        draw_hypnogram(rows[0], table, "predicted")
        rows[0].set_title(f"automatic{', smoothed' if night.smoothed else ''}", loc="left")
        key = [Patch(color=STAGE_COLOURS[stage], label=stage) for stage in ORDER]
        if compared and len(known := table[table.stage < len(STAGES)]):
            draw_disagreement(rows[1], known)
            draw_hypnogram(rows[2], known, "stage")
            rows[2].set_title(f"hypnogram of the scorer: the same stage in {agreed(night)}", loc="left")
            key.append(Patch(color=BLACK, label="another stage than the scorer's"))
        draw_probabilities(rows[-1], table)
        rows[-1].set_xlabel(f"hours since {night.recording.start:%d.%m.%Y %H:%M:%S}, the start of the recording")
        rows[-1].set_xlim(0, len(table) * EPOCH_SECONDS / 3600)
        key_below(figure, key)
    return figure


def agreed(night: Scoring) -> str:
    """In how many epochs the stages are those of the hypnogram."""
    n = int(night.confusion.sum())
    return f"{100 * night.agreement['accuracy']:.1f} % of {n:,} epochs" if n else "no epoch, as none is scored"


def epoch_table(night: Scoring) -> pd.DataFrame:
    """Epochs as the figures of reporting take them: epoch, hours, predicted, p_W to p_REM, and stage where compared."""
    n = len(night.stages)
    table = pd.DataFrame({"epoch": range(n), "hours": [i * EPOCH_SECONDS / 3600 for i in range(n)]})
    table["predicted"] = night.stages
    if night.scored is not None:
        table["stage"] = night.scored
    return table.assign(**{f"p_{name}": night.probabilities[:, i] for i, name in enumerate(STAGES)})

"""The model card of a bundle: what it is for, what it was trained on, how well it does on whom, and its limits.

After Mitchell et al., Model Cards for Model Reporting, FAT* 2019, https://doi.org/10.1145/3287560.3287596.
"""

from sleepbench.deployment.description import Description
from sleepbench.reporting.rendering import pipe_table, shown
from sleepbench.reporting.tables.groups import SHOWN


def model_card(told: Description) -> str:
    """The card as Markdown; every number is the bundle's own."""
    return "\n\n".join([f"# {told.data.label.title(told.title)}", *(f"{text}" for text in _parts(told))]) + "\n"


def _parts(told: Description) -> list[str]:
    metrics, data = told.metrics, told.data
    who = "made-up people" if data.kind == "simulated" else "people"
    tested_on = f"{metrics.n_epochs:,} epochs of {metrics.n_subjects} {who}"
    parts = [
        f"{told.what}, {told.trained_on}.",
        "## Use",
        told.intended_use,
        "## Input",
        f"{told.samples_per_epoch / told.sampling_rate:g} s of each {told.epoch_seconds}-s epoch, at "
        f"{told.sampling_rate} Hz, in microvolts, of {channels(told)}.",
        "## Training",
        "\n".join(
            f"- fold {fold.fold} of {fold.n_folds}, seed {fold.seed}: training epoch {fold.training_epoch} by the rule "
            f"{fold.selection}; trained on subjects {', '.join(fold.training_subjects)}; validation "
            f"{', '.join(fold.validation_subjects) or 'none'}; run {fold.run_key}, commit {fold.git_commit}, code "
            f"{fold.code_sha256[:12]}"
            for fold in told.folds
        ),
        f"Recipe {told.recipe}; protocols that evaluate so: {', '.join(told.protocols) or 'none that is configured'}.",
        f"## {data.label.title('Metrics')}",
        f"On {tested_on}, each in the test fold of its member: accuracy {shown(metrics.accuracy, '.3f')}, balanced "
        f"accuracy {shown(metrics.balanced_accuracy, '.3f')}, macro-F1 {shown(metrics.macro_f1, '.3f')}, Cohen's "
        f"kappa {shown(metrics.cohen_kappa, '.3f')}.",
        _by_stage(told),
    ]
    return [
        *parts,
        *([_by_group(told)] if metrics.by_group else []),
        "## Limits",
        "\n".join(f"- {limit}" for limit in told.limits),
        "## Licence",
        f"{told.licence}. Trained on data under {data.licence}. Cite: {told.paper}; {data.citation}.",
    ]


def channels(told: Description) -> str:
    """The channels in words, roles behind their labels."""
    return ", ".join(f"{label} ({role})" for role, label in told.montage.items())


def _by_stage(told: Description) -> str:
    rows = [
        [name, f"{one.n_epochs:,}", *(shown(value, ".3f") for value in (one.f1, one.precision, one.recall))]
        for name, one in told.metrics.by_stage.items()
    ]
    return pipe_table(["Stage", "Epochs", "F1", "Precision", "Recall"], rows, [False, *[True] * 4])


def _by_group(told: Description) -> str:
    rows = [
        [
            f"{one.grouping}: {SHOWN.get(one.group, one.group)}",
            *(f"{one.n_subjects}", f"{one.n_epochs:,}"),
            *(shown(value, ".3f") for value in (one.accuracy, one.macro_f1, one.cohen_kappa)),
        ]
        for one in told.metrics.by_group
    ]
    return pipe_table(["Group", "People", "Epochs", "Accuracy", "Macro-F1", "Kappa"], rows, [False, *[True] * 5])

"""The data card, docs/data-card.md: what the data is, what is done to it, and what was checked.

python tools/data_card.py writes it; its numbers are computed from the committed tables.
"""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

from sleepbench.core.files import write_text
from sleepbench.core.stages import STAGES
from sleepbench.datasets.base import KnownTotal, Recording
from sleepbench.datasets.known_epochs import read_known_epochs, read_known_totals
from sleepbench.datasets.recordings_table import first_subjects, read_recordings
from sleepbench.datasets.sleep_edf_cassette import KNOWN_EPOCHS, KNOWN_TOTALS, OFFICIAL_TABLE, SleepEdfCassette
from sleepbench.evaluation.human_agreement import CONVENTIONS, SLEEPERS, SOURCE, agreement, read_scorings
from sleepbench.simulation.recorder import CHANNELS

CARD = Path(__file__).parents[1] / "docs" / "data-card.md"
SCORINGS = Path(__file__).parents[1] / "workflow" / "resources" / "human_scorings" / "scorings.csv"
WIDTH = 118
DATASETS = {"Sleep-EDF-20": 20, "Sleep-EDF-78": None}
"""Name and number of subjects, in ascending order; None for all."""
AGE_GROUPS = ((25, 34), (35, 49), (50, 64), (65, 79), (80, 101))


def table(headings: Sequence[str], rows: Sequence[Sequence[object]], left: int = 1) -> str:
    """A Markdown table, its columns padded; all but the first `left` columns are aligned to the right."""
    cells = [list(headings), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * width if i < left else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines = [
        " | ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in (cells[0], rule, *cells[1:])
    ]
    return "\n".join(f"| {line} |" for line in lines)


def paragraph(text: str) -> str:
    """Running text, wrapped."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def points(texts: Sequence[str]) -> str:
    """A list, wrapped."""
    return "\n".join(
        textwrap.fill(
            " ".join(text.split()),
            WIDTH,
            initial_indent="- ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for text in texts
    )


def people_of(recordings: Sequence[Recording]) -> dict[str, Recording]:
    """One recording of each subject, which has their age and sex."""
    return {recording.subject: recording for recording in sorted(recordings, reverse=True)}


def population(recordings: list[Recording]) -> str:
    """Subjects, nights, age and sex of both datasets."""
    rows = []
    for name, subjects in DATASETS.items():
        chosen = first_subjects(recordings, subjects)
        people = people_of(chosen).values()
        ages = [person.age for person in people]
        women = sum(person.sex == "F" for person in people)
        single = len(people) * 2 - len(chosen)
        rows.append(
            (
                name,
                len(people),
                len(chosen),
                single,
                f"{mean(ages):.2f}",
                f"{median(ages):g}",
                f"{min(ages)} to {max(ages)}",
                women,
                len(ages) - women,
            )
        )
    headings = ("", "subjects", "nights", "with one night", "mean age", "median", "range", "women", "men")
    return table(headings, rows)


def age_groups(recordings: list[Recording]) -> str:
    """Subjects and nights of both datasets by age group and sex."""
    rows = []
    for low, high in AGE_GROUPS:
        row: list[object] = [f"{low} to {high}"]
        for subjects in DATASETS.values():
            inside = [recording for recording in first_subjects(recordings, subjects) if low <= recording.age <= high]
            people = people_of(inside).values()
            women = sum(person.sex == "F" for person in people)
            row += [women, len(people) - women, len(inside)]
        rows.append(row)
    return table(
        ("age", *(f"{name}: women" if i == 0 else ("men", "nights")[i - 1] for name in DATASETS for i in range(3))),
        rows,
    )


def signals() -> str:
    """The channels of a PSG, as the header of SC4001E0-PSG.edf has them."""
    rows = [
        (
            channel.label,
            channel.sampling_frequency,
            channel.physical_dimension or "–",
            f"{channel.physical_range[0]} to {channel.physical_range[1]}",
            channel.prefiltering or "–",
        )
        for channel in CHANNELS
    ]
    return table(("channel", "Hz", "unit", "physical range", "filters, as the header names them"), rows, left=5)


def totals(known: list[KnownTotal]) -> str:
    """The known totals, with the share of each stage."""
    rows = []
    for number, total in enumerate(known, start=1):
        epochs = sum(total.counts)
        shares = [f"{count:,} ({100 * count / epochs:.1f} %)" for count in total.counts]
        name = f"{total.dataset}, {total.number}"
        rows.append((name, total.trimming, f"{epochs:,} [{number}]", *shares))
    body = table(("dataset, recordings", "trimming", "epochs", *STAGES), rows, left=2)
    notes = [
        f"{number}. {total.first} to {total.last}. Source: {total.source}. Verified: {total.verified}."
        for number, total in enumerate(known, start=1)
    ]
    wrapped = [textwrap.fill(" ".join(note.split()), WIDTH, subsequent_indent="   ") for note in notes]
    return body + "\n\n" + "\n".join(wrapped)


def counted_here() -> str:
    """What the table of known epochs adds up to."""
    known = read_known_epochs(KNOWN_EPOCHS)
    nights = {
        name: [sum(counts) for (_, trimming), counts in known.items() if trimming == name]
        for name in SleepEdfCassette.trimmings
    }
    return paragraph(
        f"By recording, `workflow/resources/known_epochs.csv` has what was counted here on real hypnograms: "
        f"{len(nights['standard'])} recordings after the standard trimming (from {min(nights['standard']):,} to "
        f"{max(nights['standard']):,} epochs a night, {sum(nights['standard']):,} in all) and the first "
        f"{len(nights['authors'])} of them after the authors' ({min(nights['authors']):,} to "
        f"{max(nights['authors']):,}, {sum(nights['authors']):,} in all). Before anything is trained, prepared "
        "recordings are checked against all of these numbers, recording by recording where they are known; a "
        "difference stops the run. Where nothing is known, the run's `totals` file says so."
    )


def other_database() -> list[str]:
    """The scorings of the Dreem Open Datasets, and how far their scorers agree."""
    found = agreement(read_scorings(SCORINGS))
    rows = []
    for row in found.to_dict("records"):
        sd = f" ± {row['accuracy_sd']:.1f}" if row["accuracy_sd"] > 0 else ""
        numbers = (
            f"{row['n_nights']}",
            f"{row['n_epochs']:,}",
            f"{row['accuracy']:.1f}{sd}",
            f"{row['cohen_kappa']:.3f}",
        )
        rows.append((f"{row['database']}, {SLEEPERS[row['database']]}", row["convention"], *numbers))
    n_nights = found.drop_duplicates("database").n_nights.sum()
    return [
        paragraph(
            "`workflow/resources/human_scorings/` has scorings of two other databases: the stages that five "
            f"scorers gave to {n_nights} nights of the Dreem Open Datasets, without any signal. Source: {SOURCE}; "
            "licence MIT, beside it. Each row has the SHA-256 of the file that it was made from; `python "
            "tools/human_scorings.py CHECKOUT` makes it again. Accuracy in percent and Cohen's kappa:"
        ),
        table(("database", "convention", "nights", "epochs", "accuracy", "kappa"), rows, left=2),
        points([f"**{name}**: {said}." for name, said in CONVENTIONS.items()]),
    ]


def card() -> str:
    """The text of the data card."""
    recordings = read_recordings(OFFICIAL_TABLE)
    people = people_of(recordings)
    nights = {subject: [recording.id for recording in recordings if recording.subject == subject] for subject in people}
    single = ", ".join(f"{subject} ({ids[0]})" for subject, ids in sorted(nights.items()) if len(ids) == 1)
    known = read_known_epochs(KNOWN_EPOCHS)
    outlasting = {rule: sum(known["SC4012", rule]) for rule in SleepEdfCassette.trimmings}
    absent = ", ".join(f"{n:02d}" for n in range(int(max(people)) + 1) if f"{n:02d}" not in people)
    parts = [
        "# Data card: Sleep-EDF Expanded, sleep-cassette recordings",
        "<!-- Made by `python tools/data_card.py`; edit tools/data_card.py instead. -->",
        "## Source",
        points(
            [
                "Sleep-EDF Database Expanded, **version 1.0.0**, of which the `sleep-cassette` part is used: "
                "<https://physionet.org/content/sleep-edfx/1.0.0/>, mirrored at "
                "<https://physionet-open.s3.amazonaws.com/sleep-edfx/1.0.0/>. 8.1 GB in all; a night is about 48 MB.",
                "**Licence**: Open Data Commons Attribution License, ODC-By 1.0. Whoever passes on the data or what is "
                "made of it names the source.",
                "**Attribution**: B. Kemp et al., IEEE Trans. Biomed. Eng. 47(9):1185-1194 (2000); A. L. Goldberger "
                "et al., Circulation 101(23) (2000).",
                "None of its files are in this repository, only tables made from them (`workflow/resources/`): file "
                "names, official SHA-256 sums, ages and sexes, counts of epochs, summary statistics.",
            ]
        ),
        "## Population",
        paragraph(
            f"{len(people)} subjects, {len(recordings)} nights: subjects are numbered {min(people)} to {max(people)} "
            f"without {absent}, with two nights each, but for {single}. **Sleep-EDF-20** is subjects 00 to 19, "
            "**Sleep-EDF-78** is all. Age in years, sex as the data set's own table of subjects has it."
        ),
        population(recordings),
        paragraph(
            "Subjects and nights by age. The first twenty subjects are all young: results on Sleep-EDF-20 say nothing "
            "about older sleepers."
        ),
        age_groups(recordings),
        "## Files and signals",
        points(
            [
                "`SC4ssNE0-PSG.edf`: the signals of night N of subject ss. `SC4ssNEx-Hypnogram.edf`: its scoring, "
                "where x is a letter for the scorer. The two are paired by their first six characters, which name the "
                "recording.",
                "A PSG is plain EDF, about a day long, with seven channels in data records of 30 s. A hypnogram is "
                "EDF+ with annotations only; it covers 24 h, longer than the signal, and its tail is `Sleep stage ?`.",
                "Scoring is by Rechtschaffen and Kales in 30-s epochs: `Sleep stage W`, `1`, `2`, `3`, `4`, `R`, "
                "`Movement time` and `Sleep stage ?`.",
            ]
        ),
        paragraph("The channels, from the header of SC4001E0-PSG.edf; other recordings may differ in their ranges:"),
        signals(),
        paragraph(
            "The EMG at 1 Hz is an envelope: rectified, then low-passed by the recorder. It is no muscle activity "
            "waveform."
        ),
        "## Decisions of the preparation",
        points(
            [
                "**Files**: every file's SHA-256 is compared with the official one before it is read, each time. "
                "PSG and hypnogram must share their first six characters and their start time. Epochs are placed by "
                "seconds from the start of the PSG, never by data record.",
                "**Stages**: W, N1 (stage 1), N2 (stage 2), N3 (stages 3 and 4), REM. Movement time and unknown epochs "
                "are never trained or tested on.",
                "**Scoring and signal of different lengths**: a hypnogram that outlasts the signal is cut to it; a "
                "signal that outlasts its hypnogram is unknown there. Seconds at the end that fill no epoch are left "
                "out.",
                "**The standard trimming** (DeepSleepNet and its successors): movement and unknown epochs are removed; "
                "then, counted in what remains, all is kept from 60 epochs before the first epoch of sleep (N1, N2, "
                "N3, REM) to 60 epochs after the last.",
                "**The authors' trimming** (the released ULW-SleepNet program): all is kept from 60 epochs before the "
                "first to 60 epochs after the last epoch that is not W, where movement and unknown count as not W; "
                "then movement and unknown are removed. Where the signal outlasts the scoring this keeps long "
                "stretches of wake.",
                "Epochs that either trimming keeps are prepared; a protocol chooses. A night without sleep is refused.",
                "**Channels** are those of the montage (EEG Fpz-Cz, EEG Pz-Oz, EOG horizontal, EMG submental, as eeg1, "
                "eeg2, eog and emg), in microvolts, float32.",
                "**Rates**: 100-Hz channels are cut into epochs of 3000 samples. The 1-Hz EMG is resampled to 3000 "
                "samples by Fourier's method, each epoch on its own, as the released program does.",
                "**Nothing else**: no filter, no normalisation, no rejection of artefacts, no clipping. Flat and "
                "clipped stretches are kept, measured and reported for each recording in `X.quality.json` and the "
                "quality table.",
                "**Refused**, with a message that says what to do: files with a wrong checksum, truncated or "
                "unfinished ones, gaps, unknown annotations, channels that are missing or not in volts, simulated "
                "files in a real dataset and real ones in a simulated one. **Handled**, and reported: other data "
                "records than 30 s, other units, inverted polarity, unused channels without a scale. The list of both, "
                "with what other readers do: "
                "[hostile-edf.md](hostile-edf.md).",
            ]
        ),
        "## Totals",
        totals(read_known_totals(KNOWN_TOTALS)),
        counted_here(),
        "## Known peculiarities",
        points(
            [
                "SC4362F0 has data records of 60 s, all others of 30 s.",
                f"One night only: subjects {single}.",
                "SC4012: the signal lasts the whole 24 h and outlasts its scoring. The authors' trimming "
                f"therefore keeps {outlasting['authors']:,} of its epochs, the standard one "
                f"{outlasting['standard']:,}.",
                "SC4092 and SC4121 have unscored epochs within the signal: the authors' trimming reaches to them.",
                "SC4152, SC4172 and others: a nap in the afternoon or evening makes both trimmings keep it.",
                "The stages are far from balanced: N1 is the rarest in Sleep-EDF-20, N3 in Sleep-EDF-78.",
            ]
        ),
        "## What this data is not",
        points(
            [
                "No ground for diagnosis: what a network reaches on these nights says nothing about its use on "
                "patients.",
                "Not AASM scoring: stages were scored by Rechtschaffen and Kales and are renamed here.",
                "Not one scorer's work, and no night is scored twice: how far scorers agree cannot be told from it, "
                "only from the other database below.",
                "Not independent nights: most subjects have two, and folds that part these test on subjects they "
                "trained on.",
            ]
        ),
        "## Another database: what people reach",
        *other_database(),
        "## What was not checked",
        points(
            [
                "No whole real PSG was read where this project was developed: there were the hypnograms of 54 nights "
                "(all 39 of Sleep-EDF-20) and the first 300 s of SC4001E0-PSG.edf. Whole nights there were simulated.",
                "So the amplitudes, flat stretches and clipping of the real recordings are not described here. The "
                "quality table of a run on them does that.",
                "Of Sleep-EDF-78, the totals have not been counted again here but for what is said in the notes above.",
            ]
        ),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    write_text(CARD, card())

"""Write the tables of recordings of the databases beside Sleep-EDF's cassette, workflow/resources/databases.

python tools/databases.py SHARED, where SHARED holds sleep-edf/ (sleep-edfx-sizes.csv, which agrees with PhysioNet's
SHA256SUMS.txt; ST-subjects.xls; hypnograms/) and folds-others/ (neuroatlas-bench 0.1.1, MIT: which recordings HMC and
the Dreem Open Datasets have). Reading the .xls takes xlrd 2 (pip install xlrd), which nothing else does.
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sleepbench.core.stages import EPOCH_SECONDS, STAGES
from sleepbench.datasets.base import Recording, SourceFile
from sleepbench.datasets.database import DATABASES
from sleepbench.datasets.known_epochs import Counts, write_known_epochs
from sleepbench.datasets.recordings_table import write_recordings
from sleepbench.datasets.sleep_edf_cassette import STAGES_BY_TEXT
from sleepbench.datasets.sleep_edf_telemetry import KNOWN_EPOCHS
from sleepbench.signals.scoring import read_scoring
from sleepbench.signals.trimming import select_trimming

SEXES = {1: "M", 2: "F"}
"""Of ST-subjects.xls, whose heading says "M1/F2"; SC-subjects.xls has "sex (F=1)", the other way round."""
ST_HEADER_BYTES, ST_BYTES_A_SECOND = 256 * 6, 2 * (4 * 100 + 10)
"""Of a telemetry PSG: four signals of 100 Hz and a marker of 10 Hz. All 44 sizes are whole numbers of 10 s so."""
HMC_ABSENT = (14, 64, 135)
"""Of 154 in version 1.0.1, absent from 1.1."""
DODS = {"dodh": "dod-h", "dodo": "dod-o"}


def telemetry(shared: Path) -> list[Recording]:
    """Names and checksums from the list of files, people and conditions from ST-subjects.xls."""
    import xlrd  # here, because the other tables do without

    files = {"psg": {}, "scoring": {}}
    with (shared / "sleep-edf" / "sleep-edfx-sizes.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            folder, name = row["file"].split("/")
            if folder == "sleep-telemetry":
                role = "psg" if name.endswith("-PSG.edf") else "scoring"
                files[role][name[:6]] = SourceFile(role, name, row["sha256"], int(row["bytes"]))
    sheet = xlrd.open_workbook(str(shared / "sleep-edf" / "ST-subjects.xls")).sheet_by_index(0)
    if sheet.row_values(1)[:6] != ["Nr", "Age", "M1/F2", "night nr", "lights off", "night nr"]:
        raise SystemExit(f"ST-subjects.xls: unexpected headings {sheet.row_values(1)}")
    recordings = []
    for number, age, sex, placebo, _, temazepam, _ in map(sheet.row_values, range(2, sheet.nrows)):
        for night, condition in ((placebo, "placebo"), (temazepam, "temazepam")):
            id = f"ST7{number:02.0f}{night:.0f}"
            both = (files["psg"][id], files["scoring"][id])
            subject = f"ST{number:02.0f}"
            recordings.append(Recording(id, subject, int(night), both, int(age), SEXES[int(sex)], None, condition))
    return recordings


def telemetry_epochs(shared: Path, recordings: list[Recording]) -> dict[tuple[str, str], Counts]:
    """Epochs after the standard trimming, of the recordings whose real hypnogram is at hand."""
    counts = {}
    for recording in sorted(recordings):
        path = shared / "sleep-edf" / "hypnograms" / recording.file("scoring").name
        if path.exists():
            seconds = (recording.file("psg").n_bytes - ST_HEADER_BYTES) / ST_BYTES_A_SECOND
            stages = read_scoring(path, STAGES_BY_TEXT, may_have_gaps=True)[: int(seconds // EPOCH_SECONDS)]
            kept = stages[select_trimming(stages, "standard")]
            counts[recording.id, "standard"] = tuple(np.bincount(kept, minlength=len(STAGES)).tolist())
    return counts


def hmc(shared: Path) -> list[Recording]:
    """Every number from 1 to 154 but three, one night of one person each."""
    folds = json.loads((shared / "folds-others" / "hmc.json").read_text())["folds"]
    ids = [f"SN{number:03d}" for number in range(1, 155) if number not in HMC_ABSENT]
    if ids != sorted(id for fold in folds.values() for id in fold):
        raise SystemExit("hmc.json: other recordings than expected")
    names = {"psg": "{}.edf", "scoring": "{}_sleepscoring.edf"}
    return [Recording(id, id, 1, tuple(SourceFile(r, name.format(id)) for r, name in names.items())) for id in ids]


def dod(shared: Path) -> Iterator[tuple[str, list[Recording]]]:
    """One HDF5 file a night, one night a person."""
    fold = json.loads((shared / "folds-others" / "dod.json").read_text())["folds"]["0"]
    nights = [id.split("__") for ids in fold.values() for id in ids]
    for folder, name in DODS.items():
        ids = sorted(id for of, id in nights if of == folder)
        yield name, [Recording(id, id, 1, (SourceFile("h5", f"{id}.h5"),)) for id in ids]


def isruc() -> list[Recording]:
    """Ten people, numbered from 1; each in a folder of its number, scored by two people."""
    names = {"psg": "{0}/{0}.rec", "scorer_1": "{0}/{0}_1.txt", "scorer_2": "{0}/{0}_2.txt"}
    return [
        Recording(
            f"ISRUC{n:02d}", f"ISRUC{n:02d}", 1, tuple(SourceFile(r, name.format(n)) for r, name in names.items())
        )
        for n in range(1, 11)
    ]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    nights = telemetry(folder)
    write_recordings(DATABASES / "sleep-edf-st.csv", nights)
    write_known_epochs(telemetry_epochs(folder, nights), KNOWN_EPOCHS)
    write_recordings(DATABASES / "hmc.csv", hmc(folder))
    for name, found in dod(folder):
        write_recordings(DATABASES / f"{name}.csv", found)
    write_recordings(DATABASES / "isruc-s3.csv", isruc())

"""Time and memory of the reporting on many finished runs: `python tests/reporting/benchmark_reporting.py`.

In a temporary directory it makes up the files of finished runs on two datasets of the sizes of Sleep-EDF-20 and -78, of
four protocols, ten models and twenty folds each, then makes every table, every figure, the report and the summary from
them. Two datasets go side by side and every step is a process of its own, as with Snakemake on two cores; Snakemake and
MLflow themselves are not timed, nor is the making up. It fails when all of it takes more than LIMIT_S seconds, or when
the largest processes of both datasets together have more than LIMIT_GB of memory.
"""

import argparse
import contextlib
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from synthetic import PROBABILITIES, PROFILE, file_hashes, history, scored_night, selected_epochs, write_quality

from sleepbench.core.files import read_json, write_json
from sleepbench.core.stages import N1, STAGES, W
from sleepbench.datasets.recordings import Recording, first_subjects, read_recordings
from sleepbench.evaluation import metrics
from sleepbench.protocols.audit import audit_sentence, write_fold_file
from sleepbench.protocols.folds import FoldSettings
from sleepbench.signals.hypnogram import WAKE_MARGIN, select_window
from sleepbench.signals.totals import RECORDINGS

REPOSITORY = Path(__file__).parents[2]
PUBLISHED_SIZES = str(REPOSITORY / "workflow" / "resources" / "published_sizes.csv")
PUBLISHED = str(REPOSITORY / "workflow" / "resources" / "published_results.csv")
CLAIMS = str(REPOSITORY / "workflow" / "resources" / "claims.yaml")
CONFIG = yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8"))

LIMIT_S, LIMIT_GB = 180, 4
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""The environment that Snakemake gives a job of one thread."""

SUBJECTS = {"simulated-20": 20, "simulated-78": 78}
FOLDS = 20
TRAINING_EPOCHS = 50
EPOCHS_PER_NIGHT, EPOCHS_PER_DAY, FIRST_ASLEEP = 1050, 2800, 960
TITLES = ("ULW-SleepNet", *(f"Network {letter}" for letter in "BCDEFGHIJ"))
PROTOCOLS = {
    # Every protocol tests every night here, which is the most that can be read.
    name: {**CONFIG["protocols"][name], "recordings": "all", "folds": dict.fromkeys(SUBJECTS, FOLDS)}
    for name in ("released", "subject_folds", "standard_window", "clean")
}
STATISTICS_TABLES = ("ladder", "channels", "intervals", "classes", "comparisons", "groups", "sleep_measures")
TABLES = ("main_results", "complexity", "published_sizes", "claims", "audit", "quality", *STATISTICS_TABLES)
FIGURES = (
    *("ladder", "cost", "confusion", "subjects", "reliability", "sleep_agreement"),
    *("night", "training_curves", "hypnograms"),
)
STEPS = (
    *("main_results", "complexity", "published_sizes", "claims", "audit", "quality", "statistics"),
    *(f"table {name}" for name in STATISTICS_TABLES),
    *(f"figure {name}" for name in FIGURES),
    *("report", "summary"),
)


# ------------------------------------------------------------------------------------------------------ made-up files


class Inputs:
    """The files of one dataset below `root`: those that are made up here, and those that the steps write."""

    def __init__(self, root: Path, dataset: str):
        self.root, self.dataset = root / dataset, dataset
        self.runs = str(self.root / "runs.csv")
        self.statistics = self.root / "statistics"
        self.names = {name: FoldSettings.of_protocol(protocol, dataset).name for name, protocol in PROTOCOLS.items()}
        self.folds = {protocol: str(self.root / "folds" / f"{name}.json") for protocol, name in self.names.items()}
        self.fold_files = sorted(set(self.folds.values()))
        self.totals = {protocol: str(self.root / "totals" / f"{protocol}.json") for protocol in PROTOCOLS}
        self.profiles = [str(self.root / "profiles" / f"{number}.json") for number in range(len(TITLES))]
        recordings = first_subjects(read_recordings(RECORDINGS), SUBJECTS[dataset])
        self.qualities = [str(self.root / "prepared" / f"{recording.id}.quality.json") for recording in recordings]

    def table(self, name: str) -> list[str]:
        return [str(self.root / "tables" / f"{name}.{form}") for form in ("csv", "md", "tex")]

    def figure(self, name: str) -> list[str]:
        return [str(self.root / "figures" / f"{name}.{form}") for form in ("png", "pdf", "csv")]

    def write(self) -> int:
        """Make up all files; returns the number of predicted epochs."""
        recordings = first_subjects(read_recordings(RECORDINGS), SUBJECTS[self.dataset])
        for number, (path, title) in enumerate(zip(self.profiles, TITLES, strict=True)):
            operations = {name: count * (number + 1) for name, count in PROFILE["operations"].items()} | {"length": 1}
            write_json(path, {**PROFILE, "model": model_name(title), "title": title, "operations": operations})
        for recording, path in zip(recordings, self.qualities, strict=True):
            start = f"2000-01-01T16:{int(recording.id[3:]) % 60:02d}:00"
            write_quality(path, recording.id, scored_day(recording), CONFIG["channels"]["four"], start)
        nights = {recording.id: night(recording) for recording in recordings}
        rows = []
        for protocol, settings in PROTOCOLS.items():
            fold_settings = FoldSettings.of_protocol(settings, self.dataset)
            with contextlib.redirect_stdout(None):
                write_fold_file(self.dataset, recordings, fold_settings, False, Path(self.folds[protocol]))
            document = read_json(self.folds[protocol])
            self._write_totals(protocol, document, nights)
            for number, fold in enumerate(document["folds"]):
                tested = pd.concat([nights[id] for id in fold["test"]], ignore_index=True)
                for title in TITLES:
                    rows.append(self._write_run(protocol, document, title, number, tested))
        pd.DataFrame(rows).to_csv(self.runs, index=False)
        return sum(row["n_test"] for row in rows)

    def _write_totals(self, protocol: str, document: dict, nights: dict[str, pd.DataFrame]) -> None:
        stages = np.concatenate([nights[id].stage for id in nights])
        totals = {
            "dataset": self.dataset,
            "window": PROTOCOLS[protocol]["window"],
            "folds": document["name"],
            "recordings": sorted(nights),
            "found": counted(stages),
            "found_by_recording": {id: counted(nights[id].stage) for id in sorted(nights)},
            "known": False,
            "reason": "simulated",
            "verdict": "nothing is known of simulated recordings",
        }
        write_json(self.totals[protocol], totals)

    def _write_run(self, protocol: str, document: dict, title: str, fold: int, tested: pd.DataFrame) -> dict:
        """Write the files of one run and return its row of the runs table."""
        identity = [self.dataset, protocol, title, fold]
        key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
        generator = np.random.default_rng(int(key, 16))
        settings, folder = PROTOCOLS[protocol], self.root / "runs" / protocol / model_name(title) / f"fold-{fold}"
        selection = settings["selection"]
        predictions = tested.assign(**predicted(tested.stage.to_numpy(), 2.2 + 0.1 * TITLES.index(title), generator))
        (folder / selection).mkdir(parents=True)
        predictions.to_parquet(folder / selection / "predictions.parquet", index=False)
        curve = history(TRAINING_EPOCHS, settings["validation_subjects"], generator)
        curve.to_csv(folder / "history.csv", index=False)
        epoch = int(generator.integers(TRAINING_EPOCHS // 2, TRAINING_EPOCHS)) + 1
        runs = selected_epochs(curve, selection, epoch)
        runs[selection]["run_key"] = key
        row = {
            "run_key": key,
            "dataset": self.dataset,
            "simulated": True,
            "protocol": protocol,
            "model": model_name(title),
            "title": title,
            "channels": "four",
            "n_channels": 4,
            "recipe": "released",
            "seed": 32,
            "fold": fold,
            "folds": FOLDS,
            "only_folds": "",
            "selection": selection,
            "window": settings["window"],
            "training_epochs": TRAINING_EPOCHS,
            "trained_epochs": TRAINING_EPOCHS,
            "recipe_settings": json.dumps(CONFIG["recipes"]["released"]),
            "selected_epoch": epoch,
            "n_train": 40_000,
            "n_validation": 4000 if settings["validation_subjects"] else 0,
            "n_test": len(predictions),
            "directory": str(folder),
            "git_commit": "0" * 40,
            "device": "cpu",
            "duration_s": 100.5,
        }
        write_json(folder / "training.json", training_record(row, document, runs))
        confusion = metrics.confusion_matrix(predictions.stage.to_numpy(), predictions.predicted.to_numpy())
        return {**row, **metrics.summary(confusion), **metrics.confusion_items(confusion)}


def model_name(title: str) -> str:
    return title.lower().replace("-", "_").replace(" ", "_")


def scored_day(recording: Recording) -> np.ndarray:
    """The stage of each epoch of a recording, int8: a day awake but for a night. A window keeps EPOCHS_PER_NIGHT."""
    generator = np.random.default_rng(int(recording.id[3:]))
    asleep = np.concatenate([scored_night(generator) for _ in range(5)])[: EPOCHS_PER_NIGHT - 2 * WAKE_MARGIN]
    asleep[[0, -1]] = N1  # where the night begins and ends
    day = np.full(EPOCHS_PER_DAY, W, dtype=np.int8)
    day[FIRST_ASLEEP : FIRST_ASLEEP + asleep.size] = asleep
    return day


def night(recording: Recording) -> pd.DataFrame:
    """The scored epochs of a recording, as predictions name them: the same in both windows."""
    day = scored_day(recording)
    epoch = select_window(day, "standard")
    named = {"recording": recording.id, "subject": recording.subject, "night": recording.night}
    return pd.DataFrame({**named, "epoch": epoch, "onset_s": 30.0 * epoch, "stage": day[epoch]})


def predicted(stage: np.ndarray, skill: float, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Predicted stages and probabilities, the better the higher `skill`."""
    likelihood = np.exp(skill * np.eye(len(STAGES))[stage] + generator.normal(size=(stage.size, len(STAGES))))
    probability = (likelihood / likelihood.sum(axis=1, keepdims=True)).astype(np.float32)
    return {
        "predicted": probability.argmax(axis=1).astype(np.int8),
        **dict(zip(PROBABILITIES, probability.T, strict=True)),
    }


def counted(stages: np.ndarray) -> dict[str, int]:
    """The number of epochs, in all and by stage."""
    return {"epochs": len(stages), **dict(zip(STAGES, np.bincount(stages, minlength=5).tolist(), strict=True))}


def training_record(row: dict, document: dict, runs: dict) -> dict:
    """What training.json says of a row of the runs table."""
    return {
        "training_key": row["run_key"],
        "settings": {
            "dataset": row["dataset"],
            "data_sha256": document["data_sha256"],
            "folds": document["name"],
            "folds_sha256": document["folds_sha256"],
            "fold": row["fold"],
            "window": row["window"],
            "model": row["model"],
            "channels": CONFIG["channels"]["four"],
            "recipe": {"name": row["recipe"], **CONFIG["recipes"]["released"]},
            "seed": row["seed"],
        },
        "code_sha256": "e" * 64,
        "provenance": {"simulated": True, "git_commit": row["git_commit"], "config_sha256": "c" * 64},
        "runs": runs,
        "n_epochs": {name: row[f"n_{name}"] for name in ("train", "validation", "test")},
        "environment": {
            **dict.fromkeys(("device", "engine", "sleepbench", "python", "torch", "numpy", "platform"), "made up"),
            "threads": 1,
        },
        "duration_s": row["duration_s"],
        "files": file_hashes(Path(row["directory"])),
    }


def make_up(root: Path, dataset: str) -> int:
    return Inputs(root, dataset).write()


# --------------------------------------------------------------------------------------------------------------- steps


def run_step(inputs: Inputs, step: str) -> None:
    """Call what the script of a rule calls; modules are imported here, as the script of that rule would."""
    on = (inputs.dataset, True)
    kind, _, name = step.partition(" ")
    if kind == "table":
        from sleepbench.reporting.tables.of_statistics import write_statistics_table

        write_statistics_table(name, str(inputs.statistics), *on, *inputs.table(name))
    elif kind == "figure":
        make_figure(inputs, name)
    elif kind == "statistics":
        from sleepbench.reporting.statistics.compute import compute_statistics

        compute_statistics(
            *(inputs.runs, str(RECORDINGS), *on, CONFIG["ladder"], str(inputs.statistics)),
            *(inputs.folds, inputs.qualities),
        )
    elif kind == "audit":
        from sleepbench.reporting.tables.audit import write_audit

        document = str(inputs.root / "tables" / "audit.json")
        write_audit(PROTOCOLS, inputs.folds, inputs.totals, *on, *inputs.table("audit"), document)
    elif kind == "quality":
        from sleepbench.reporting.quality import quality_table

        quality_table(inputs.qualities, str(RECORDINGS), *on, *inputs.table("quality"))
    elif kind == "report":
        from sleepbench.reporting.page.report import dataset_report

        csvs, pngs = [inputs.table(name)[0] for name in TABLES], [inputs.figure(name)[0] for name in FIGURES]
        claims, output = inputs.table("claims")[0], inputs.root / "report.html"
        audit = inputs.root / "tables" / "audit.json"
        dataset_report(*on, csvs, pngs, inputs.runs, inputs.fold_files, audit, claims, inputs.profiles, output)
    else:
        make_table(inputs, kind)


def make_table(inputs: Inputs, name: str) -> None:
    """A table of the module `tables`, or the summary."""
    from sleepbench.reporting.tables import main as tables

    on = (inputs.dataset, True)
    if name == "main_results":
        tables.write_main_results(inputs.runs, PUBLISHED, *on, *inputs.table(name))
    elif name == "complexity":
        tables.write_complexity(inputs.profiles, CLAIMS, *on, *inputs.table(name))
    elif name == "published_sizes":
        from sleepbench.reporting.tables.published_sizes import write_published_sizes

        write_published_sizes(inputs.profiles, PUBLISHED_SIZES, *on, *inputs.table(name))
    elif name == "claims":
        tables.write_claims(CLAIMS, inputs.runs, inputs.profiles, *on, *inputs.table(name))
    else:
        audits = {document["name"]: document["audit"] for document in map(read_json, inputs.fold_files)}
        sentences = [audit_sentence(audits[folds], protocol) for protocol, folds in inputs.names.items()]
        texts = [inputs.table(name)[1] for name in ("main_results", "ladder", "claims", "audit", "complexity")]
        pngs = [inputs.figure(name)[0] for name in FIGURES]
        tables.summary(*on, sentences, texts, pngs, str(inputs.root / "summary.md"))


def make_figure(inputs: Inputs, name: str) -> None:
    on, outputs = (inputs.dataset, True), inputs.figure(name)
    if name in ("confusion", "night", "training_curves"):
        from sleepbench.reporting.figures import of_runs as figures

        getattr(figures, f"{name}_figure")(inputs.runs, *on, *outputs)
    elif name == "hypnograms":
        from sleepbench.reporting.quality import hypnogram_wall

        hypnogram_wall(inputs.qualities, *on, *outputs)
    else:
        from sleepbench.reporting.figures import of_statistics as statistics_figures

        of_figure = {
            "reliability": ("reliability", "intervals"),
            "sleep_agreement": ("nights", "sleep_measures"),
            "cost": ("intervals",),
        }
        files = [str(inputs.statistics / f"{file}.csv") for file in of_figure.get(name, (name,))]
        files += [inputs.runs, inputs.profiles, PUBLISHED, CLAIMS] if name == "cost" else []
        getattr(statistics_figures, f"{name}_figure")(*files, *on, *outputs)


def timed_steps(root: Path, dataset: str) -> list[tuple[str, float, float, float]]:
    """Each step in a process of its own: its name, seconds, seconds on the CPU and largest memory in GB."""
    done = []
    for step in STEPS:
        began = time.perf_counter()
        command = [sys.executable, __file__, "--root", str(root), "--dataset", dataset, "--step", step]
        # The last line has CPU seconds and memory; a step may print before it.
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=ONE_THREAD).stdout
        done.append((step, time.perf_counter() - began, *map(float, output.splitlines()[-1].split())))
    return done


# ------------------------------------------------------------------------------------------------------------- command


def shown(seconds: float, on_cpu: float, memory: float) -> str:
    return f"{seconds:>11.1f} s, CPU {on_cpu:>5.1f} s {memory:>5.2f} GB"


def benchmark(root: Path) -> bool:
    """Make up the runs, time the steps and print them; returns whether they kept within the limits."""
    began = time.perf_counter()
    # In processes of their own: a child's largest memory is never less than its parent's was when it began.
    with ProcessPoolExecutor(len(SUBJECTS)) as pool:
        epochs = list(pool.map(make_up, [root] * len(SUBJECTS), SUBJECTS))
    n_runs = len(PROTOCOLS) * len(TITLES) * FOLDS
    for dataset, n_epochs in zip(SUBJECTS, epochs, strict=True):
        print(f"{dataset}: {n_runs} runs, {n_epochs:,} predicted epochs")
    print(f"made up in {time.perf_counter() - began:.0f} s, which do not count\n")

    began = time.perf_counter()
    with ThreadPoolExecutor(len(SUBJECTS)) as pool:
        done = dict(zip(SUBJECTS, pool.map(timed_steps, [root] * len(SUBJECTS), SUBJECTS), strict=True))
    seconds = time.perf_counter() - began
    print(f"{'step':<24}" + "".join(f"{dataset:>34}" for dataset in SUBJECTS))
    for steps in zip(*done.values(), strict=True):
        print(f"{steps[0][0]:<24}" + "".join(shown(*numbers) for _, *numbers in steps))
    most = [max(memory for *_, memory in steps) for steps in done.values()]
    sums = [np.sum([numbers for _, *numbers in steps], axis=0) for steps in done.values()]
    totals = zip(sums, most, strict=True)
    print(f"{'in all':<24}" + "".join(shown(taken, on_cpu, memory) for (taken, on_cpu, _), memory in totals))
    print(f"\n{seconds:.0f} s (limit {LIMIT_S} s), at most {sum(most):.2f} GB side by side (limit {LIMIT_GB} GB)")
    return seconds < LIMIT_S and sum(most) < LIMIT_GB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="keep the files here, in an empty directory")
    parser.add_argument("--dataset", choices=SUBJECTS, help="with --step: of files that are there already")
    parser.add_argument(
        "--step", choices=STEPS, help="one step alone, in this process; prints its CPU seconds and its memory in GB"
    )
    arguments = parser.parse_args()
    if arguments.step:
        run_step(Inputs(arguments.root, arguments.dataset), arguments.step)
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9)
        return 0
    if arguments.root:
        return 0 if benchmark(arguments.root) else 1
    with tempfile.TemporaryDirectory() as folder:
        return 0 if benchmark(Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())

"""The command that scores recordings by a bundle."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sleepbench.core.errors import BenchmarkError, printable

if TYPE_CHECKING:
    from sleepbench.deployment.scorer import Scorer

EDF_SUFFIXES = (".edf", ".rec")


@click.command(epilog="Example: sleepbench score PSG.edf --model ulw.bundle --output scored")
@click.argument("recordings", nargs=-1, metavar="PSGS...")
@click.option("--model", required=True, type=click.Path(path_type=Path), help="A bundle (sleepbench model bundle).")
@click.option("--output", type=click.Path(path_type=Path), help="Directory; each recording gets one in it.")
@click.option("--map", "terms", multiple=True, metavar="ROLE=LABEL", help="A role's channel, where it is called so.")
@click.option("--smooth", is_flag=True, help="Decode the night by the model's hidden Markov model.")
@click.option("--hypnogram", type=click.Path(path_type=Path), help="Compare with this EDF+ hypnogram.")
@click.option("--stream", is_flag=True, help="Score samples as they arrive, from a file or -.")
@click.option("--lag", type=click.IntRange(0), default=0, show_default=True, help="Of --stream --smooth, in epochs.")
@click.option("--idle", type=click.FloatRange(0), default=60, show_default=True, help="A file's end for --stream, s.")
def score(
    recordings: tuple[str, ...],
    model: Path,
    output: Path | None,
    terms: tuple[str, ...],
    smooth: bool,
    hypnogram: Path | None,
    stream: bool,
    lag: int,
    idle: float,
) -> int:
    """Score recordings: stages, measures, figure, page.

    PSG is an EDF file or a folder of them; a bad one stops nothing, and is listed at the end. With --stream it is a
    file that grows, or standard input ("-", or none): samples in microvolts at the model's rate, float32
    little-endian, one of each channel, then the next of each; a stage is printed at each epoch's end.
    """
    from sleepbench.deployment.channels import parse_map
    from sleepbench.deployment.scorer import load

    if not (recordings or stream):
        raise click.UsageError("Missing argument 'PSGS...'.")
    scorer = load(model)
    told = scorer.description
    mapping = parse_map(terms, told.roles)
    scorer.require_hmm(smooth)
    print(printable(f"{told.what}, {told.trained_on}"), file=sys.stderr)
    if stream:
        for given, name in ((output, "--output"), (hypnogram, "--hypnogram"), (terms, "--map")):
            if given:
                raise click.UsageError(f"{name} is not for --stream")
        return _stream(scorer, recordings or ("-",), lag if smooth else None, idle)
    if output is None:
        raise click.UsageError("Missing option '--output'.")
    paths = list(_files(recordings))
    if hypnogram is not None and len(paths) > 1:
        raise click.UsageError(f"--hypnogram is for one recording, found {len(paths)}")
    _check_names(paths, output)
    failed = [path for path in _progress(paths) if not _score(scorer, path, output, mapping, smooth, hypnogram)]
    if len(paths) > 1:
        print(printable(f"{len(paths) - len(failed)} of {len(paths)} recordings scored, in {output}"))
    if failed and len(paths) > 1:
        print(printable("\n  ".join(["Failed, for reasons above:", *map(str, failed)])), file=sys.stderr)
    return 1 if failed else 0


def _files(named: Sequence[str]) -> Iterator[Path]:
    """The EDF files that are named or lie in a folder that is; in a folder, hypnograms are passed over."""
    from sleepbench.signals import edf

    for path in map(Path, named):
        if not path.is_dir():
            yield path
            continue
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in EDF_SUFFIXES)
        if not files:
            raise BenchmarkError(f"{path}: holds no file *.edf; name a PSG, or a folder of them")
        for file in files:
            try:
                only_annotations = edf.read_header(file).record_seconds == 0
            except BenchmarkError:
                only_annotations = False  # it is said when its turn comes
            if not only_annotations:
                yield file


def _check_names(paths: Sequence[Path], output: Path) -> None:
    """Each recording has a directory of its own name, in one that can be there."""
    if output.exists() and not output.is_dir():
        raise BenchmarkError(f"{output}: is a file, expected a directory for what is written; take another --output")
    first: dict[str, Path] = {}
    for path in paths:
        if first.setdefault(path.stem, path) != path:
            raise BenchmarkError(
                f"{first[path.stem]} and {path}: both would be written to {output / path.stem}; score them with "
                "different --output"
            )


def _progress(paths: Sequence[Path]) -> Iterator[Path]:
    """The recordings one by one; on a terminal a line says how many are done, and how long the others may take."""
    if len(paths) == 1 or not sys.stderr.isatty():
        yield from paths
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("scoring"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    both = sys.stdout.isatty()  # lines that go elsewhere than to the terminal are left alone
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=both) as progress:
        yield from progress.track(paths)


def _score(
    scorer: "Scorer", path: Path, output: Path, mapping: dict[str, str], smooth: bool, hypnogram: Path | None
) -> bool:
    """Score one recording and say so, or why not; whether it was scored."""
    from sleepbench.core.logs import explained
    from sleepbench.deployment.outputs import PAGE, require_own, write_night

    directory = output / path.stem
    try:
        require_own(directory)
        night = scorer.score(path, mapping, smooth, hypnogram)
        directory.parent.mkdir(parents=True, exist_ok=True)
        write_night(night, directory)
    except Exception as error:  # one bad file stops nothing, whatever is wrong with it
        defect = f"{path}: failed, which it should not ({type(error).__name__}: {error})"
        message = explained(error) or (str(error) if isinstance(error, OSError) else defect)
        print(printable(f"Error: {message}"), file=sys.stderr)
        return False
    asleep = night.measures["total_sleep_time"]
    compared = (
        "" if night.agreement is None else f", the hypnogram's stage in {100 * night.agreement['accuracy']:.1f} %"
    )
    line = f"{path.name}: {_epochs(len(night.stages))}, {asleep:.1f} min of sleep{compared}: {directory / PAGE}"
    print(printable(night.description.titled(line)), flush=True)
    return True


def _epochs(n: int) -> str:
    return f"{n:,} epoch" + ("" if n == 1 else "s")


def _stream(scorer: "Scorer", named: Sequence[str], lag: int | None, idle: float) -> int:
    """Print a line at the end of each epoch: number, seconds of its beginning, stage, probability of that stage."""
    import numpy as np

    from sleepbench.core.stages import EPOCH_SECONDS, STAGES
    from sleepbench.deployment.stream import read_growing, read_input, stream

    if len(named) > 1:
        raise click.UsageError("--stream takes one file, or -")
    if Path(named[0]).suffix.lower() in EDF_SUFFIXES:
        raise click.UsageError(f"--stream takes samples as they are, and {named[0]} is EDF: score it without --stream")
    told = scorer.description
    scorer.predict(np.zeros((told.sequence_length or 1, len(told.roles), told.samples_per_epoch)))  # all is loaded then
    blocks = read_input(sys.stdin.buffer, 2**16) if named[0] == "-" else read_growing(Path(named[0]), idle)
    smoothing = "" if lag is None else f"; smoothed causally, with a lag of {_epochs(lag)} ({lag * EPOCH_SECONDS} s)"
    said = f"waiting for {', '.join(told.roles)}, interleaved, at {told.sampling_rate} Hz in microvolts{smoothing}"
    print(printable(said), file=sys.stderr, flush=True)
    print("epoch,onset_s,stage," + ",".join(f"p_{name}" for name in STAGES), flush=True)
    for one in stream(scorer, blocks, lag, lambda text: print(text, file=sys.stderr)):
        shares = ",".join(f"{share:.4f}" for share in one.probabilities)
        print(f"{one.epoch},{one.epoch * EPOCH_SECONDS},{one.stage},{shares}", flush=True)
    return 0

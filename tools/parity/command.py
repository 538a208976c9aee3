"""Hold a registered network against another program of it, on the same weights and input.

    python tools/parity MODEL FILE.py:FACTORY MAP.json [--channels 1] [--length 10] ...
    python tools/parity --check [MODEL ...]
    python tools/parity --table

FACTORY is given the shape of the input and returns the other implementation: a torch.nn.Module that gives logits, or
an object with the methods of `Other` in other.py; it may say what it is, see `of` in programs/sources.py. The map of
names is explained in names.py.

Printed are, each with the largest difference and the scale of theirs: outputs in evaluation, and of longer or shorter
sequences with --other-lengths; outputs in training without dropout; the gradients of a weighted sum of them by every
parameter; moving statistics after it; outputs in training with dropout under the same seed, where the other is of
PyTorch and draws in the same order; and with --initial N the initial values of N networks of each, by two-sample tests.

--reference FILE.npz keeps what theirs gave, for the suite. --check compares with the files that are kept, --table
prints the differences from all of them as Markdown.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import torch
from parity.comparison import Comparison, compare_initial
from parity.names import MapError, Names
from parity.other import ProgramError, Remote, factory
from torch import nn

from sleepbench.core.errors import BenchmarkError
from sleepbench.core.stages import SAMPLES_PER_EPOCH
from sleepbench.models import describe, model_names
from sleepbench.models.registry import reference_files
from sleepbench.profiling.parity import TOLERANCES, Ours, Program, compare, read_reference

SPECTRA = (29, 129)
SAID = ("source", "framework", "by", "remark")
"""What a reference file says of the other program."""


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The command's options."""
    parser = argparse.ArgumentParser(
        prog="python tools/parity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", help="a name of the registry")
    parser.add_argument("program", nargs="?", help="FILE.py:FACTORY; of tools/parity/programs without its folder")
    parser.add_argument("map", nargs="?", help="MAP.json; of tools/parity/maps without its folder")
    parser.add_argument("--sources", help="the folder of the authors' repositories, instead of $PARITY_SOURCES")
    parser.add_argument("--python", help="another interpreter, with the program's packages, which is to run it")
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--length", type=int, help="epochs of a sequence; single epochs without it")
    parser.add_argument("--other-lengths", type=int, nargs="*", default=[], metavar="N")
    parser.add_argument("--spectra", action="store_true", help="the input is spectra, 29 x 129, not signals")
    parser.add_argument("--batch", type=int, default=3)
    parser.add_argument("--amplitude", type=float, default=30.0, help="of the input")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--precision", choices=TOLERANCES, default="float64", help="theirs computes in; ours float64")
    parser.add_argument("--initial", type=int, default=0, metavar="N")
    kept = parser.add_argument_group("what is kept")
    kept.add_argument("--reference", metavar="FILE.npz", help="write it; the next four where the factory does not say")
    kept.add_argument("--source", help="github.com/OWNER/NAME at COMMIT")
    kept.add_argument("--framework", help="such as 'PyTorch' or 'Keras of TensorFlow 2.21'")
    kept.add_argument("--by", choices=("authors", "independent"))
    kept.add_argument("--remark", help="what of that program was set in another way")
    kept.add_argument("--check", nargs="*", metavar="MODEL", help="compare with the files kept of these models, or all")
    kept.add_argument("--table", action="store_true", help="print the table of docs/rivals.md")
    options = parser.parse_args(arguments)
    if options.check is None and not options.table and options.map is None:
        parser.error("expected MODEL FILE.py:FACTORY MAP.json, --check or --table")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Run the command; what is wrong is said on standard error, with exit status 1."""
    options = parsed(arguments)
    try:
        if options.table:
            from parity.page import markdown

            print(markdown())
        elif options.check is not None:
            check(options.check)
        else:
            hold(options)
    except (BenchmarkError, MapError, ProgramError, FileNotFoundError) as error:
        sys.exit(f"{error}")


def hold(options: argparse.Namespace) -> dict[str, float]:
    """Compare a network with another program; the relative differences by what they are of."""
    describe(options.model)
    if options.sources:
        os.environ["PARITY_SOURCES"] = str(Path(options.sources).resolve())
    lengths = [] if options.length is None else [options.length]
    of_epoch = (options.channels, *SPECTRA) if options.spectra else (options.channels, SAMPLES_PER_EPOCH)
    shape = (options.batch, *lengths, *of_epoch)
    where, file = _beside(options.program, "programs"), Path(_beside(options.map, "maps"))
    if not file.is_file():
        raise MapError(f"there is no map {file}: write one, see tools/parity/names.py")
    ours = Ours(options.model, options.channels)
    if options.python:
        theirs = Remote(options.python, where, shape)
        about = theirs.about
    else:
        build = factory(where)
        theirs, about = build(shape), getattr(build, "about", {})
    theirs = Program(theirs, getattr(torch, options.precision)) if isinstance(theirs, nn.Module) else theirs
    names = Names(json.loads(file.read_text(encoding="utf-8")), ours.shapes(), theirs.shapes())
    print(f"{options.model}, input {shape}, against {about.get('source', options.program)} in {options.precision}")
    comparison = Comparison(ours, theirs, names, options.seed, options.amplitude)
    found = comparison.run(shape, options.other_lengths)
    if options.initial and isinstance(theirs, Program):
        compare_initial(
            lambda: Ours(options.model, options.channels, torch.float32).module,
            lambda: build(shape),
            names,
            options.initial,
        )
    if options.reference:
        about = about | {name: getattr(options, name) for name in SAID if getattr(options, name)}
        if missing := [name for name in SAID[:-1] if name not in about]:
            raise ProgramError(f"--reference: say --{' and --'.join(missing)} too, as the factory does not")
        comparison.reference(model=options.model, precision=options.precision, **about).write(Path(options.reference))
        print(f"wrote {options.reference}, {Path(options.reference).stat().st_size:,} bytes")
    if hasattr(theirs, "close"):
        theirs.close()
    return found


def check(models: list[str]) -> None:
    """Compare networks with their reference files and print the differences."""
    for model in models or model_names():
        describe(model)
        for path in reference_files(model):
            found = compare(read_reference(path))
            print(f"{path.stem:26s} " + "  ".join(f"{what} {value:.0e}" for what, value in found.items()))


def _beside(name: str, folder: str) -> str:
    """A path as it is, or where only a file's name is given, that in a folder beside this file."""
    file = name.partition(":")[0]
    own = Path(__file__).parent / folder
    return str(own / name) if not Path(file).exists() and (own / file).exists() else name

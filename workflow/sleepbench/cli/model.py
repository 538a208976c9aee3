"""Commands on trained models, apart from the project they were trained in."""

from pathlib import Path

import click

from sleepbench.core.errors import printable

output_option = click.option("--output", required=True, type=click.Path(path_type=Path), help="Where it is written.")


@click.group()
def model() -> None:
    """Take trained models elsewhere."""


@model.command(epilog="Example: sleepbench model bundle 88078073 --output ulw.bundle")
@click.argument("run")
@output_option
@click.option("--all-folds", is_flag=True, help="All folds of its training: their probabilities are averaged.")
def bundle(run: str, output: Path, all_folds: bool) -> None:
    """Write a trained model with all it needs to one file.

    RUN is a run's key, or the first digits of one, as tables and trace print it, or a fold's directory, of which the
    run is taken that validation subjects chose, else the last training epoch's. The run is verified first.
    """
    from sleepbench.config.load import load
    from sleepbench.deployment.making import bundle_run

    told = bundle_run(load(), run, output, all_folds).description
    lines = [f"{told.what}:", f"  {told.trained_on}", *(f"  {limit}" for limit in told.limits), f"Written: {output}"]
    print(printable("\n".join(lines)))


@model.command(epilog="Example: sleepbench model card ulw.bundle")
@click.argument("bundle", type=click.Path(path_type=Path))
def card(bundle: Path) -> None:
    """Print the model card of a bundle."""
    from sleepbench.deployment.bundle import read_bundle
    from sleepbench.deployment.card import model_card

    print(printable(model_card(read_bundle(bundle).description)))


@model.command(epilog="Example: sleepbench model export ulw.bundle --to onnx --output exported")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--to", "target", required=True, type=click.Choice(["onnx", "c"]), help="The form.")
@click.option("--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="A directory.")
def export(bundle: Path, target: str, output: Path) -> None:
    """Write a bundle's networks for other programs.

    onnx: a file that onnxruntime and others run, from microvolts to probabilities, and a JSON file that says what goes
    in and out. It is held against PyTorch before it is put in place.

    c: C99 for a microcontroller that takes one sample of every channel at a time, in single precision and with weights
    of 8 bits, with a Makefile and a test.
    """
    from sleepbench.deployment.bundle import read_bundle
    from sleepbench.deployment.export import export_bundle

    written = export_bundle(bundle, target, output)
    told = read_bundle(bundle).description
    lines = [f"{told.what}:", f"  {told.trained_on}", *(f"Written: {path}" for path in written)]
    print(printable("\n".join(lines)))

from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.core.provenance import git_commit
from sleepbench.postprocessing.job import smooth_run

with logged(snakemake.log[0]):
    signals = {Path(path).stem: Path(path) for path in snakemake.input.signals}
    smooth_run(
        Path(snakemake.params.training),
        Path(snakemake.input.receipt),
        Path(snakemake.input.folds),
        signals.__getitem__,
        Path(snakemake.output.predictions),
        Path(snakemake.output.parameters),
        selection=snakemake.wildcards.selection,
        device=snakemake.config["training"]["device"],
        threads=snakemake.threads,
        code_sha256=snakemake.params.code,
        provenance={
            "simulated": snakemake.params.simulated,
            "git_commit": git_commit(Path(__file__).parent),
        },
    )

from pathlib import Path

from sleepbench.core.files import sha256_of_json
from sleepbench.core.logs import logged
from sleepbench.core.provenance import git_commit
from sleepbench.training.job import train_group

with logged(snakemake.log[0]):
    signals = {Path(path).stem: Path(path) for path in snakemake.input.signals}
    train_group(
        Path(snakemake.input.folds),
        snakemake.params.folds,
        signals.__getitem__,
        Path(snakemake.output.receipt).parent,
        Path(snakemake.output.receipt),
        window=snakemake.wildcards.window,
        model=snakemake.wildcards.model,
        channels=snakemake.params.channels,
        recipe_name=snakemake.wildcards.recipe,
        recipe=snakemake.params.recipe,
        seed=int(snakemake.wildcards.seed),
        engine=snakemake.config["training"]["engine"],
        device=snakemake.config["training"]["device"],
        threads=snakemake.threads,
        code_sha256=snakemake.params.code,
        provenance={
            "title": snakemake.params.title,
            "channels": snakemake.wildcards.channels,
            "folds": snakemake.params.k,
            "simulated": snakemake.params.simulated,
            "git_commit": git_commit(Path(__file__).parent),
            "config_sha256": sha256_of_json(snakemake.config),
        },
    )

from sleepbench.core.logs import logged
from sleepbench.reporting.page.report import dataset_report

with logged(snakemake.log[0]):
    dataset_report(
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        snakemake.input.tables,
        snakemake.input.figures,
        snakemake.input.runs,
        snakemake.input.folds,
        snakemake.input.audit,
        snakemake.input.claims,
        snakemake.input.profiles,
        snakemake.output.report,
        snakemake.params.not_trained,
    )

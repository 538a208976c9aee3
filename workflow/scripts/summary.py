from sleepbench.core.files import read_json
from sleepbench.core.logs import logged
from sleepbench.protocols.audit import audit_sentence
from sleepbench.reporting.tables.main import summary

with logged(snakemake.log[0]):
    folds = {document["name"]: document for document in map(read_json, snakemake.input.folds)}
    summary(
        snakemake.wildcards.dataset,
        snakemake.params.simulated,
        [audit_sentence(folds[name]["audit"], protocol) for protocol, name in snakemake.params.protocols.items()],
        snakemake.input.tables,
        snakemake.input.figures,
        snakemake.output.summary,
        snakemake.params.not_trained,
    )

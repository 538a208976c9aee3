from pathlib import Path

from sleepbench.core.logs import logged
from sleepbench.datasets.recordings import first_subjects, read_recordings
from sleepbench.protocols.audit import write_fold_file
from sleepbench.protocols.folds import FoldSettings

with logged(snakemake.log[0]):
    write_fold_file(
        snakemake.wildcards.dataset,
        first_subjects(read_recordings(snakemake.input.table), snakemake.params.subjects),
        FoldSettings(**snakemake.params.settings),
        snakemake.params.subject_disjoint,
        Path(snakemake.output.folds),
        Path(snakemake.params.published),
    )

from sleepbench.core.logs import logged
from sleepbench.training.keys import check_training

with logged(snakemake.log[0]):
    check_training(snakemake.params.directory, snakemake.input.receipt)

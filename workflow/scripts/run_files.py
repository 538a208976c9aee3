from sleepbench.logs import logged
from sleepbench.training.runs import check_training_of

with logged(snakemake.log[0]):
    check_training_of(snakemake.output.predictions, snakemake.input.receipt)

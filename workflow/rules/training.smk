rule folds:
    input:
        recordings=paths.recordings("{dataset}"),
    output:
        folds=paths.folds("{dataset}", "{folds}"),
    log:
        paths.log(paths.folds("{dataset}", "{folds}")),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=MEMORY_MB,
        runtime=MINUTES,
    params:
        settings=lambda w: vars(W.fold_settings(w.dataset, w.folds)),
        committed=f"workflow/resources/folds/{{dataset}}/{{folds}}.json",
        code=code_sha256("folds"),
    message:
        "Making and auditing the folds {wildcards.folds} of {wildcards.dataset}"
    script:
        "../scripts/folds.py"


rule train:
    input:
        # Made of the recordings, which are no inputs of their own: Snakemake goes through all that they are made of for
        # every job that has them.
        folds=paths.folds("{dataset}", "{folds}"),
        # Before any training: the recordings hold what they are known to hold.
        totals=paths.totals("{dataset}", "{folds}", "{trimming}"),
    output:
        # What is there stays until the job has replaced it: a finished fold is recognised and kept, and Snakemake puts
        # it back when the job fails.
        training=update(directory(FOLD)),
    log:
        paths.log(FOLD),
    benchmark:
        paths.benchmark(FOLD)
    conda:
        ENVIRONMENT
    threads: W.config.training.threads
    resources:
        gpu=int(W.uses_gpu),
        mem_mb=4 * MEMORY_MB,
        runtime=48 * MINUTES,
    params:
        trainings=W.keys,
        recordings=paths.recordings("{dataset}"),
        training=W.training_parameters,
        code=lambda w: W.code_training("train", w),
        # Finished folds get the runs of rules that are added; they are not trained again.
        selection=module_sha256("sleepbench.protocols.selection"),
    message:
        "Training {wildcards.model} on {wildcards.dataset}: {wildcards.folds}, fold {wildcards.fold}, seed {wildcards.seed}; progress in {log}"
    script:
        "../scripts/train.py"


# A job that trains several folds makes a receipt and does not own their directories: if it fails at its fourth fold,
# Snakemake would remove the three that are finished. So with several folds a job, files of a fold cannot be archived or
# put into remote storage by Snakemake.
use rule train as train_stack with:
    output:
        receipt=f"{TRAINING}/stack-{{stack}}.json",
    log:
        paths.log(f"{TRAINING}/stack-{{stack}}.json"),
    benchmark:
        paths.benchmark(f"{TRAINING}/stack-{{stack}}.json")
    message:
        "Training {wildcards.model} on {wildcards.dataset}: {wildcards.folds}, folds {wildcards.stack}, seed {wildcards.seed}; progress in {log}"


rule smooth:
    input:
        training=lambda w: W.made_by(TrainingKey.named(w)),
        folds=paths.folds("{dataset}", "{folds}"),
    output:
        # Not beside the run's own predictions: nothing that reads runs comes across these.
        smoothed=directory(SMOOTHED),
    log:
        paths.log(SMOOTHED),
    benchmark:
        paths.benchmark(SMOOTHED)
    conda:
        ENVIRONMENT
    threads: W.config.training.threads
    resources:
        gpu=int(W.uses_gpu),
        mem_mb=4 * MEMORY_MB,
        runtime=MINUTES,
    params:
        recordings=paths.recordings("{dataset}"),
        code=lambda w: [W.code_training(kind, w) for kind in ("train", "smooth")],
    message:
        "Smoothing the predictions of {wildcards.model} on {wildcards.dataset}: {wildcards.folds}, fold {wildcards.fold}, seed {wildcards.seed}, {wildcards.selection}"
    script:
        "../scripts/smooth.py"

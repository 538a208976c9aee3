rule fetch:
    output:
        receipt=paths.receipt("{source}", "{recording}"),
    log:
        paths.log(paths.receipt("{source}", "{recording}")),
    benchmark:
        paths.benchmark(paths.receipt("{source}", "{recording}"))
    conda:
        ENVIRONMENT
    resources:
        download=1,
        mem_mb=MEMORY_MB,
        runtime=MINUTES,
    params:
        reading=lambda w: W.reading("fetch", w.source, w.recording),
    message:
        "Fetching and verifying {wildcards.recording} of {wildcards.source}, progress in {log}"
    script:
        "../scripts/fetch.py"


rule prepare:
    input:
        receipt=paths.receipt("{source}", "{recording}"),
    output:
        signals=paths.prepared("{source}", "{recording}"),
        epochs=paths.prepared("{source}", "{recording}", "epochs.csv"),
        record=paths.prepared("{source}", "{recording}", "json"),
        quality=paths.prepared("{source}", "{recording}", "quality.json"),
    log:
        paths.log(paths.prepared("{source}", "{recording}")),
    benchmark:
        paths.benchmark(paths.prepared("{source}", "{recording}"))
    conda:
        ENVIRONMENT
    resources:
        mem_mb=MEMORY_MB,
        runtime=MINUTES,
    params:
        reading=lambda w: W.reading("prepare", w.source, w.recording),
    message:
        "Preparing {wildcards.recording} of {wildcards.source}"
    script:
        "../scripts/prepare.py"


rule index:
    # One file stands between a dataset's recordings and its trainings, so that a plan grows with their sum.
    input:
        prepared=lambda w: W.prepared(w.dataset, "json"),  # with which the signals come, made of the receipts
    output:
        index=paths.recordings("{dataset}"),
        view=paths.recordings("{dataset}", "csv"),
    log:
        paths.log(paths.recordings("{dataset}")),
    benchmark:
        paths.benchmark(paths.recordings("{dataset}"))
    conda:
        ENVIRONMENT
    resources:
        mem_mb=MEMORY_MB,
        runtime=MINUTES,
    params:
        receipts=lambda w: W.receipts(w.dataset),
        excluded=lambda w: W.excluded(w.dataset),
        code=code_sha256("index"),
    message:
        "Listing the prepared recordings of {wildcards.dataset}"
    script:
        "../scripts/index.py"


rule totals:
    input:
        folds=paths.folds("{dataset}", "{folds}"),
        recordings=paths.recordings("{dataset}"),
    output:
        totals=paths.totals("{dataset}", "{folds}", "{trimming}"),
    log:
        paths.log(paths.totals("{dataset}", "{folds}", "{trimming}")),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=MEMORY_MB,
        runtime=MINUTES,
    params:
        known=lambda w: W.resources_sha256(W.known_files(w.dataset)),
        code=code_sha256("totals"),
    message:
        "Comparing the epochs of {wildcards.dataset}, {wildcards.folds}, {wildcards.trimming}, with the known totals"
    script:
        "../scripts/totals.py"


rule data:
    input:
        [W.receipts(dataset) for dataset in W.datasets],


rule prepared:
    input:
        [paths.recordings(dataset) for dataset in W.datasets],
        [W.totals(dataset) for dataset in W.plan.datasets],

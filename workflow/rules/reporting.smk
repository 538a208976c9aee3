rule log_runs:
    input:
        trainings=lambda w: W.trainings(w.dataset),
        recordings=paths.recordings("{dataset}"),
    output:
        runs=paths.logged("{dataset}"),
    log:
        paths.log(paths.logged("{dataset}")),
    benchmark:
        paths.benchmark(paths.logged("{dataset}"))
    conda:
        ENVIRONMENT
    resources:
        mlflow=1,
        mem_mb=MEMORY_MB,
        runtime=4 * MINUTES,
    params:
        runs=lambda w: W.runs_sha256(w.dataset),
        uri=W.config.tracking.uri,
        experiment=lambda w: W.experiment(w.dataset),
        store=W.store_state(),  # a store that was lost is filled again
        file=W.store_file,
        code=module_sha256("sleepbench.runs.mlflow"),
    message:
        "Logging the finished runs on {wildcards.dataset} to MLflow"
    script:
        "../scripts/log_runs.py"


rule collect_runs:
    input:
        runs=paths.logged("{dataset}"),
        trainings=lambda w: W.trainings(w.dataset),
        recordings=paths.recordings("{dataset}"),
        folds=lambda w: W.fold_files(w.dataset),
    output:
        table=paths.runs("{dataset}"),
    log:
        paths.log(paths.runs("{dataset}")),
    benchmark:
        paths.benchmark(paths.runs("{dataset}"))
    conda:
        ENVIRONMENT
    resources:
        mlflow=1,
        mem_mb=MEMORY_MB,
        runtime=MINUTES,
    params:
        code=module_sha256("sleepbench.runs.mlflow"),
        uri=W.config.tracking.uri,
        experiment=lambda w: W.experiment(w.dataset),
    message:
        "Verifying the runs on {wildcards.dataset} and collecting their metrics from MLflow"
    script:
        "../scripts/collect_runs.py"


rule audit:
    input:
        folds=lambda w: W.fold_files(w.dataset),
        totals=lambda w: W.totals(w.dataset),
    output:
        audit=paths.table("{dataset}", "audit", "json"),
    log:
        paths.log(f"{paths.home('{dataset}')}/audit.json"),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=MEMORY_MB,
        runtime=MINUTES,
    params:
        protocols=lambda w: W.protocols(w.dataset),
        label=lambda w: W.label(w.dataset),
        code=module_sha256("sleepbench.reporting.audit"),
    message:
        "Auditing the protocols on {wildcards.dataset}"
    script:
        "../scripts/audit.py"


rule statistics:
    input:
        unpack(lambda w: W.artefact_inputs(declared("statistics")["subjects"], w.dataset)),
    output:
        **{name: paths.statistics("{dataset}", name) for name in declared("statistics")["subjects"].names},
    log:
        paths.log(f"{paths.home('{dataset}')}/statistics"),
    benchmark:
        paths.benchmark(f"{paths.home('{dataset}')}/statistics")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=MEMORY_MB,
        runtime=4 * MINUTES,
    params:
        **W.artefact_parameters(declared("statistics")["subjects"]),
    message:
        "Statistics over the subjects of {wildcards.dataset}"
    script:
        "../scripts/compute_statistics.py"


rule tables:
    # One job for all: most of what each takes is to import what it is made with.
    input:
        unpack(lambda w: W.room_inputs("tables", w.dataset)),
    output:
        [paths.table("{dataset}", name, form) for name in declared("tables") for form in paths.TABLE_FORMS],
    log:
        paths.log(f"{paths.home('{dataset}')}/tables"),
    benchmark:
        paths.benchmark(f"{paths.home('{dataset}')}/tables")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=MEMORY_MB,
        runtime=4 * MINUTES,
    params:
        **W.room_parameters("tables"),
    message:
        "Tables of {wildcards.dataset}"
    script:
        "../scripts/tables.py"


rule figures:
    input:
        unpack(lambda w: W.room_inputs("figures", w.dataset)),
    output:
        [paths.figure("{dataset}", name, form) for name in declared("figures") for form in paths.FIGURE_FORMS],
    log:
        paths.log(f"{paths.home('{dataset}')}/figures"),
    benchmark:
        paths.benchmark(f"{paths.home('{dataset}')}/figures")
    conda:
        ENVIRONMENT
    resources:
        mem_mb=MEMORY_MB,
        runtime=4 * MINUTES,
    params:
        **W.room_parameters("figures"),
        titles=W.config.figures.titles,
    message:
        "Figures of {wildcards.dataset}"
    script:
        "../scripts/figures.py"


rule report:
    input:
        tables=[paths.table("{dataset}", name) for name in declared("tables")],
        figures=[paths.figure("{dataset}", name) for name in declared("figures")],
        downloads=[
            *(paths.table("{dataset}", name, "tex") for name in declared("tables")),
            *(paths.figure("{dataset}", name, form) for name in declared("figures") for form in ("pdf", "csv")),
        ],
        runs=paths.runs("{dataset}"),
        trainings=lambda w: W.trainings(w.dataset),
        folds=lambda w: W.fold_files(w.dataset),
        audit=paths.table("{dataset}", "audit", "json"),
        claims=paths.table("{dataset}", "claims"),
        profiles=lambda w: W.profiles(w.dataset),
    output:
        report=paths.report("{dataset}"),
    log:
        paths.log(paths.report("{dataset}")),
    benchmark:
        paths.benchmark(paths.report("{dataset}"))
    conda:
        ENVIRONMENT
    resources:
        mem_mb=MEMORY_MB,
        runtime=MINUTES,
    params:
        code=module_sha256("sleepbench.reporting.page.report"),
        template=W.resources_sha256(
            [
                f"workflow/sleepbench/reporting/page/{name}.jinja"
                for name in ("report.html", "parts.html", "style.css", "tables.js")
            ]
        ),
        not_trained=W.plan.not_trained(),
        label=lambda w: W.label(w.dataset),
    message:
        "Report of {wildcards.dataset}"
    script:
        "../scripts/report.py"


rule summary:
    input:
        tables=[paths.table("{dataset}", name, "md") for name, one in declared("tables").items() if one.in_summary],
        figures=[paths.figure("{dataset}", name) for name in declared("figures")],
        audit=paths.table("{dataset}", "audit", "json"),
    output:
        summary=paths.summary("{dataset}"),
    log:
        paths.log(paths.summary("{dataset}")),
    benchmark:
        paths.benchmark(paths.summary("{dataset}"))
    conda:
        ENVIRONMENT
    resources:
        mem_mb=MEMORY_MB,
        runtime=MINUTES,
    params:
        code=module_sha256("sleepbench.reporting.page.summary"),
        not_trained=W.plan.not_trained(),
        label=lambda w: W.label(w.dataset),
    message:
        "Joining the tables of {wildcards.dataset}"
    script:
        "../scripts/summary.py"


rule realism:
    input:
        recordings=paths.recordings("{dataset}"),
        # A network has to do better than a regression on the powers that the simulation is calibrated to.
        trainings=lambda w: W.trainings(w.dataset),
    output:
        **{form: f"{paths.home('{dataset}')}/realism.{form}" for form in ("csv", "md", "pdf", "png")},
        **{f"excerpts_{form}": f"{paths.home('{dataset}')}/realism-excerpts.{form}" for form in ("pdf", "png")},
    log:
        paths.log(f"{paths.home('{dataset}')}/realism.md"),
    conda:
        ENVIRONMENT
    threads: 2
    resources:
        mem_mb=2 * MEMORY_MB,
        runtime=8 * MINUTES,
    params:
        code=module_sha256("sleepbench.reporting.realism.page"),
    message:
        "Comparing the simulated cohort {wildcards.dataset} with the statistics of the real recordings"
    script:
        "../scripts/realism.py"

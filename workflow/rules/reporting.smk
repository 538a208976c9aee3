TABLES = ["main_results", "complexity", "claims"]
FIGURES = ["confusion", "night", "training_curves"]


# The store may be lost while all that was made from it is still there. This file, an input of `log_runs`, is renewed
# when it is, so that the runs are logged again from their files and the tables made again.
STORE = Path("results/mlflow-store.json")
store_database = Path(config["tracking"]["uri"].removeprefix("sqlite:///"))
store_lost = config["tracking"]["uri"].startswith("sqlite:///") and not store_database.exists()
store_line = json.dumps({"uri": config["tracking"]["uri"]}) + "\n"
if store_lost or not STORE.exists() or STORE.read_text() != store_line:
    STORE.parent.mkdir(exist_ok=True)
    STORE.write_text(store_line)


def experiment(dataset):
    return f"{dataset} (SIMULATED, not Sleep-EDF)" if DATASETS[dataset].simulated else dataset


def profiles(dataset):
    sizes = sorted({len(config["channels"][name]) for name in config["run"]["channels"]})
    return expand("results/profile/{model}-{n_channels}.json", model=config["run"]["models"], n_channels=sizes)


rule log_runs:
    input:
        receipts=lambda w: receipts(w.dataset),
        store=str(STORE),
    output:
        runs="results/{dataset}/logged_runs.json",
    log:
        "results/logs/{dataset}/log_runs.log",
    conda:
        ENVIRONMENT
    resources:
        mlflow=1,
    params:
        protocols=lambda w: {
            name: {
                "folds": FOLD_SETTINGS[w.dataset, name].name,
                "window": config["protocols"][name]["window"],
                "selection": config["protocols"][name]["selection"],
            }
            for name in config["run"]["protocols"]
        },
        uri=config["tracking"]["uri"],
        artifacts="results/mlflow-artifacts/{dataset}",
        experiment=lambda w: experiment(w.dataset),
    message:
        "Logging the finished runs on {wildcards.dataset} to MLflow"
    script:
        "../scripts/log_runs.py"


rule collect_runs:
    input:
        runs="results/{dataset}/logged_runs.json",
    output:
        table="results/{dataset}/runs.csv",
    log:
        "results/logs/{dataset}/collect_runs.log",
    conda:
        ENVIRONMENT
    resources:
        mlflow=1,
    params:
        uri=config["tracking"]["uri"],
        experiment=lambda w: experiment(w.dataset),
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Collecting the metrics of the runs on {wildcards.dataset} from MLflow"
    script:
        "../scripts/collect_runs.py"


def table_files(name):
    """A table's three files: CSV is the data, the others are rendered from it."""
    return {form: f"results/{{dataset}}/tables/{name}.{form}" for form in ("csv", "tex")} | {
        "md": report(
            f"results/{{dataset}}/tables/{name}.md",
            caption=f"../report/{name}.rst",
            category="{dataset}",
            subcategory="Tables",
        )
    }


def figure_files(name):
    """A figure as PNG and PDF, and the numbers behind it."""
    return {form: f"results/{{dataset}}/figures/{name}.{form}" for form in ("csv", "pdf")} | {
        "png": report(
            f"results/{{dataset}}/figures/{name}.png",
            caption=f"../report/{name}.rst",
            category="{dataset}",
            subcategory="Figures",
        )
    }


rule main_results:
    input:
        runs="results/{dataset}/runs.csv",
        published=PUBLISHED,
    output:
        **table_files("main_results"),
    log:
        "results/logs/{dataset}/main_results.log",
    conda:
        ENVIRONMENT
    params:
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Table: main results of {wildcards.dataset}"
    script:
        "../scripts/main_results.py"


rule complexity:
    input:
        profiles=lambda w: profiles(w.dataset),
        claims=CLAIMS,
    output:
        **table_files("complexity"),
    log:
        "results/logs/{dataset}/complexity.log",
    conda:
        ENVIRONMENT
    params:
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Table: size and cost of the networks of {wildcards.dataset}"
    script:
        "../scripts/complexity.py"


rule claims:
    input:
        claims=CLAIMS,
        runs="results/{dataset}/runs.csv",
        profiles=lambda w: profiles(w.dataset),
    output:
        **table_files("claims"),
    log:
        "results/logs/{dataset}/claims.log",
    conda:
        ENVIRONMENT
    params:
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Table: published claims of {wildcards.dataset}"
    script:
        "../scripts/claims.py"


rule confusion:
    input:
        runs="results/{dataset}/runs.csv",
    output:
        **figure_files("confusion"),
    log:
        "results/logs/{dataset}/confusion.log",
    conda:
        ENVIRONMENT
    params:
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Figure: confusion matrices of {wildcards.dataset}"
    script:
        "../scripts/confusion.py"


rule night:
    input:
        runs="results/{dataset}/runs.csv",
    output:
        **figure_files("night"),
    log:
        "results/logs/{dataset}/night.log",
    conda:
        ENVIRONMENT
    params:
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Figure: one night of {wildcards.dataset}"
    script:
        "../scripts/night.py"


rule training_curves:
    input:
        runs="results/{dataset}/runs.csv",
    output:
        **figure_files("training_curves"),
    log:
        "results/logs/{dataset}/training_curves.log",
    conda:
        ENVIRONMENT
    params:
        simulated=lambda w: DATASETS[w.dataset].simulated,
    message:
        "Figure: training curves of {wildcards.dataset}"
    script:
        "../scripts/training_curves.py"


rule summary:
    input:
        tables=expand("results/{{dataset}}/tables/{table}.md", table=TABLES),
        figures=expand("results/{{dataset}}/figures/{figure}.png", figure=FIGURES),
        folds=lambda w: sorted(
            {
                f"results/{w.dataset}/folds/{FOLD_SETTINGS[w.dataset, name].name}.json"
                for name in config["run"]["protocols"]
            }
        ),
    output:
        summary="results/{dataset}/summary.md",
    log:
        "results/logs/{dataset}/summary.log",
    conda:
        ENVIRONMENT
    params:
        simulated=lambda w: DATASETS[w.dataset].simulated,
        protocols=lambda w: {name: FOLD_SETTINGS[w.dataset, name].name for name in config["run"]["protocols"]},
    message:
        "Joining the tables of {wildcards.dataset}"
    script:
        "../scripts/summary.py"

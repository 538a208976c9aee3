# The only commands a reader must know; `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
DATASET ?= simulated
GPU ?=

BIN = $(VENV)/bin
SNAKEMAKE = $(BIN)/python -m sleepbench.launch
RUN = run={datasets: [$(DATASET)]}

export PYTHONUNBUFFERED = 1

.PHONY: help setup demo paper report ui test lint format lock clean
.DEFAULT_GOAL := help

help: ## list the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'
	@echo "DATASET=sleep-edf-20 | sleep-edf-78 | simulated; GPU=1 takes PyTorch's CUDA build; PYTHON=python3.x another Python"

setup: ## make or update .venv (the other commands do it by themselves)
	@envs/setup.sh "$(PYTHON)" "$(VENV)" "$(GPU)"

demo: setup ## the whole benchmark on a small simulated cohort, a few minutes
	@$(SNAKEMAKE) --config 'run={datasets: [simulated]}'
	@cat results/simulated/summary.md

paper: setup ## the benchmark on Sleep-EDF: DATASET=sleep-edf-20 or sleep-edf-78 (days on two cores)
	@[ "$(DATASET)" != simulated ] || { echo "Name the dataset: make paper DATASET=sleep-edf-20 (or sleep-edf-78)"; exit 2; }
	@$(SNAKEMAKE) --config '$(RUN)'
	@cat results/$(DATASET)/summary.md

report: setup ## Snakemake's HTML report of what has been run: DATASET=simulated (default) ...
	@$(SNAKEMAKE) --config '$(RUN)' --report results/$(DATASET)/report.html

ui: setup ## browse the runs in MLflow
	@uri=$$($(BIN)/python -c 'import yaml; print(yaml.safe_load(open("config.yaml"))["tracking"]["uri"])') && \
	  echo "MLflow on http://127.0.0.1:5000 shows $$uri; Ctrl-C ends it" && \
	  MLFLOW_DISABLE_TELEMETRY=true $(BIN)/mlflow ui --backend-store-uri "$$uri"

test: setup lint ## lint, then the test suite
	@$(BIN)/python -m pytest -n 2 $(PYTEST)

lint: setup ## ruff, snakefmt, snakemake --lint
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/snakefmt --check Snakefile workflow
	@$(BIN)/snakemake --lint

format: setup ## format Python and Snakemake files
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/snakefmt Snakefile workflow

lock: ## remake envs/requirements.lock and environment.yaml from requirements.in
	@envs/lock.sh "$(PYTHON)"

clean: setup ## say what results hold and what they cost to remake; YES=1 deletes them
	@$(BIN)/python -m sleepbench.clean $(if $(YES),--yes)

"""What Snakemake's catalogue of workflows looks for: https://snakemake.github.io/snakemake-workflow-catalog."""

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]


def test_the_files_of_the_standardised_part_are_there():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))["usage"]
    assert {"desc", "flags"} == {*usage["mandatory-flags"]}
    deployment = usage["software-stack-deployment"]
    assert {*deployment} <= {"conda", "apptainer", "apptainer+conda", "report"}
    assert all(isinstance(value, bool) for value in deployment.values())
    assert deployment["conda"] and (ROOT / "envs/environment.yaml").is_file()
    readme = (ROOT / "README.md").read_text(encoding="utf-8").lower()
    assert "snakemake" in readme and "workflow" in readme, "by these words the catalogue finds a repository"
    assert [*(ROOT / "workflow/rules").glob("*.smk")]


def test_the_page_on_the_configuration_names_every_section_of_it():
    page = (ROOT / "config/README.md").read_text(encoding="utf-8")
    sections = {*yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))}
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == sections


def test_the_workflow_can_be_asked_for_by_either_snakefile():
    """Other tests run it from the root; here by the file that the catalogue knows."""
    assert 'include: "workflow/Snakefile"' in (ROOT / "Snakefile").read_text(encoding="utf-8")
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    command = [sys.executable, "-m", "snakemake", "-s", "workflow/Snakefile", "-n", "--cores", "1", "--quiet", "rules"]
    config = ["--config", 'run={"experiment": "demo"}', "--forceall"]
    planned = subprocess.run(
        [*command, *config], cwd=ROOT, env=surroundings, capture_output=True, text=True, check=False
    )
    assert planned.returncode == 0, planned.stderr
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", planned.stdout + planned.stderr, re.MULTILINE))
    assert (jobs["all"], jobs["report"], jobs["train"]) == ("1", "1", "14")

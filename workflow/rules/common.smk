import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Of the checkout, whichever of its two Snakefiles was asked for.
ROOT = Path(workflow.current_basedir).parents[1]
# Scripts may run in a conda environment that holds third-party packages only: let them find ours.
PACKAGE = str(ROOT / "workflow")
sys.path.insert(0, PACKAGE)
os.environ.update(PYTHONPATH=os.pathsep.join([PACKAGE, *filter(None, [os.environ.get("PYTHONPATH")])]))

from sleepbench.config import paths
from sleepbench.config.code import code_sha256, module_sha256
from sleepbench.config.keys import TrainingKey
from sleepbench.config.made import name_memory
from sleepbench.core.errors import BenchmarkError
from sleepbench.core.surroundings import settle
from sleepbench.reporting.declared import declared
from sleepbench.workflow import Workflow

# Looked at for every job, so it is named only where it is used. Snakemake formats this path: braces in it are those of a
# directory's name.
ENVIRONMENT = (
    str(ROOT / "envs" / "environment.yaml").replace("{", "{{").replace("}", "}}")
    if workflow.deployment_settings.deployment_method
    else None
)
settle()
try:
    # envs/environment.yaml has PyTorch's CPU build.
    W = Workflow(
        config,
        ROOT,
        may_use_gpu=not workflow.deployment_settings.deployment_method,
        # On the machine that submits jobs, and again on the one that does this one: both must come to the same plan.
        elsewhere=workflow.non_local_exec or workflow.remote_exec,
    )
except BenchmarkError as error:
    raise WorkflowError(str(error)) from None

TRAINING = f"{paths.RESULTS}/{paths.TRAINING}"
FOLD = f"{TRAINING}/fold-{{fold}}"
SMOOTHED = f"{paths.RESULTS}/{paths.POSTPROCESSED}/fold-{{fold}}/{{selection}}"
MEMORY_MB, MINUTES = 2000, 60
"""What a job may take unless its rule says otherwise."""


wildcard_constraints:
    **W.wildcard_patterns(),


onstart:
    name_memory()
    for skipped in W.plan.skipped:
        print(f"Not trained: {skipped}", file=sys.stderr)
    for left_out in W.crosses.not_tested:
        print(f"Not tested: {left_out}", file=sys.stderr)

"""A copy of the workflow in a temporary directory, with a cohort and trainings as small as they go."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "workflow"), *filter(None, [os.environ.get("PYTHONPATH")])]),
}


@dataclass
class Project:
    """A working directory with its own config.yaml and results, and the repository's Snakefile and workflow."""

    directory: Path

    def configure(self, **sections: dict) -> None:
        """Update sections of config.yaml, mapping by mapping; a section that is not there is added."""
        path = self.directory / "config.yaml"
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name, values in sections.items():
            _update(config.setdefault(name, {}), values)
        path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "sleepbench.cli.app", *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess:
        """`sleepbench run` with arguments; stdout and stderr come together in `stdout`."""
        return self.sleepbench("run", *arguments)

    def sleepbench(self, *arguments: str) -> subprocess.CompletedProcess:
        """`sleepbench` with arguments."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env=ENVIRONMENT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )

    def read_bytes(self, pattern: str) -> dict[str, bytes]:
        """The files below the directory that match a pattern, by relative path."""
        files = [path for path in self.directory.glob(pattern) if path.is_file()]
        return {str(path.relative_to(self.directory)): path.read_bytes() for path in files}


def _update(mapping: dict, values: dict) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(mapping.get(key), dict):
            _update(mapping[key], value)
        else:
            mapping[key] = value


def make_project(directory: Path) -> Project:
    for name in ("Snakefile", "workflow", "envs"):
        (directory / name).symlink_to(REPOSITORY / name)
    (directory / "config.yaml").write_text((REPOSITORY / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    project = Project(directory)
    project.configure(
        run={"experiment": "demo", "protocols": ["released", "clean"], "models": ["ulw_sleepnet"]},
        datasets={
            "simulated": {
                **{"subjects": 4, "single_night_subjects": [3], "psg_hours": 1.75, "seed": 2},
                "training_epochs": 1,
            }
        },
    )
    return project


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project whose simulated benchmark has run to its end."""
    project = make_project(tmp_path_factory.mktemp("finished"))
    result = project.run()
    assert result.returncode == 0, result.stdout
    return project

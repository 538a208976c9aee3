"""Puts definitions, resources and config.yaml, which stand beside the package in a checkout, into what pip installs."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class WithFiles(build_py):
    """Of an editable install nothing is copied: `sleepbench.core.shipped` finds the folders where they are."""

    def run(self) -> None:
        """Copy what is no code after the code."""
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib, "sleepbench")
        for folder in ("definitions", "resources"):
            shutil.copytree(ROOT / "workflow" / folder, package / folder, dirs_exist_ok=True)
        shutil.copy(ROOT / "config.yaml", package / "definitions")


setup(cmdclass={"build_py": WithFiles})

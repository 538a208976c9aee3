"""Other people's repositories at a commit: run where they lie, and nothing of them is kept here."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

VARIABLE = "PARITY_SOURCES"


def of(
    repository: str, commit: str, framework: str, by: str = "authors", remark: str = ""
) -> Callable[[Callable], Callable]:
    """Say of a factory whose program it builds: what a reference file keeps beside the numbers.

    by : "authors" of the model's paper, or "independent"
    remark : what of the program is set in another way than its authors'
    """
    about = {"source": f"github.com/{repository} at {commit}", "framework": framework, "by": by, "remark": remark}

    def marked(factory: Callable) -> Callable:
        factory.about = about
        return factory

    return marked


def checkout(repository: str, commit: str, path: str) -> Path:
    """A file or folder of a repository, "owner/name", at a commit.

    The environment variable PARITY_SOURCES, or --sources, names the folder that has owner+name, a clone with its
    history. What is asked for is unpacked from it beside it, in owner+name@commit, which may also be there alone.
    """
    if VARIABLE not in os.environ:
        raise FileNotFoundError(f"say with --sources, or {VARIABLE}, in which folder the repositories are")
    clone = Path(os.environ[VARIABLE]) / repository.replace("/", "+")
    unpacked = clone.with_name(f"{clone.name}@{commit}")
    if not (unpacked / path).exists():
        if not clone.exists():
            raise FileNotFoundError(
                f"neither {unpacked / path} nor {clone} is there: git clone https://github.com/{repository} '{clone}'"
            )
        archive = subprocess.run(["git", "-C", clone, "archive", commit, path], capture_output=True)
        if archive.returncode:
            raise FileNotFoundError(f"{clone} at {commit}: {archive.stderr.decode().strip()}; git fetch it there")
        unpacked.mkdir(exist_ok=True)
        subprocess.run(["tar", "-x", "-C", unpacked], input=archive.stdout, check=True)
    return unpacked / path


def module_at(path: Path, name: str) -> ModuleType:
    """A module from its file, known as `name` to those that import it."""
    specification = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    return module


def stand_in(name: str, **content: object) -> ModuleType:
    """A module of this content for one that the program imports but its network does not need."""
    module = ModuleType(name)
    vars(module).update({"__path__": []}, **content)
    sys.modules[name] = module
    return module

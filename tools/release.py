"""Makes what a release consists of, and says how it gets a DOI: `make release`.

Usage: python tools/release.py [--output DIRECTORY]

Everything is of the commit that is checked out: wheel and source distribution, every committed archive of results with
its RO-Crate, CITATION.cff with the address that git knows as origin, and SHA256SUMS of all of it. Nothing is uploaded.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

import sleepbench
from sleepbench.config.load import load_known
from sleepbench.core.files import replacing_directory
from sleepbench.runs.crate import write_crate

ROOT = Path(__file__).parents[1]
ARCHIVES = ("docs/*/*-results.zip", "submissions/*.zip")
SUMS = "SHA256SUMS"
BUILD = "import sys; to = sys.argv[1]; from setuptools import build_meta as b; b.build_wheel(to); b.build_sdist(to)"
DOI = """\
How it gets a DOI, once:
  1. git tag -s v{version} && git push origin v{version}
  2. On zenodo.org, under your account's settings, switch the repository on, then make a release of the tag on GitHub:
     Zenodo keeps the tag's files and mints a DOI from CITATION.cff. Without GitHub, upload {directory} there by hand.
  3. Attach the files of {directory} to the release; who downloads them checks:  sha256sum -c {sums}
  4. Write the DOI of all versions into CITATION.cff (doi: 10.5281/zenodo.NUMBER) and into README.md.
The next version: raise it in pyproject.toml, sleepbench/__init__.py and CITATION.cff, with its date-released there."""


def main() -> None:
    """Build in a copy of the commit, and write whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=ROOT / "dist" / f"sleepbench-{sleepbench.__version__}")
    output: Path = parser.parse_args().output
    if changed := git("status", "--porcelain"):
        raise SystemExit(f"Error: files differ from the commit; commit or remove them first:\n{changed}")
    citation = ROOT / "CITATION.cff"
    if (found := cited_version(citation.read_text(encoding="utf-8"))) != sleepbench.__version__:
        raise SystemExit(f"Error: CITATION.cff is of version {found}, the package of {sleepbench.__version__}")
    output.parent.mkdir(parents=True, exist_ok=True)
    with replacing_directory(output) as directory:
        build(directory)
        for archive in sorted(path for pattern in ARCHIVES for path in ROOT.glob(pattern)):
            shutil.copy(archive, directory)
            write_crate(load_known(), archive, directory / f"{archive.stem}-crate.zip")
        text = with_repository(citation.read_text(encoding="utf-8"), address(origin()))
        (directory / citation.name).write_text(text, encoding="utf-8")
        (directory / SUMS).write_text(checksums(directory), encoding="utf-8")
    for path in sorted(output.iterdir()):
        print(f"{path.stat().st_size / 1e6:8.2f} MB  {path.name}")
    if "repository-code" not in yaml.safe_load(text):
        print("CITATION.cff names no repository: git remote add origin ADDRESS, and make release again")
    print(DOI.format(version=sleepbench.__version__, directory=output, sums=SUMS))


def git(*arguments: str) -> str:
    """What git says in the checkout."""
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True, text=True).stdout.strip()


def origin() -> str:
    """The address of origin, or nothing."""
    return git("remote", "get-url", "origin") if "origin" in git("remote").split() else ""


def address(remote: str) -> str:
    """The address of a remote as a reader opens it; empty for one that only this machine has."""
    found = re.fullmatch(r"(?:ssh://)?git@([^:/]+)[:/](.+)|https?://(?:[^@/]*@)?([^/]+)/(.+)", remote)
    host, name = [part for part in found.groups() if part] if found else ("", "")
    return f"https://{host}/{name.removesuffix('/').removesuffix('.git')}" if host else ""


def with_repository(citation: str, address: str) -> str:
    """CITATION.cff with where the code is, if that is known and not in it."""
    if not address or "repository-code" in yaml.safe_load(citation):
        return citation
    return f'{citation.rstrip()}\nrepository-code: "{address}"\n'


def cited_version(citation: str) -> str:
    """The version that CITATION.cff is of."""
    return str(yaml.safe_load(citation)["version"])


def build(directory: Path) -> None:
    """Wheel and source distribution of the commit, dated as it is, with the setuptools that is installed."""
    with tempfile.TemporaryDirectory() as copy:
        archive = subprocess.run(["git", "-C", ROOT, "archive", "HEAD"], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", copy], check=True, input=archive)
        dated = {**os.environ, "SOURCE_DATE_EPOCH": git("log", "-1", "--format=%ct")}
        command = [sys.executable, "-c", BUILD, str(directory.resolve())]
        done = subprocess.run(command, cwd=copy, env=dated, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"Error: the package cannot be built; make setup, then again:\n{done.stderr[-2000:]}")


def checksums(directory: Path) -> str:
    """The files of a directory as `sha256sum` prints them."""
    files = sorted(path for path in directory.iterdir() if path.name != SUMS)
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)


if __name__ == "__main__":
    main()

#!/bin/sh
# Remakes requirements.lock and environment.yaml from requirements.in. What is pinned stays as it is where it may: delete
# requirements.lock first for the newest of everything.
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$1" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet uv==0.13.9
[ ! -e requirements.lock ] || cp requirements.lock "$scratch"
# Of all platforms and Pythons, with the hash of every file that the index has.
"$scratch/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
    --output-file "$scratch/requirements.lock" requirements.in
{
    echo "# Made by \`make lock\` from requirements.in: every package with the hashes of its files, which pip checks."
    echo "# PyTorch's CPU build is of another index and has its own: envs/setup.sh says what is checked of it."
    sed '/^#/d' "$scratch/requirements.lock"
} >"$scratch/lock"
{
    echo "# Made by \`make lock\`: the packages of requirements.in that rules use, as pinned in requirements.lock. The project's"
    echo "# own package is not in it: the workflow puts it on PYTHONPATH. Conda passes no hashes to pip."
    echo "name: sleepbench"
    echo "channels: [conda-forge, nodefaults]"
    echo "dependencies:"
    echo "  - python=3.11"
    echo "  - pip"
    echo "  - pip:"
    echo "      - --extra-index-url https://download.pytorch.org/whl/cpu"
    sed '/^# for .make test. only/,$d; s/[ =#].*//; /^$/d' requirements.in | while read -r name; do
        echo "      - $(sed -n "s/^\($name==[^ ;]*\).*/\1/p" "$scratch/lock")"
    done
} >"$scratch/environment.yaml"
mv "$scratch/lock" requirements.lock
mv "$scratch/environment.yaml" .

#!/bin/sh
# Remakes requirements.lock and environment.yaml from requirements.in, in a virtual environment thrown away afterwards.
set -eu
cd "$(dirname "$0")"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$1" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet --requirement requirements.in
{
    echo "# Made by \`make lock\` from requirements.in. No hashes and no CUDA packages: which PyTorch build is taken is"
    echo "# decided at set-up (envs/setup.sh), and pip adds what the CUDA build needs."
    "$scratch/venv/bin/python" -m pip freeze --exclude pip --exclude setuptools |
        sed -E 's/^(torch==[0-9.]+)\+.*/\1/; /^(nvidia-|cuda-|triton)/d'
} >"$scratch/requirements.lock"
{
    echo "# Made by \`make lock\`: the packages of requirements.in that rules use, as pinned in requirements.lock. The project's"
    echo "# own package is not in it: the workflow puts it on PYTHONPATH."
    echo "name: sleepbench"
    echo "channels: [conda-forge, nodefaults]"
    echo "dependencies:"
    echo "  - python=3.11"
    echo "  - pip"
    echo "  - pip:"
    echo "      - --extra-index-url https://download.pytorch.org/whl/cpu"
    sed '/^# for .make test. only/,$d; s/[ =#].*//; /^$/d' requirements.in | while read -r name; do
        echo "      - $(grep -i "^$name==" "$scratch/requirements.lock")"
    done
} >"$scratch/environment.yaml"
mv "$scratch/requirements.lock" "$scratch/environment.yaml" .

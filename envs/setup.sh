#!/bin/sh
# Makes or updates the virtual environment that the Makefile's commands use.
# Usage: envs/setup.sh PYTHON VENV GPU, where GPU is 1 for PyTorch's CUDA build, 0 for its CPU build, and empty for what
# is there already, or else the CPU build.
set -eu
python=$1 venv=$2 gpu=$3
cd "$(dirname "$0")/.."

fail() {
    printf '\nError: %s\n' "$1" >&2
    exit 1
}

[ -n "$venv" ] || fail "VENV is empty; name the directory of the virtual environment, or leave VENV away"
case "$venv" in -*) venv=./$venv ;; esac # else it would be read as an option
case "$python" in -* | "") fail "PYTHON is '$python', expected a Python, such as python3" ;; esac
command -v "$python" >/dev/null || fail "there is no '$python'. Install it:  sudo apt-get install python3 python3-venv"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "'$python' is Python $version, at least 3.11 is needed. Install one and name it:
  sudo apt-get install python3.11 python3.11-venv
  make PYTHON=python3.11 ..."
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "Python $version has no venv module. Install it:  sudo apt-get install python$version-venv"

made_for=$(cut -d' ' -f1,2 "$venv/set-up" 2>/dev/null || true)
case "$gpu" in
"") flavour=${made_for%% *} && flavour=${flavour:-cpu} ;;
1) flavour=gpu ;;
0) flavour=cpu ;;
*) fail "GPU is '$gpu', expected 1 (PyTorch's CUDA build) or 0 (its CPU build)" ;;
esac

# Whatever the environment is made from: when this changes, it is brought up to date.
wanted="$flavour $version $(cat envs/requirements.lock pyproject.toml | cksum)"
[ -f "$venv/set-up" ] && [ "$(cat "$venv/set-up")" = "$wanted" ] && exit 0

echo "Setting up $venv for $flavour with Python $version (once; about 2 GB for cpu, several more for gpu) ..."
# Another Python, another flavour of PyTorch or a set-up that was interrupted: start afresh.
if [ -e "$venv" ] && [ "$made_for" != "$flavour $version" ]; then
    [ -f "$venv/pyvenv.cfg" ] || fail "'$venv' exists and is no virtual environment: move it away, or name another as VENV=..."
    rm -rf "$venv"
fi
[ "$flavour" = gpu ] || [ -n "$gpu" ] || ! ls /dev/nvidia[0-9]* >/dev/null 2>&1 ||
    echo "This machine has a GPU; the CPU build does not use it: make setup GPU=1 installs the CUDA build."
rm -f "$venv/set-up"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"
}

# Every file that pip takes has a hash in the lock, but one: PyTorch's CPU build is of PyTorch's own index, not of PyPI
# that the lock is made from. Its version is pinned, its index says its hash, which pip checks, and both are over https.
lock=envs/requirements.lock
if [ "$flavour" = cpu ] && [ "$(uname -s)" = Linux ]; then
    # PyPI's wheel for Linux brings gigabytes of CUDA; PyTorch's own index has the CPU build of the same release.
    torch=$(sed -n 's/^\(torch==[^ ;]*\).*/\1/p' "$lock")
    if pip install --no-deps --retries 1 --index-url https://download.pytorch.org/whl/cpu "$torch"; then
        # Without what only the CUDA build needs.
        awk '/^[^ #]/ {left_out = /^(torch==|nvidia-|cuda-|triton==)/} !left_out' "$lock" >"$venv/cpu.lock"
        lock=$venv/cpu.lock
    else
        echo "PyTorch's CPU index cannot be reached; taking $torch from PyPI" >&2
    fi
fi
pip install --require-hashes --requirement "$lock"
pip install --no-deps --editable .
"$venv/bin/python" envs/installed.py "$lock" "$(grep '^torch==' envs/requirements.lock)" ||
    fail "'$venv' does not hold what envs/requirements.lock says: remove it, and make setup again"
echo "$wanted" >"$venv/set-up"

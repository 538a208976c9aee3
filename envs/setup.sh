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

# A virtual environment holds paths of where it was made: copied, it runs the first one's code; moved, none.
place=$(pwd -P)
where_it_is() { (cd "$venv" 2>/dev/null && pwd -P) || true; }
made() { sed -n "$1p" "$venv/set-up" 2>/dev/null || true; } # 1: for what, 2: for which project, 3: where
made_for=$(made 1 | cut -d' ' -f1,2)
case "$gpu" in
"") flavour=${made_for%% *} && flavour=${flavour:-cpu} ;;
1) flavour=gpu ;;
0) flavour=cpu ;;
*) fail "GPU is '$gpu', expected 1 (PyTorch's CUDA build) or 0 (its CPU build)" ;;
esac

# Whatever the environment is made from: when this changes, it is brought up to date.
wanted="$flavour $version $(cat envs/requirements.lock pyproject.toml | cksum)
$place"
[ -f "$venv/set-up" ] && [ "$(cat "$venv/set-up")" = "$wanted
$(where_it_is)" ] && exit 0

echo "Setting up $venv for $flavour with Python $version (once; about 2 GB for cpu, several more for gpu) ..."
# Another Python, another flavour of PyTorch, another place or a set-up that was interrupted: start afresh.
[ "$(made 3)" = "$(where_it_is)" ] || [ -z "$(made 3)" ] ||
    echo "It was made as $(made 3), and was moved or copied: it is made again."
if [ -e "$venv" ] && [ "$made_for $(made 3)" != "$flavour $version $(where_it_is)" ]; then
    [ -f "$venv/pyvenv.cfg" ] || fail "'$venv' exists and is no virtual environment: move it away, or name another as VENV=..."
    rm -rf "$venv"
fi
[ "$flavour" = gpu ] || [ -n "$gpu" ] || ! ls /dev/nvidia[0-9]* >/dev/null 2>&1 ||
    echo "This machine has a GPU; the CPU build does not use it: make setup GPU=1 installs the CUDA build."
rm -f "$venv/set-up"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }

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
# In place of pip's script, whose first line is a path: a moved environment says so instead of "not found".
cat >"$venv/bin/sleepbench" <<'END'
#!/bin/sh
# Runs the sleepbench of the project that this environment was made in; written by envs/setup.sh.
venv=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd -P)
project=$(sed -n 2p "$venv/set-up")
made_as=$(sed -n 3p "$venv/set-up")
if [ "$venv" != "$made_as" ] || [ ! -e "$project/workflow/sleepbench" ]; then
    printf '\nError: %s was made as %s for %s, and was moved or copied. Make it again:  make setup\n' \
        "$venv" "$made_as" "$project" >&2
    exit 1
fi
exec "$venv/bin/python" -P -m sleepbench "$@"
END
chmod 755 "$venv/bin/sleepbench"
"$venv/bin/python" envs/installed.py "$lock" "$(grep '^torch==' envs/requirements.lock)" ||
    fail "'$venv' does not hold what envs/requirements.lock says: remove it, and make setup again"
printf '%s\n%s\n' "$wanted" "$(where_it_is)" >"$venv/set-up"

#!/usr/bin/env bash
# Make the environment, if it is not ready. Sourced by quickstart.sh and
# run_tests.sh; or run alone: bash tools/setup_env.sh
#
# Uses .venv beside this checkout, or the interpreter in ORSA_PYTHON, into
# whose environment it then installs. Leaves PYTHON set.
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

if [ -n "${ORSA_PYTHON:-}" ]; then
    PYTHON="$ORSA_PYTHON"
else
    PYTHON="$ROOT/.venv/bin/python"
    if ! "$PYTHON" -c '' 2> /dev/null; then
        base=""
        for name in python3.11 python3.12 python3; do
            if "$name" -c 'import sys
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2> /dev/null; then
                base="$name"
                break
            fi
        done
        if [ -z "$base" ]; then
            echo "setup_env: Python 3.11 or 3.12 is needed and was not" \
                "found; install it, or set ORSA_PYTHON" >&2
            exit 1
        fi
        echo "setup_env: making .venv with $("$base" --version)"
        "$base" -m venv "$ROOT/.venv"
    fi
fi
# On 3.13 xtcocotools 1.14.3, which mmpose needs, does not build.
if ! "$PYTHON" -c 'import sys
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2> /dev/null; then
    echo "setup_env: $PYTHON is not a Python of version 3.11 or 3.12" >&2
    exit 1
fi

# Checksum of what is to be installed: if it is installed already, there is
# nothing to do, and the check takes a fraction of a second.
WANTED="$(cat "$ROOT"/requirements/*.txt "$ROOT/setup.py" \
    "${BASH_SOURCE[0]}" | cksum | cut -d' ' -f1) $ROOT"
STAMP="$("$PYTHON" -c 'import sys; print(sys.prefix)')/.orsa-env"

if [ "$(cat "$STAMP" 2> /dev/null)" != "$WANTED" ]; then
    pip() {
        "$PYTHON" -m pip --disable-pip-version-check "$@"
    }
    apart() {
        pip install -q --no-deps --require-hashes --no-build-isolation "$@"
    }
    echo "setup_env: installing the requirements (a few minutes)"
    rm -f "$STAMP"
    # Wheels, except for one package without (required by cosmic-ray).
    pip install -q --require-hashes --only-binary :all: --no-binary yattag \
        -r "$ROOT/requirements/lock.txt"
    pip install -q -r "$ROOT/requirements/torch.txt"
    # Lite if there is no mmcv: a compiled one stays.
    "$PYTHON" -c 'import mmcv' 2> /dev/null \
        || apart -r "$ROOT/requirements/mmcv.txt"
    "$PYTHON" -c 'import importlib.metadata as m, xtcocotools.mask
m.version("mmpose")' 2> /dev/null \
        || apart --force-reinstall -r "$ROOT/requirements/apart.txt"
    pip install -q --no-deps --no-build-isolation -e "$ROOT"
    "$PYTHON" -c 'from orsa.utils.versions import PRIORS, PYTORCH, REQUIRED
from orsa.utils.versions import check_environment
check_environment(REQUIRED + PYTORCH + PRIORS)'
    echo "$WANTED" > "$STAMP"
    echo "setup_env: ready"
fi

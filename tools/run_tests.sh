#!/usr/bin/env bash
# Format checks, then pytest. Arguments go to pytest:
#   bash tools/run_tests.sh -k parity
# --stress runs the long forms of the tests of faults, bad input and hostile
# files instead, and prints what was tried and what was lost.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/setup_env.sh

if [ "${1:-}" = --stress ]; then
    shift
    export ORSA_STRESS=1 OMP_NUM_THREADS=1
    exec "$PYTHON" -m pytest tests/stress tests/test_utils/test_hostile_files.py \
        tests/test_engine/test_resume.py \
        tests/test_engine/test_numerical_faults.py \
        tests/test_engine/test_degenerate_batches.py \
        tests/test_engine/test_determinism.py \
        tests/test_engine/test_distributed.py "$@"
fi

files=$(git ls-files '*.py' 2> /dev/null || find orsa configs tools tests \
    demo setup.py -name '*.py' -not -path '*/.mim/*')
"$PYTHON" -m isort --check-only --diff $files
"$PYTHON" -m yapf --diff --parallel $files
"$PYTHON" -m flake8 $files
exec "$PYTHON" -m pytest "$@"

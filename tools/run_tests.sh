#!/usr/bin/env bash
# Format checks, then pytest. Arguments go to pytest:
#   bash tools/run_tests.sh -k parity
# --stress runs the long forms of the tests of faults, bad input and hostile
# files instead, and prints how much was tried and whether anything was lost.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/setup_env.sh

# All cores are busy with the complete suite: each process has one thread.
WORKERS="$("$PYTHON" -c 'import os; print(min(4, os.cpu_count() or 1))')"
share_the_work() {
    export OMP_NUM_THREADS=1
    exec "$PYTHON" -m pytest -n "$WORKERS" --dist loadfile \
        --no-loadscope-reorder "$@"
}

if [ "${1:-}" = --stress ]; then
    shift
    export ORSA_STRESS=1
    # the longest first
    share_the_work tests/stress/test_{kills,distributed_faults}.py \
        tests/stress/test_{documented_commands,mutants,bad_data}.py \
        tests/stress/test_properties.py \
        tests/test_utils/test_hostile_files.py \
        tests/test_engine/test_{resume,preemption,world_size,rank_checks}.py \
        tests/test_engine/test_{distributed,numerical_faults}.py \
        tests/test_engine/test_{degenerate_batches,determinism}.py \
        tests/test_evaluation/test_several_ranks.py "$@"
fi

files=$(git ls-files '*.py' 2> /dev/null || find orsa configs tools tests \
    demo setup.py -name '*.py' -not -path '*/.mim/*')
"$PYTHON" -m isort --check-only --diff $files
"$PYTHON" -m yapf --diff --parallel $files
"$PYTHON" -m flake8 $files
if [ $# = 0 ]; then
    share_the_work
fi
exec "$PYTHON" -m pytest "$@"

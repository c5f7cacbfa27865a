#!/usr/bin/env bash
# Format checks, then pytest. Arguments go to pytest:
#   bash tools/run_tests.sh -k parity
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/setup_env.sh

files=$(git ls-files '*.py' 2> /dev/null || find orsa configs tools tests \
    demo setup.py -name '*.py' -not -path '*/.mim/*')
"$PYTHON" -m isort --check-only --diff $files
"$PYTHON" -m yapf --diff --parallel $files
"$PYTHON" -m flake8 $files
exec "$PYTHON" -m pytest "$@"

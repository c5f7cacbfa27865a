#!/usr/bin/env bash
# Run the tests on other versions of the stack, one environment per row:
#   bash tools/test_matrix.sh --list
#   bash tools/test_matrix.sh [--core] [--again] [--remove] [ROW ...]
#       [-- PYTEST ARGS]
# Without a ROW, all that can run on this machine. --core runs only the tests
# that depend on the stack most. A row with a result for this commit and these
# tests in work_dirs/matrix/results.csv is not repeated (--again: it is).
# --remove deletes an environment after its run: each takes 6 GB. Pythons must
# be on PATH.
set -euo pipefail
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$ROOT"
MATRIX="$ROOT/work_dirs/matrix"
RESULTS="$MATRIX/results.csv"
ROWS=(pinned compiled oldest py312 forks)
CORE=(
    tests/test_models/test_{backbones,data_preprocessors,heads,losses,necks}
    tests/test_models/test_{priors,configs.py,compose_configs.py}
    tests/test_evaluation tests/test_datasets/test_{rafdb.py,transforms}
    tests/test_models/test_{fast_copy,linear,pretrained}.py
    tests/test_utils/test_{checkpoint,fileio,stack}.py
    tests/test_engine/test_{sam,hooks}.py tests/test_deploy
    tests/test_faces/test_detectors.py
    tests/test_apis/test_{inference,init_model}.py
)

# python, what it is
describe() {
    case "$1" in
        pinned) echo '3.11 the lock file, mmcv-lite' ;;
        compiled) echo '3.11 the lock file, mmcv compiled for the CPU' ;;
        oldest) echo '3.11 the lower bounds of requirements/*.txt' ;;
        py312) echo '3.12 the lock file, mmcv-lite' ;;
        forks) echo '3.11 requirements/forks.txt over the lock file' ;;
        *)
            echo "test_matrix: there is no row '$1', only: ${ROWS[*]}" >&2
            return 1
            ;;
    esac
}

# Print why a row cannot run here; nothing if it can.
obstacle() {
    local version free
    version="$(describe "$1" | cut -d' ' -f1)"
    free="$(df -Pk "$ROOT" | awk 'NR == 2 {print int($4 / 1048576)}')"
    if ! "python$version" -m venv --help > /dev/null 2>&1; then
        echo "python$version is not on PATH, or lacks venv"
    elif [ "$1" = compiled ] && ! echo 'int main() {}' \
        | g++ -std=c++20 -x c++ -fsyntax-only - 2> /dev/null; then
        echo 'no g++ that knows C++20'
    elif [ ! -d "$MATRIX/$1" ] && [ "$free" -lt 9 ]; then
        echo "9 GB are needed, $free are free"
    fi
}

pip() {
    "$PYTHON" -m pip --disable-pip-version-check "$@"
}

install_pinned() {
    ORSA_PYTHON="$PYTHON" bash tools/setup_env.sh
}
install_py312() { install_pinned; }

# The wheel is cached: building it takes ten minutes on two cores.
install_compiled() {
    install_pinned
    local wheels="$MATRIX/wheels-$(cksum < requirements/torch.txt | cut -d' ' -f1)"
    mkdir -p "$wheels"
    if ! ls "$wheels"/mmcv-2.1.0-*.whl > /dev/null 2>&1; then
        printf '#!/bin/sh\nexec g++ "$@" -std=c++20 -g0 -O1\n' > "$MATRIX/cxx.sh"
        chmod +x "$MATRIX/cxx.sh"
        MMCV_WITH_OPS=1 FORCE_CUDA=0 CXX="$MATRIX/cxx.sh" pip wheel -q \
            --no-build-isolation --no-deps -w "$wheels" mmcv==2.1.0
    fi
    pip uninstall -q -y mmcv-lite
    pip install -q --no-deps "$wheels"/mmcv-2.1.0-*.whl
    "$PYTHON" -c 'import torch, mmcv._ext'
}

# Every `>=X` becomes `==X`.
install_oldest() {
    local floors="$MATRIX/oldest.txt"
    cat requirements/{runtime,train,analysis,priors,deploy,optional,web}.txt \
        | sed -E 's/ *#.*//; s/>=([^,]+).*/==\1/; /^$/d' > "$floors"
    pip install -q $(grep -E '^torch(vision)?==' "$floors")
    pip install -q -r "$floors" -r requirements/build.txt \
        -r requirements/tests.txt -r requirements/docs.txt
    pip install -q --no-deps -r requirements/mmcv.txt
    pip install -q --no-deps --no-build-isolation -r requirements/apart.txt
    pip install -q --no-deps mmpose==1.3.0
    pip install -q --no-deps --no-build-isolation -e .
}

install_forks() {
    install_pinned
    pip uninstall -q -y mmengine mmcv-lite mmpretrain mmsegmentation mmdet
    pip install -q -r requirements/forks.txt
}

run_row() {
    local row="$1" version folder
    version="$(describe "$row" | cut -d' ' -f1)"
    folder="$MATRIX/$row"
    PYTHON="$folder/bin/python"
    echo "test_matrix: $row, $(describe "$row"): $folder.log"
    if [ ! -f "$folder/.installed" ] \
        || [ "$(cat "$folder/.installed")" != "$WANTED" ]; then
        rm -rf "$folder"
        "python$version" -m venv "$folder"
        "install_$row" > "$folder.log" 2>&1 || {
            tail -n 20 "$folder.log" >&2
            echo "test_matrix: $row does not install" >&2
            return 1
        }
        echo "$WANTED" > "$folder/.installed"
    fi
    rm -f "$folder.xml"
    # as in run_tests.sh: all cores are busy, each process has one thread
    OMP_NUM_THREADS=1 "$PYTHON" -m pytest --junitxml "$folder.xml" \
        -n "$WORKERS" --dist loadfile --no-loadscope-reorder "${ARGS[@]}" \
        > "$folder.log" 2>&1 || true
    "$PYTHON" tests/matrix_results.py record "$RESULTS" "$folder.xml" \
        "$row" "$COMMIT" "$NAME"
}

AGAIN='' REMOVE='' LIST='' NAME='' ARGS=() CHOSEN=()
while [ $# -gt 0 ]; do
    case "$1" in
        --again) AGAIN=1 ;;
        --remove) REMOVE=1 ;;
        --list) LIST=1 ;;
        --core) ARGS=("${CORE[@]}") NAME=core ;;
        --)
            shift
            ARGS+=("$@")
            NAME="${NAME:+$NAME }$*"
            break
            ;;
        *)
            describe "$1" > /dev/null
            CHOSEN+=("$1")
            ;;
    esac
    shift
done

if [ -n "$LIST" ]; then
    for row in "${ROWS[@]}"; do
        why="$(obstacle "$row")"
        printf '%-9s Python %s: %s\n' "$row" "$(describe "$row")" \
            "${why:-can run}"
    done
    exit
fi

mkdir -p "$MATRIX"
WORKERS="$(python3 -c 'import os; print(min(4, os.cpu_count() or 1))')"
COMMIT="$(git rev-parse --short HEAD 2> /dev/null || echo none)"
WANTED="$(cat requirements/*.txt setup.py tools/setup_env.sh \
    "${BASH_SOURCE[0]}" | cksum)"
status=0
for row in "${CHOSEN[@]:-${ROWS[@]}}"; do
    why="$(obstacle "$row")"
    if [ -n "$why" ]; then
        echo "test_matrix: $row is skipped: $why" >&2
        [ ${#CHOSEN[@]} = 0 ] || status=1
    elif [ -z "$AGAIN" ] && "$(command -v python3)" tests/matrix_results.py \
        has "$RESULTS" "$row" "$COMMIT" "$NAME"; then
        echo "test_matrix: $row has a result in $RESULTS (--again repeats it)"
    else
        run_row "$row" || status=1
    fi
    [ -z "$REMOVE" ] || rm -rf "$MATRIX/$row"
done
python3 tests/matrix_results.py table "$RESULTS"
exit "$status"

#!/usr/bin/env bash
# Test with several processes:
# bash tools/dist_test.sh CONFIG CHECKPOINT NUM [ARGS...]
# Without a GPU the processes use the CPU (gloo).
set -euo pipefail
if [[ $# -lt 3 ]]; then
    sed -n '2,4s/^# //p' "$0" >&2
    exit 2
fi
CONFIG=$1
CHECKPOINT=$2
GPUS=$3

# exec: signals go to the launcher, which passes them on.
export PYTHONPATH="$(dirname "$0")/..":${PYTHONPATH:-}
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --nproc_per_node="$GPUS" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"

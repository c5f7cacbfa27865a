#!/usr/bin/env bash
# Train with several processes: bash tools/dist_train.sh CONFIG NUM [ARGS...]
# Without a GPU the processes use the CPU (gloo).
set -euo pipefail
if [[ $# -lt 2 ]]; then
    sed -n '2,3s/^# //p' "$0" >&2
    exit 2
fi
CONFIG=$1
GPUS=$2

# exec: signals go to the launcher, which passes them on.
export PYTHONPATH="$(dirname "$0")/..":${PYTHONPATH:-}
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --nproc_per_node="$GPUS" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"

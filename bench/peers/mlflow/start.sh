#!/usr/bin/env bash
# Summary: starts MLflow's scoring server. It runs uvicorn, which reads the variables UVICORN_*.
# Usage:   start.sh PORT users|ours MODEL [WORKERS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
. bench/peers/settings.sh
export MLFLOW_TRACKING_URI=sqlite:///$PEER_STORE/mlflow.db
export UVICORN_ACCESS_LOG=false
export UVICORN_LOG_LEVEL=warning
exec "$BIN/mlflow" models serve --model-uri "$PEER_STORE/$MODEL-$MODE" --env-manager local \
  --host 127.0.0.1 --port "$PORT" --workers "$WORKERS"

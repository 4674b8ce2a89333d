#!/usr/bin/env bash
# Summary: starts MLServer with WORKERS inference processes; its gRPC port is PORT + 1.
# Usage:   start.sh PORT users|ours MODEL [WORKERS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
. bench/peers/settings.sh
export MLSERVER_HOST=127.0.0.1
export MLSERVER_HTTP_PORT=$PORT
export MLSERVER_GRPC_PORT=$((PORT + 1))
export MLSERVER_METRICS_PORT=$((PORT + 2))
export MLSERVER_METRICS_DIR=$PEER_STORE/metrics
export MLSERVER_DEBUG=false
export MLSERVER_PARALLEL_WORKERS=$WORKERS
exec "$BIN/mlserver" start "$PEER_STORE/$MODEL-$MODE"

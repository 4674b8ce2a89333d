#!/usr/bin/env bash
# Summary: starts MLServer with WORKERS inference processes; its gRPC port is PORT + 1.
# Usage:   start.sh PORT users|ours MODEL [WORKERS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
. bench/peers/settings.sh
export MLSERVER_HOST=127.0.0.1 MLSERVER_HTTP_PORT=$PORT MLSERVER_GRPC_PORT=$((PORT + 1)) MLSERVER_METRICS_PORT=$((PORT + 2))
export MLSERVER_DEBUG=false MLSERVER_PARALLEL_WORKERS=$WORKERS MLSERVER_METRICS_DIR=$PEER_STORE/metrics
exec "$BIN/mlserver" start "$PEER_STORE/$MODEL-$MODE"

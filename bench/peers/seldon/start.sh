#!/usr/bin/env bash
# Summary: starts Seldon's wrapper, on all interfaces (it has no setting), without gRPC; its metrics
#          are on PORT + 2.
# Usage:   start.sh PORT users|ours MODEL [WORKERS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
. bench/peers/settings.sh
exec "$BIN/seldon-core-microservice" "bench.peers.seldon.$MODE.AdultIncome" \
  --service-type MODEL --http-port "$PORT" --metrics-port "$((PORT + 2))" \
  --workers "$WORKERS" --grpc-workers 0 --log-level WARNING

#!/usr/bin/env bash
# Summary: starts Seldon's wrapper without gRPC, with its metrics on PORT + 2. It listens on all
#          interfaces, because it has no setting for that.
# Usage:   start.sh PORT users|ours MODEL [WORKERS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
. bench/peers/settings.sh
exec "$BIN/seldon-core-microservice" "bench.peers.seldon.$MODE.AdultIncome" \
  --service-type MODEL --http-port "$PORT" --metrics-port "$((PORT + 2))" \
  --workers "$WORKERS" --grpc-workers 0 --log-level WARNING

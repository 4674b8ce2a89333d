#!/usr/bin/env bash
# Summary: starts KServe's model server without gRPC and request logs. It listens on all
#          interfaces, because it has no setting for that.
# Usage:   start.sh PORT users|ours MODEL [WORKERS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
. bench/peers/settings.sh
exec "$BIN/python" -m "bench.peers.kserve.$MODE" --http_port "$PORT" --workers "$WORKERS" \
  --enable_grpc false --enable_latency_logging false \
  --log_config_file bench/peers/kserve/logging.json

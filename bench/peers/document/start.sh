#!/usr/bin/env bash
# Summary: starts the document's Flask application under gunicorn's sync workers.
# Usage:   start.sh PORT users|ours MODEL [WORKERS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
. bench/peers/settings.sh
exec "$BIN/gunicorn" --workers "$WORKERS" --worker-class sync --bind "127.0.0.1:$PORT" \
  --log-level warning --no-control-socket "bench.peers.document.$MODE:app"

#!/usr/bin/env bash
# Summary: starts LitServe with WORKERS inference workers and, by default, as many API servers.
# Usage:   start.sh PORT users|ours MODEL [WORKERS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
. bench/peers/settings.sh
exec "$BIN/python" -m "bench.peers.litserve.$MODE"

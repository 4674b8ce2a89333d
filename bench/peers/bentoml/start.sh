#!/usr/bin/env bash
# Summary: starts a BentoML service.
# Usage:   start.sh PORT users|ours MODEL [WORKERS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
. bench/peers/settings.sh
export BENTOML_HOME=$PEER_STORE
exec "$BIN/bentoml" serve "bench.peers.bentoml.$MODE:AdultIncome" --host 127.0.0.1 --port "$PORT"

#!/usr/bin/env bash
# Summary: starts our own server with a scikit-learn pipeline, or with our predict function.
# Usage:   start.sh PORT users|ours MODEL [WORKERS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
. bench/peers/settings.sh
export MAX_WAITING=1000
export HOST=127.0.0.1
export ROUTES="adult_income/predict:bench.peers.pipeline.$MODE:predict"
export PYTHONPATH=$PWD:$PWD/builders
exec "$BIN/python" -m runtime.serve

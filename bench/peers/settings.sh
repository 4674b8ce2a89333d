#!/usr/bin/env bash
# Summary: reads a start script's arguments and sets what all peers need, their telemetry off.
# Usage:   . bench/peers/settings.sh       (from a start script that has changed to the repository's root)
#
# Sets PORT, MODE, MODEL, WORKERS, BIN (the peer's programs) and PEER_STORE (where fit.py put its models; set it
# to have them elsewhere than .local/peers/NAME).
set -euo pipefail
. engines/common.sh
[ $# = 3 ] || [ $# = 4 ] || usage
[[ $1 =~ ^[0-9]+$ && $2 =~ ^(users|ours)$ && $3 =~ ^adult_income_(lr|rf|xgb)$ && ${4:-2} =~ ^[1-9][0-9]*$ ]] || usage
PORT=$1 MODE=$2 MODEL=$3 WORKERS=${4:-2}
peer=$(basename "$(dirname "$0")")
BIN=$PWD/.local/peer-$peer/bin
[ -x "$BIN/python" ] || die 69 "$BIN/python: no such program; see bench/peers/README.md, 'Install'"
export MODEL WORKERS PORT MODE BIN PEER_STORE=${PEER_STORE:-$PWD/.local/peers/$peer} PYTHONPATH=$PWD
[ -e "$PEER_STORE/$MODEL.expected.json" ] || die 78 "$PEER_STORE: no $MODEL; see bench/peers/README.md, 'Fit'"
export PATH=$BIN:$PATH # peers start programs of their own by name
export DO_NOT_TRACK=1 MLFLOW_DISABLE_TELEMETRY=true BENTOML_DO_NOT_TRACK=True ORT_DISABLE_TELEMETRY=1

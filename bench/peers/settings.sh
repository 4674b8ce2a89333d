#!/usr/bin/env bash
# Summary: reads a start script's arguments, sets variables for all peers and disables telemetry.
# Usage:   . bench/peers/settings.sh
#
# The start script has changed to the repository's root. This script sets PORT, MODE, MODEL,
# WORKERS, BIN (the folder of the peer's programs) and PEER_STORE (the folder of its models, which
# fit.py writes; default: .local/peers/NAME).
set -euo pipefail
. engines/common.sh

[ $# = 3 ] || [ $# = 4 ] || usage
[[ $1 =~ ^[0-9]+$ ]] || usage
[[ $2 =~ ^(users|ours)$ ]] || usage
[[ $3 =~ ^adult_income_(lr|rf|xgb)$ ]] || usage
[[ ${4:-2} =~ ^[1-9][0-9]*$ ]] || usage
export PORT=$1
export MODE=$2
export MODEL=$3
export WORKERS=${4:-2}

peer=$(basename "$(dirname "$0")")
export BIN=$PWD/.local/peer-$peer/bin
export PEER_STORE=${PEER_STORE:-$PWD/.local/peers/$peer}
[ -x "$BIN/python" ] || die 69 "$BIN/python: no such program. See bench/peers/README.md, 'Install'"
[ -e "$PEER_STORE/$MODEL.expected.json" ] ||
  die 78 "$PEER_STORE: has no model $MODEL. See bench/peers/README.md, 'Install, fit'"

export PYTHONPATH=$PWD
# Peers start their other programs by name.
export PATH=$BIN:$PATH
export DO_NOT_TRACK=1
export MLFLOW_DISABLE_TELEMETRY=true
export BENTOML_DO_NOT_TRACK=True
export ORT_DISABLE_TELEMETRY=1

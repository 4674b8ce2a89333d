#!/usr/bin/env bash
# Summary: runs a demo: trains all models, serves them from one server, tests each, stops it.
# Usage:   ./demo.sh       (make demo; ENGINE and PORT are the same as for other targets)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. engines/choose.sh
[ $# = 0 ] || usage

make_all() { # make_all ARGUMENT...: runs make in all/
  make --no-print-directory -C all "$@"
}

trap 'say "The demo has failed. make doctor checks this machine." >&2' ERR
choose_engine
# No client waits for an answer when the server stops.
export PORT=${PORT:-5111} DETACH=1 DRAIN_SECONDS=0
python3 engines/port.py "$PORT"
make_all -j "$(getconf _NPROCESSORS_ONLN)" train-all
make_all predict-all
trap 'make_all stop' EXIT
if ! make_all test-all; then
  make_all logs >&2
  exit 1
fi
read -r model _ < <(makefile_value all MODEL_DIRS)
say "Try it yourself: make predict-all in one shell, and in another"
echo "     curl -H 'Content-Type: application/json' -d @$model/test/test_instances.json \\"
echo "       http://127.0.0.1:$PORT/$(makefile_value "$model" MODEL_NAME)/predict"

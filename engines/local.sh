#!/usr/bin/env bash
# Summary: runs images without Docker. An image is a directory that local-build.sh has made.
# Usage:   local.sh train|predict|stop|logs IMAGE [MODEL_DIR]
#
# DETACH=1 predicts in the background. RELOAD=1 serves edits of MODEL_DIR without a rebuild.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
[ $# = 2 ] || [ $# = 3 ] || usage
check_image_name "$2"

name=$2
model=${3:-}
image=$PWD/.local/images/$name
running=$PWD/.local/run/$name
export BUILDERS=$PWD/builders APP_ROOT=$image
export HOST=${HOST:-${ADDRESS:-127.0.0.1}} PORT=${PORT:-5111}
application=(env PYTHONPATH=builders python3 -m runtime.environment run
  "$image/.s2i/environment" builders/s2i/bin/run)

check_built() { # check_built ROLE
  [ -e "$image/.venv/bin/python" ] || die 69 "there is no local image $name. Run make build-$1."
}

train() {
  check_built train
  export ROLE=train TRAIN=${TRAIN-1}
  exec "${application[@]}"
}

predict() {
  local command=run
  python3 engines/port.py "$PORT"
  check_built predict
  export ROLE=predict
  [ -z "${DETACH:-}" ] || command=start
  [ "${RELOAD:-}" != 1 ] ||
    application=(python3 engines/reload.py "$name" "$model" "$PACKAGE" "${application[@]}")
  exec python3 engines/local_server.py "$command" "$running" "$(url)" "${application[@]}"
}

url() { # url: prints the address at which this machine reaches the server
  case $HOST in
    0.0.0.0) echo "http://127.0.0.1:$PORT" ;;
    *) echo "http://$HOST:$PORT" ;;
  esac
}

case $1 in
  train) train ;;
  predict) predict ;;
  stop) exec python3 engines/local_server.py stop "$running" ;;
  logs)
    [ -r "$running.log" ] ||
      die 69 "$name was not started in the background. make predict DETACH=1 starts it."
    python3 engines/show_log.py <"$running.log"
    ;;
  *) usage ;;
esac

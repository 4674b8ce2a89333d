#!/usr/bin/env bash
# Summary: runs images without Docker: an image is a directory under .local/images with the same contents.
# Usage:   local.sh build IMAGE CONTEXT train|predict     local.sh train|predict|stop|logs IMAGE
#
# data/ and models/ are links there; images with equal requirements share one virtual environment.
# DETACH=1 predicts in the background; SETUP=1 lets a model's setup.sh install on this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. builders/engines/common.sh
[ $# -ge 2 ] || usage
check_image_name "$2"

root=$PWD
image=$root/.local/images/$2
running=$root/.local/run/$2
not_running="$2 is not running in the background; make predict DETACH=1 starts it"
export BUILDERS=$root/builders APP_ROOT=$image HOST=${HOST:-127.0.0.1} PORT=${PORT:-5111}

build() { # build CONTEXT ROLE
  choose_python
  eval "$(python3 builders/settings.py)"
  export S2I_SOURCE=$1 ROLE=$2 SETUP=${SETUP:-0} APP_ROOT=$image.$$ SETTINGS=/nonexistent
  export CACHE=$root/.local/cache ENVIRONMENTS=$root/.local/environments
  trap 'rm -rf "$APP_ROOT"' EXIT
  mkdir -p "$APP_ROOT" "$CACHE" "$ENVIRONMENTS"
  ln -s ../../../data ../../../models "$APP_ROOT"
  builders/s2i/bin/assemble
  rm -rf "$image" && mv "$APP_ROOT" "$image"
}

run() { # run ROLE [PREFIX...]: starts what assemble made, as the image's command would
  export ROLE=$1
  shift
  [ -e "$image/.venv/bin/python" ] || die 69 "there is no local image $(basename "$image"); make build-$ROLE makes it"
  exec "$@" python3 builders/runtime/environment.py run "$image/.s2i/environment" builders/s2i/bin/run
}

stop() {
  local pid
  pid=$(cat "$running.pid" 2>/dev/null) || die 69 "$not_running"
  kill "$pid" 2>/dev/null || say "$(basename "$image") had ended already"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
  rm -f "$running.pid"
}

case $1 in
  build) shift 2 && build "$@" ;;
  train) TRAIN=${TRAIN-1} run train ;;
  predict)
    python3 builders/port.py "$PORT"
    if [ -z "${DETACH:-}" ]; then run predict; fi
    mkdir -p "$root/.local/run"
    (run predict nohup) >"$running.log" 2>&1 </dev/null &
    echo $! >"$running.pid"
    ;;
  stop) stop ;;
  logs) cat "$running.log" 2>/dev/null || die 69 "$not_running" ;;
  *) usage ;;
esac

#!/usr/bin/env bash
# Summary: runs images without Docker: an image is a directory that local-build.sh has made.
# Usage:   local.sh train|predict|stop|logs IMAGE       DETACH=1 predicts in the background
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
[ $# = 2 ] || usage
check_image_name "$2"

root=$PWD
name=$2
image=$root/.local/images/$name
running=$root/.local/run/$name
not_running="$name is not running in the background; make predict DETACH=1 starts it"
export BUILDERS=$root/builders APP_ROOT=$image HOST=${HOST:-127.0.0.1} PORT=${PORT:-5111}

there() { # there ROLE
  [ -e "$image/.venv/bin/python" ] || die 69 "there is no local image $name; make build-$1 makes it"
}

run() { # run ROLE [PREFIX...]: starts what assemble made, as the image's command would
  export ROLE=$1
  shift
  exec "$@" python3 builders/runtime/environment.py run "$image/.s2i/environment" builders/s2i/bin/run
}

stop() {
  local pid
  pid=$(cat "$running.pid" 2>/dev/null) || die 69 "$not_running"
  kill "$pid" 2>/dev/null || say "$name had ended already"
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
  rm -f "$running.pid"
}

detach() {
  ! kill -0 "$(cat "$running.pid" 2>/dev/null)" 2>/dev/null || die 69 "$name is running already; make stop ends it"
  mkdir -p "$(dirname "$running")"
  (run predict nohup) >"$running.log" 2>&1 </dev/null &
  echo $! >"$running.pid"
}

case $1 in
  train) there train && TRAIN=${TRAIN-1} run train ;;
  predict)
    python3 engines/port.py "$PORT"
    there predict
    [ -n "${DETACH:-}" ] || run predict
    detach
    ;;
  stop) stop ;;
  logs) cat "$running.log" 2>/dev/null || die 69 "$not_running" ;;
  *) usage ;;
esac

#!/usr/bin/env bash
# Summary: runs images without Docker. An image is a directory that local-build.sh has made.
# Usage:   local.sh train|predict|stop|logs IMAGE       DETACH=1 predicts in the background
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
[ $# = 2 ] || usage
check_image_name "$2"

verb=$1
name=$2
image=$PWD/.local/images/$name
running=$PWD/.local/run/$name
not_running="$name is not running in the background. make predict DETACH=1 starts it."
export BUILDERS=$PWD/builders APP_ROOT=$image HOST=${HOST:-127.0.0.1} PORT=${PORT:-5111}

check_built() { # check_built ROLE
  [ -e "$image/.venv/bin/python" ] || die 69 "there is no local image $name. Run make build-$1."
}

run() { # run ROLE [PREFIX...]: starts the application, as the command of the image does
  export ROLE=$1
  shift
  exec "$@" python3 builders/runtime/environment.py run "$image/.s2i/environment" \
    builders/s2i/bin/run
}

process_id() { # process_id: prints the background server's process id; fails if none was started
  cat "$running.pid" 2>/dev/null
}

is_alive() { # is_alive PROCESS_ID
  kill -0 "$1" 2>/dev/null
}

detach() {
  local server
  server=$(process_id || true)
  ! is_alive "$server" || die 69 "$name is already running. make stop stops it."
  mkdir -p "$(dirname "$running")"
  (run predict nohup) >"$running.log" 2>&1 </dev/null &
  echo $! >"$running.pid"
}

stop() {
  local server
  server=$(process_id) || die 69 "$not_running"
  kill "$server" 2>/dev/null || say "$name had already ended"
  while is_alive "$server"; do
    sleep 0.1
  done
  rm -f "$running.pid"
}

case $verb in
  train)
    check_built train
    export TRAIN=${TRAIN-1}
    run train
    ;;
  predict)
    python3 engines/port.py "$PORT"
    check_built predict
    [ -n "${DETACH:-}" ] || run predict
    detach
    ;;
  stop)
    stop
    ;;
  logs)
    [ -r "$running.log" ] || die 69 "$not_running"
    python3 engines/show_log.py <"$running.log"
    ;;
  *)
    usage
    ;;
esac

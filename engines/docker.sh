#!/usr/bin/env bash
# Summary: runs images with Docker, and mounts data/ and models/ into their containers.
# Usage:   docker.sh train|predict|stop|logs IMAGE [MODEL_DIR]     DETACH=1: in the background
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
. engines/settings.sh
[ $# = 2 ] || [ $# = 3 ] || usage
image=$2

run() { # run DOCKER_ARGUMENTS...
  local user arguments
  docker image inspect "$image" >/dev/null 2>&1 ||
    die 69 "there is no image $image. Run make build-${image##*-}."
  [ "$(docker ps -q --filter "name=^$image\$")" = "" ] ||
    die 69 "$image is already running. make stop stops it."
  # A stopped container of DETACH=1 still exists, because it was kept for its logs.
  docker rm "$image" >/dev/null 2>&1 || true

  user=$(container_user)
  arguments=(--init --name "$image" --user "$user" "$@")
  arguments+=(--cap-drop ALL --security-opt no-new-privileges)
  if [ "${PAYLOAD:-}" = - ]; then
    arguments+=(--interactive)
  elif [ -t 0 ] && [ -t 1 ]; then
    arguments+=(--interactive --tty)
  fi
  [ -z "${PAYLOAD:-}" ] || arguments+=(--env PAYLOAD)
  [ -z "${SOURCE_DATE_EPOCH:-}" ] || arguments+=(--env SOURCE_DATE_EPOCH)
  add_settings
  [ "$1" = --detach ] || exec docker run "${arguments[@]}" "$image"
  # Docker prints the id of a container in the background.
  docker run "${arguments[@]}" "$image" >/dev/null
}

train() {
  run --rm --env TRAIN="${TRAIN-1}" \
    --mount "$(mounted "$PWD/data" /model/data)" --mount "$(mounted "$PWD/models" /model/models)"
}

predict() {
  local address=${ADDRESS:-127.0.0.1} keep=--rm url read_only=()
  python3 engines/port.py "${PORT:=5111}"
  python3 engines/server_start.py check
  url=http://${address/#0.0.0.0/127.0.0.1}:$PORT
  [ -z "${DETACH:-}" ] || keep=--detach
  # An application that writes outside of models/ needs READ_ONLY=0.
  [ "${READ_ONLY:-1}" = 0 ] || read_only=(--read-only --tmpfs "/tmp:size=64m")
  run "$keep" ${read_only[@]+"${read_only[@]}"} \
    --env MODElNAME="${MODEL_NAME:-}" --env PUBLIC_URL="$url" \
    --publish "$address:$PORT:5000" --mount "$(mounted "$PWD/models" /action/models)"
  exec python3 engines/server_start.py "$image" "$url"
}

check_container() {
  docker container inspect "$image" >/dev/null 2>&1 ||
    die 69 "$image is not running. Start it with make predict or make predict-all."
}

stop() {
  check_container
  docker stop --time 40 "$image" >/dev/null
  # Docker has already removed a container with --rm.
  docker rm "$image" >/dev/null 2>&1 || true
  say "Stopped $image"
}

case $1 in
  train) train ;;
  predict) predict ;;
  stop) stop ;;
  logs)
    check_container
    docker logs "$image" 2>&1 | python3 engines/show_log.py
    ;;
  *) usage ;;
esac

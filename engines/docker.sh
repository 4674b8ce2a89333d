#!/usr/bin/env bash
# Summary: runs images with Docker, with the document's mounts and ports.
# Usage:   docker.sh train|predict|stop|logs IMAGE       DETACH=1 predicts in the background
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
[ $# -ge 2 ] || usage

# The user that a container runs as: yours, in group 0; never root, for which models/ is opened to group 0.
container_user() {
  if [ "$(id -u)" != 0 ]; then
    echo "$(id -u):0"
  else
    chgrp 0 models && chmod g+w models && echo 1001:0
  fi
}

run() { # run IMAGE DOCKER_ARGUMENTS...
  local image=$1 arguments name
  shift
  docker image inspect "$image" >/dev/null 2>&1 || die 69 "there is no image $image; make build-${image##*-} makes it"
  [ "$(docker ps -q --filter "name=^$image\$")" = "" ] || die 69 "$image is running already; make stop ends it"
  docker rm "$image" >/dev/null 2>&1 || true # an ended one that DETACH=1 had left for its logs
  arguments=(--init --name "$image" --user "$(container_user)" "$@")
  [ ! -t 0 ] || [ ! -t 1 ] || arguments+=(--interactive --tty)
  for name in PAYLOAD SOURCE_DATE_EPOCH UNKNOWN WORKERS ACCESS_LOG LOG_FORMAT DRAIN_SECONDS MAX_BODY_BYTES MAX_ROWS \
    MAX_WAITING BODY_SECONDS HEADER_SECONDS; do
    [ -z "${!name:-}" ] || arguments+=(--env "$name")
  done
  for name in $FILE_VARIABLES; do
    [ -z "${!name:-}" ] || arguments+=(--env "$name=/run/$name" --mount "$(mounted "${!name}" "/run/$name"),readonly")
  done
  exec docker run "${arguments[@]}" "$image"
}

mounted() { # mounted SOURCE PATH: the argument that mounts a folder or a file, named by its full path, at PATH
  # Docker reads it as CSV, where a quote is doubled.
  local path=$1 quote='"'
  printf '"type=bind","source=%s","target=%s"' "${path//$quote/$quote$quote}" "$2"
}

there() { # there CONTAINER
  docker container inspect "$1" >/dev/null 2>&1 ||
    die 69 "$1 is not running in the background; make predict DETACH=1 starts it"
}

case $1 in
  train)
    run "$2" --rm --mount "$(mounted "$PWD/data" /model/data)" --mount "$(mounted "$PWD/models" /model/models)" --env TRAIN="${TRAIN-1}"
    ;;
  predict)
    python3 engines/port.py "${PORT:=5111}"
    if [ -z "${DETACH:-}" ]; then keep=--rm; else keep=--detach && exec >/dev/null; fi
    say "Port 5000 of the container is http://127.0.0.1:$PORT" >&2
    run "$2" "$keep" --mount "$(mounted "$PWD/models" /action/models)" --env MODElNAME="${MODEL_NAME:-}" --publish "$PORT:5000"
    ;;
  stop) there "$2" && docker stop --time 40 "$2" >/dev/null && { docker rm "$2" >/dev/null 2>&1 || true; } ;;
  logs) there "$2" && docker logs "$2" ;;
  *) usage ;;
esac

#!/usr/bin/env bash
# Summary: runs images with Docker, with the document's mounts and ports.
# Usage:   docker.sh keep UNFINISHED IMAGE           moves the tag IMAGE to a build that is whole
#          docker.sh train|predict|stop|logs IMAGE   DETACH=1 predicts in the background
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. builders/engines/common.sh
[ $# -ge 2 ] || usage

keep() { # keep UNFINISHED IMAGE
  docker image inspect "$1" >/dev/null 2>&1 || die 1 "s2i has built no image; see its messages above"
  docker tag "$1" "$2" && docker rmi "$1" >/dev/null
}

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
  for name in PAYLOAD SOURCE_DATE_EPOCH UNKNOWN WORKERS MAX_BODY_BYTES BODY_SECONDS DRAIN_SECONDS; do
    [ -z "${!name:-}" ] || arguments+=(--env "$name")
  done
  exec docker run "${arguments[@]}" "$image"
}

mounted() { # mounted FOLDER PATH: the argument that mounts a folder of the project at PATH
  printf '"type=bind","source=%s","target=%s"' "$PWD/$1" "$2"
}

case $1 in
  keep) "$@" ;;
  train)
    run "$2" --rm --mount "$(mounted data /model/data)" --mount "$(mounted models /model/models)" --env TRAIN="${TRAIN-1}"
    ;;
  predict)
    python3 builders/port.py "${PORT:=5111}"
    if [ -z "${DETACH:-}" ]; then keep=--rm; else keep=--detach && exec >/dev/null; fi
    say "Port 5000 of the container is http://127.0.0.1:$PORT" >&2
    run "$2" "$keep" --mount "$(mounted models /action/models)" --env MODElNAME="${MODEL_NAME:-}" --publish "$PORT:5000"
    ;;
  stop) docker stop --time 40 "$2" >/dev/null && { docker rm "$2" >/dev/null 2>&1 || true; } ;;
  logs) docker logs "$2" ;;
  *) usage ;;
esac

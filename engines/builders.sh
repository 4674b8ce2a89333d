#!/usr/bin/env bash
# Summary: makes the two s2i builder images, s2i-model-python and s2i-daemon-python.
# Usage:   builders.sh              (make builders)
#          builders.sh IMAGE        only if IMAGE is missing or older than builders/; one that isn't ours is pulled
#
# BASE_IMAGE     an image with Python 3.11-3.13 and its venv module (python:3.13-slim, or what was given last)
# ASSEMBLE_USER  the uid that builds run as: 0, or 1001 for clusters that refuse root builds (0, or the last)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh

label() { # label IMAGE NAME: the value of an image's label; nothing without one
  docker image inspect --format "{{index .Config.Labels \"$2\"}}" "$1" 2>/dev/null || true
}

foreign() { # foreign IMAGE: sees to it that a builder of somebody else's is there and is one
  docker image inspect "$1" >/dev/null 2>&1 || docker pull "$1" ||
    die 69 "builder image $1 can't be had; check TRAIN_BUILDER and PREDICT_BUILDER"
  [ -n "$(label "$1" io.openshift.s2i.scripts-url)" ] ||
    die 78 "$1 is not an s2i builder (it has no label io.openshift.s2i.scripts-url)"
}

source=$(cat builders/Dockerfile builders/*.sh builders/s2i/bin/* builders/runtime/*.* builders/runtime/pages/*.* | cksum | tr " " -)
case ${1:-} in
  '') ;;
  s2i-model-python | s2i-daemon-python) [ "$(label "$1" source)" != "$source" ] || exit 0 ;;
  *) foreign "$1" && exit ;;
esac
: "${BASE_IMAGE:=$(label s2i-model-python base-image)}" "${ASSEMBLE_USER:=$(label s2i-model-python assemble-user)}"
: "${BASE_IMAGE:=python:3.13-slim}" "${ASSEMBLE_USER:=0}"
[[ $ASSEMBLE_USER =~ ^[0-9]+$ ]] || die 2 "ASSEMBLE_USER=$ASSEMBLE_USER: expected a number, such as 0 or 1001"
docker image inspect "$BASE_IMAGE" >/dev/null 2>&1 || docker pull "$BASE_IMAGE" ||
  die 69 "base image $BASE_IMAGE can't be had: name another with BASE_IMAGE=, or do without Docker: ENGINE=local"
for target in model daemon; do
  say "Making builder image s2i-$target-python on $BASE_IMAGE"
  said=$(docker build --quiet --target "$target" --tag "s2i-$target-python" --label source="$source" \
    --label base-image="$BASE_IMAGE" --label assemble-user="$ASSEMBLE_USER" \
    --build-arg BASE_IMAGE="$BASE_IMAGE" --build-arg ASSEMBLE_USER="$ASSEMBLE_USER" builders 2>&1) || die 1 "$said"
done

#!/usr/bin/env bash
# Summary: makes the two s2i builder images, s2i-model-python and s2i-daemon-python.
# Usage:   builders.sh              (make builders)
#          builders.sh IMAGE        makes it only if it is missing or older than builders/;
#                                   pulls any other builder image
#
# BASE_IMAGE     an image with Python 3.11 to 3.14 and its venv module
#                (default: the one of the last run, or python:3.13-slim)
# ASSEMBLE_USER  the uid of builds: 0, or 1001 for clusters that do not allow root builds
#                (default: the one of the last run, or 0)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh

exists() { # exists IMAGE
  docker image inspect "$1" >/dev/null 2>&1
}

label() { # label IMAGE NAME: prints the value of an image's label, or nothing without that label
  docker image inspect --format "{{index .Config.Labels \"$2\"}}" "$1" 2>/dev/null || true
}

source_digest() { # source_digest: prints a digest of all files of the builder images
  find builders -name __pycache__ -prune -o -type f -print | LC_ALL=C sort | xargs cksum | cksum |
    tr ' ' -
}

require_foreign() { # require_foreign IMAGE: pulls IMAGE if missing; exits if it is not a builder
  exists "$1" || docker pull "$1" ||
    die 69 "Cannot pull builder image $1. Check TRAIN_BUILDER and PREDICT_BUILDER."
  [ -n "$(label "$1" io.openshift.s2i.scripts-url)" ] ||
    die 78 "$1 has no label io.openshift.s2i.scripts-url. Use the image of an s2i builder."
}

build() { # build TARGET: builds one of the Dockerfile's two targets
  local image=s2i-$1-python output
  say "Building builder image $image on $BASE_IMAGE"
  output=$(docker build --quiet --target "$1" --tag "$image" --label source="$digest" \
    --label base-image="$BASE_IMAGE" --label assemble-user="$ASSEMBLE_USER" \
    --build-arg BASE_IMAGE="$BASE_IMAGE" --build-arg ASSEMBLE_USER="$ASSEMBLE_USER" \
    builders 2>&1) || die 1 "$output"
}

digest=$(source_digest)
case ${1:-} in
  '') ;;
  s2i-model-python | s2i-daemon-python)
    [ "$(label "$1" source)" != "$digest" ] || exit 0
    ;;
  *)
    require_foreign "$1"
    exit
    ;;
esac

: "${BASE_IMAGE:=$(label s2i-model-python base-image)}"
: "${BASE_IMAGE:=python:3.13-slim}"
: "${ASSEMBLE_USER:=$(label s2i-model-python assemble-user)}"
: "${ASSEMBLE_USER:=0}"
[[ $ASSEMBLE_USER =~ ^[0-9]+$ ]] ||
  die 2 "ASSEMBLE_USER=$ASSEMBLE_USER: expected a number, such as 0 or 1001"
ways_out="Set BASE_IMAGE to another image, or use ENGINE=local."
exists "$BASE_IMAGE" || docker pull "$BASE_IMAGE" ||
  die 69 "Cannot pull base image $BASE_IMAGE. $ways_out"
build model
build daemon

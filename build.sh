#!/usr/bin/env bash
# Summary: builds one image from one model directory, with s2i and Docker, or for the local engine.
# Usage:   ./build.sh IMAGE MODEL_DIR train|predict
#
# IMAGE is the image's name, such as CONTAINER_NAME-train. MODEL_DIR is a directory of a model, or
# all. ENGINE=docker|local|auto chooses the engine. TRAIN_BUILDER and
# PREDICT_BUILDER name other builder images. A failed build does not change the image's tag. The
# build context is always removed. engines/stage.sh decides which files are in an image.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. engines/choose.sh
[ $# = 3 ] || usage

image=$1
model=$2
role=$3
export TRAIN_BUILDER=${TRAIN_BUILDER:-s2i-model-python}
export PREDICT_BUILDER=${PREDICT_BUILDER:-s2i-daemon-python}
# This file exists from the start of a build until it succeeds. engines/check_image.sh reads it.
unfinished=.local/unfinished/$image

check() { # check: exits if the image cannot be built from this directory for this role
  local file=$model/.s2i/environment
  check_image_name "$image"
  [[ $model =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] ||
    die 2 "model directory '$model': expected a directory here, named with letters, digits and _"
  [ -e "$file" ] || die 2 "$file: no such file. Is $model a model directory?"
  [ "$role" = train ] || [ "$role" = predict ] || die 2 "expected train or predict, found '$role'"
  [ ! -e "$model/.s2i/bin" ] ||
    die 78 "$model/.s2i/bin: would replace the builder's own scripts. Remove it."
  PYTHONPATH=builders python3 -m runtime.environment check "$file" "$role"
  python3 engines/model_names.py check "$model" "$image"
  if ! mkdir -p "$(dirname "$unfinished")" 2>/dev/null || [ ! -w "$(dirname "$unfinished")" ]; then
    die 77 "cannot write to .local/ of $PWD. Make this folder writable, or copy the repository."
  fi
}

# With a version manager, python3 is a script that takes longer to start than Python. A build starts
# Python many times.
real_python=$(python3 -c 'import sys; print(sys.executable)')
python3() { "$real_python" "$@"; }
export real_python
export -f python3
check
choose_engine
say "Building $image from $model"
context=$(mktemp -d)
trap 'remove "$context"' EXIT
trap 'die 130 "interrupted. Image $image was not changed."' INT
engines/stage.sh "$model" "$context"
: >"$unfinished"
# Errors show the paths of the user's files, not those of the copies. Only stderr is filtered.
{
  "engines/$ENGINE-build.sh" "$image" "$context" "$role" 2>&1 >&3 |
    python3 engines/user_paths.py "$context" "$PACKAGE" "$model" >&2
} 3>&1 || {
  exit_code=$?
  # With 78, the cause is in the user's files.
  [ "$exit_code" = 78 ] || say "make doctor checks what this machine needs for a build" >&2
  exit "$exit_code"
}
rm -f "$unfinished"
say "Image $image is ready"

#!/usr/bin/env bash
# Summary: builds one image from one model directory, with s2i and Docker, or for the local engine.
# Usage:   ./build.sh IMAGE MODEL_DIR train|predict
#
# IMAGE is the image's name (adult-income-lr-train). MODEL_DIR is a directory of this repository
# (logisticRegression, or all). ENGINE=docker|local|auto chooses the engine. TRAIN_BUILDER and
# PREDICT_BUILDER name other builder images. A failed build does not change the image's tag. The
# build context is always removed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. engines/choose.sh
[ $# = 3 ] || usage

image=$1
model=$2
role=$3
# ROUTES use this package name for the models. It does not depend on the name of the clone's folder.
PACKAGE=finance_income_prediction
export TRAIN_BUILDER=${TRAIN_BUILDER:-s2i-model-python}
export PREDICT_BUILDER=${PREDICT_BUILDER:-s2i-daemon-python}

check() { # check: exits if the image cannot be built from this directory for this role
  local file=$model/.s2i/environment
  check_image_name "$image"
  [[ $model =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] ||
    die 2 "model directory '$model': expected a name here made of letters, digits and _"
  [ -e "$file" ] || die 2 "$file: no such file. Is $model a model directory?"
  [ "$role" = train ] || [ "$role" = predict ] || die 2 "expected train or predict, found '$role'"
  [ ! -e "$model/.s2i/bin" ] ||
    die 78 "$model/.s2i/bin: would replace the builder's own scripts. Remove it."
  python3 builders/runtime/environment.py check "$file" "$role"
}

# This function decides which files are in an image.
stage() { # stage CONTEXT: copies the application and the shared code into an empty folder
  local context=$1
  local app=$context/$PACKAGE
  local name names commit
  mkdir "$app"
  cp -R utils common_utils constraints.txt "$context"

  if [ "$model" = all ]; then
    names=${MODEL_DIRS-$(makefile_value all MODEL_DIRS)}
    # shellcheck disable=SC2086 # a list of names, one word each
    python3 all/generate.py "$app" $names
  else
    cp -R "$model/." "$app"
  fi

  for name in .s2i setup.sh requirements.txt requirements_train.txt requirements_predict.txt; do
    [ ! -e "$app/$name" ] || mv "$app/$name" "$context/$name"
  done
  find "$context" \( -name __pycache__ -o -name test -o -name Makefile -o -name README.md \) \
    -prune -exec rm -rf {} +

  commit=$(git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null || echo unknown)
  printf '\nGIT_COMMIT=%s\n' "$commit" >>"$context/.s2i/environment"
}

check
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
stage "$context"
choose_engine
say "Building $image from $model"
# Errors show the paths of the user's files, not those of the copies. Only stderr is filtered.
{
  "engines/$ENGINE-build.sh" "$image" "$context" "$role" 2>&1 >&3 |
    python3 engines/user_paths.py "$context" "$image" "$PACKAGE" "$model" >&2
} 3>&1
say "Built $image"

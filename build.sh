#!/usr/bin/env bash
# Summary: builds one image from one model directory, with s2i and Docker, or for the local engine.
# Usage:   ./build.sh IMAGE MODEL_DIR train|predict
#
# IMAGE is the image's name (adult-income-lr-train), MODEL_DIR a directory here (logisticRegression, or all).
# ENGINE=docker|local|auto chooses the engine; TRAIN_BUILDER and PREDICT_BUILDER name other builder images.
# The image's tag moves only once the build has succeeded; the context is thrown away in any case.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. engines/choose.sh

PACKAGE=finance_income_prediction # what the ROUTES call the models, wherever the clone lies
export TRAIN_BUILDER=${TRAIN_BUILDER:-s2i-model-python} PREDICT_BUILDER=${PREDICT_BUILDER:-s2i-daemon-python}

# What goes into an image. Change it to put in more, or less.
stage() { # stage CONTEXT MODEL_DIR
  local context=$1 model=$2 app=$1/$PACKAGE name
  mkdir "$app"
  cp -R utils common_utils constraints.txt "$context"
  if [ "$model" = all ]; then
    # shellcheck disable=SC2046,SC2086 # a list of names, one word each
    python3 all/generate.py "$app" ${MODEL_DIRS-$(sed -n 's/^MODEL_DIRS *:= *//p' all/Makefile)}
  else
    cp -R "$model/." "$app"
  fi
  for name in .s2i setup.sh requirements.txt requirements_train.txt requirements_predict.txt; do
    [ ! -e "$app/$name" ] || mv "$app/$name" "$context/$name"
  done
  find "$context" \( -name __pycache__ -o -name test -o -name Makefile -o -name README.md \) -prune -exec rm -rf {} +
  printf '\nGIT_COMMIT=%s\n' "$(git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null || echo unknown)" \
    >>"$context/.s2i/environment"
}

with_docker() { # with_docker IMAGE CONTEXT ROLE
  local image=$1 context=$2 role=$3 unfinished=$1:unfinished-$$-$RANDOM builder=$PREDICT_BUILDER code=0
  [ "$role" = predict ] || builder=$TRAIN_BUILDER
  engines/builders.sh "$builder"
  mkdir "$scratch/settings" && python3 engines/pip_settings.py "$scratch/settings"
  TMPDIR=$scratch s2i build --copy "$context" "$builder" "$unfinished" --application-name "$image" --pull-policy never \
    --volume "$scratch/settings:/run/s2i-settings:ro" --volume s2i-python-wheels:/var/cache/s2i || code=$?
  engines/keep.sh "$unfinished" "$image" "$code" "$scratch/settings"
}

[ $# = 3 ] || usage
check_image_name "$1"
[[ $2 =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || die 2 "model directory '$2': expected a name here made of letters, digits and _"
[ -e "$2/.s2i/environment" ] || die 2 "$2/.s2i/environment: no such file; is $2 a model directory?"
[ "$3" = train ] || [ "$3" = predict ] || die 2 "expected train or predict, found '$3'"
[ ! -e "$2/.s2i/bin" ] || die 78 "$2/.s2i/bin: would take the place of the builder's own scripts; remove it"
python3 builders/runtime/environment.py check "$2/.s2i/environment" "$3"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/context"
stage "$scratch/context" "$2"
choose_engine
say "Building $1 from $2"
[ "$ENGINE" = local ] || with_docker "$1" "$scratch/context" "$3"
[ "$ENGINE" = docker ] || engines/local-build.sh "$1" "$scratch/context" "$3"
say "Built $1"

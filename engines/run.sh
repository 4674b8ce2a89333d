#!/usr/bin/env bash
# Summary: runs or stops an image, or prints its log, with the available engine. Make calls it.
# Usage:   run.sh train|predict-once|predict|stop|logs IMAGE [MODEL_DIR]
#
# With MODEL_DIR, a warning is printed if the image is older than its files. BUILD=1 builds the
# image first.
# train calls the train function with {"$ref": DATASET_NAME, "model_name": MODEL_NAME}, or with
# PAYLOAD if it is set. predict-once calls the predict function of a train image with PAYLOAD,
# without a server. PAYLOAD=@FILE is the content of a file, and PAYLOAD=- the standard input.
# RELOAD=1 lets predict serve edits without a rebuild (engines/reload.py).
# With MODEL_HMAC_KEY_FILE=/path/to/keys, train signs the model file and predict verifies it
# (docs/model-files.md).
set -euo pipefail
called_from=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/choose.sh
. engines/settings.sh
[ $# = 2 ] || [ $# = 3 ] || usage

verb=$1
image=$2
model=${3:-}
export PAYLOAD=${PAYLOAD:-}
if [ "$verb" = train ] && [ -z "$PAYLOAD" ]; then
  PAYLOAD=$(python3 builders/commands.py object \
    "\$ref" "${DATASET_NAME:-}" model_name "${MODEL_NAME:-}")
elif [ "$verb" = predict-once ]; then
  [ -n "$PAYLOAD" ] ||
    die 2 "PAYLOAD is not set; expected PAYLOAD='{\"instances\": [...]}' or PAYLOAD=@FILE"
  verb=train
  # A train image without TRAIN=1 calls the predict function.
  export TRAIN=
fi

open_payload() { # open_payload FILE: makes FILE the standard input, which the runner reads
  local file=$1
  # The name is relative to the model's directory, in which make runs, or to the repository.
  [[ $file = /* || ! -e $called_from/$file ]] || file=$called_from/$file
  [[ -f $file && -r $file ]] || die 2 "PAYLOAD=@$1: expected a file that can be read"
  exec <"$file"
  # A program's arguments and variables have a limit of 128 kB each on Linux.
  PAYLOAD=-
}

prepare_image() { # prepare_image: builds the image if BUILD=1, or warns if it is not current
  if [ "${BUILD:-}" != 1 ]; then
    engines/check_image.sh "$image" "$model" "$verb"
  elif [ "$1" = predict-once ]; then
    # The standard output has only the answer.
    ./build.sh "$image" "$model" "$verb" >&2
  else
    ./build.sh "$image" "$model" "$verb"
  fi
}

case $verb in
  train | predict) check_settings ;;
esac
[ "$verb" != train ] || [[ $PAYLOAD != @* ]] || open_payload "${PAYLOAD#@}"
choose_engine >&2 </dev/null
if [ "$verb" = predict ] && [ "${RELOAD:-}" = 1 ]; then
  [ "$ENGINE" = local ] || die 2 "RELOAD=1 needs the local engine, found $ENGINE. Set ENGINE=local."
  # The server starts with the current files.
  export BUILD=1
fi
[ -z "$model" ] || prepare_image "$1" </dev/null
exec "engines/$ENGINE.sh" "$verb" "$image" ${model:+"$model"}

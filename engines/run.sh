#!/usr/bin/env bash
# Summary: runs or stops an image, or prints its log, with the available engine. Make calls it.
# Usage:   run.sh train|predict-once|predict|stop|logs IMAGE
#
# train calls the train function with {"$ref": DATASET_NAME, "model_name": MODEL_NAME}, or with
# PAYLOAD if it is set. predict-once calls the predict function of a train image with PAYLOAD,
# without a server. With MODEL_HMAC_KEY_FILE=/path/to/keys, train signs the model file and predict
# verifies it (docs/model-files.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/choose.sh
. engines/settings.sh
[ $# = 2 ] || usage

verb=$1
export PAYLOAD=${PAYLOAD:-}
if [ "$verb" = train ] && [ -z "$PAYLOAD" ]; then
  PAYLOAD=$(python3 builders/commands.py object \
    "\$ref" "${DATASET_NAME:-}" model_name "${MODEL_NAME:-}")
elif [ "$verb" = predict-once ]; then
  [ -n "$PAYLOAD" ] ||
    die 2 "PAYLOAD is not set; expected PAYLOAD='{\"instances\": [...]}'"
  verb=train
  # A train image without TRAIN=1 calls the predict function.
  export TRAIN=
fi

case $verb in
  train | predict) check_settings ;;
esac
choose_engine >&2
exec "engines/$ENGINE.sh" "$verb" "$2"

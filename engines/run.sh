#!/usr/bin/env bash
# Summary: runs, stops or shows an image with the engine that is there; what the Makefiles call.
# Usage:   run.sh train|predict-once|predict|stop|logs IMAGE
#
# train hands {"$ref": DATASET_NAME, "model_name": MODEL_NAME} to the train function, or PAYLOAD if
# that is set; predict-once hands PAYLOAD to the predict function of a train image, without a
# server. MODEL_HMAC_KEY_FILE=/path/to/keys signs what train writes and verifies what predict reads
# (docs/model-files.md).
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

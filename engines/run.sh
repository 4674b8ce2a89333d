#!/usr/bin/env bash
# Summary: runs, stops or shows an image with the engine that is there; what the Makefiles call.
# Usage:   run.sh train|predict-once|predict|stop|logs IMAGE
#
# train hands {"$ref": DATASET_NAME, "model_name": MODEL_NAME} to the train function, or PAYLOAD if that is set;
# predict-once hands PAYLOAD to the predict function of a train image, without a server.
# MODEL_HMAC_KEY_FILE=/path/to/keys signs what train writes and verifies what predict reads (README).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/choose.sh
[ $# = 2 ] || usage
verb=$1
if [ "$verb" = train ] && [ -z "${PAYLOAD:-}" ]; then
  PAYLOAD=$(python3 -c 'import json, sys; print(json.dumps(dict(zip(sys.argv[1::2], sys.argv[2::2]))))' \
    "\$ref" "${DATASET_NAME:-}" model_name "${MODEL_NAME:-}")
elif [ "$verb" = predict-once ]; then
  [ -n "${PAYLOAD:-}" ] || die 2 "PAYLOAD is not set; expected PAYLOAD='{\"instances\": [...]}'"
  export TRAIN= && verb=train
fi
export PAYLOAD=${PAYLOAD:-}
[[ $verb != predict && $verb != train ]] || check_file_variables
choose_engine >&2
exec "engines/$ENGINE.sh" "$verb" "$2"

#!/usr/bin/env bash
# Summary: shows what is in a model file, or what loading a foreign pickle would import; runs
#          nothing of it.
# Usage:   MODEL=NAME|PATH extras/inspect/inspect.sh       (make inspect MODEL=adult_income_rf)
#
# Exit codes: 0 valid, 1 not valid, 2 usage. MODEL_HMAC_KEY_FILE names the keys that a signature is
# checked by.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. engines/common.sh
[ -n "${MODEL:-}" ] || usage
. tools/environment.sh inspect builders/runtime/requirements.txt all/requirements.txt >&2
exec "$BIN/python" -m extras.inspect.model_file "$MODEL"

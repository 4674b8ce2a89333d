#!/usr/bin/env bash
# Summary: prints the contents of a model file, or the names that loading any other pickle would
#          import. No code in the file is run.
# Usage:   MODEL=NAME|PATH extras/inspect/inspect.sh       (make inspect MODEL=NAME)
#
# Exit codes: 0 valid model file or pickle without imports, 1 any other file, 2 usage. Signatures
# are verified with the keys in MODEL_HMAC_KEY_FILE.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. engines/common.sh
[ -n "${MODEL:-}" ] || usage
. tools/environment.sh inspect extras/inspect/requirements.txt builders/runtime/requirements.txt \
  all/requirements.txt >&2
exec "$BIN/python" -m extras.inspect.model_file "$MODEL"

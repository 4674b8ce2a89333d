#!/usr/bin/env bash
# Summary: installs what the tests need and runs them.
# Usage:   tests/run.sh [PYTEST_ARGUMENT...]       (make test)
#
# pytest's summary lists the tests that were skipped because Docker or s2i is not available.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/environment.sh tests tests/requirements.txt builders/runtime/requirements.txt \
  extras/inspect/requirements.txt ./*/requirements_train.txt
exec "$BIN/python" -m pytest "$@"

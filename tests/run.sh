#!/usr/bin/env bash
# Summary: runs the tests, with all that they need; tells which it leaves out where there is no Docker engine or s2i.
# Usage:   tests/run.sh [PYTEST_ARGUMENT...]       (make test)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/environment.sh tests tests/requirements.txt builders/runtime/requirements.txt ./*/requirements_train.txt
exec "$BIN/python" -m pytest "$@"

#!/usr/bin/env bash
# Summary: installs what the tests need and runs them.
# Usage:   tests/run.sh [PYTEST_ARGUMENT...]       (make test)
#
# pytest's summary tells which tests were left out where there is no Docker engine or s2i.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/environment.sh tests tests/requirements.txt builders/runtime/requirements.txt \
  ./*/requirements_train.txt
exec "$BIN/python" -m pytest "$@"

#!/usr/bin/env bash
# Summary: installs what the tests need and runs them.
# Usage:   tests/run.sh [PYTEST_ARGUMENT...]       (make test)
#
# The tests run in parallel, with one worker for each processor (tests/support/parallel.py). -n 0
# runs all tests in one process, which -s and --pdb need. The output ends with the slowest tests,
# the reasons for skipped tests (such as a missing Docker engine), and pytest's summary.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/environment.sh tests tests/requirements*.txt builders/runtime/requirements.txt \
  extras/inspect/requirements.txt ./*/requirements_train.txt
echo "---> Collecting the tests"
# Without -u, a pipe or a file would get the first lines of the output minutes later.
exec "$BIN/python" -u -m pytest -n auto --dist loadfile --no-loadscope-reorder "$@"

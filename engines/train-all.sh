#!/usr/bin/env bash
# Summary: trains the models of MODEL_DIRS and prints a table of the results. all/Makefile calls it.
# Usage:   train-all.sh COMMAND...      COMMAND calls train-one.sh for each model
#
# The table is printed even if COMMAND fails or is interrupted. The exit code is that of COMMAND.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/choose.sh
[ $# -gt 0 ] || usage

# A dry run (make -n) has no results.
if [[ ${MAKEFLAGS:-} =~ ^[a-zA-Z]*n ]]; then
  exec "$@"
fi

choose_engine
TRAIN_RESULTS=$(mktemp -d)
export TRAIN_RESULTS

report() { # report: prints the table
  say "Models"
  # shellcheck disable=SC2086 # a list of names, one word each
  python3 engines/training_table.py "$TRAIN_RESULTS" $MODEL_DIRS
  rm -rf "$TRAIN_RESULTS"
}

trap report EXIT
"$@"

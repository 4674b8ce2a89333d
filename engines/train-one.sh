#!/usr/bin/env bash
# Summary: runs the command that trains one model, and keeps its result for train-all.sh.
# Usage:   train-one.sh MODEL_DIR COMMAND...
#
# The result is two files in the folder TRAIN_RESULTS: MODEL_DIR.errors has the text that COMMAND
# printed to stderr, and MODEL_DIR.code its exit code. Without TRAIN_RESULTS, COMMAND just runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
[ $# -gt 1 ] || usage
[ -n "${TRAIN_RESULTS:-}" ] || exec "${@:2}"

model=$1
result=$TRAIN_RESULTS/$model
exit_code=0
# After Ctrl-C there is no exit code, so that the table has "interrupted".
trap 'exit 130' INT

label() { # label: copies its input; with make -j, each line begins with the model's name
  local line
  # After Ctrl-C, the command prints its last lines.
  trap '' INT
  if [[ ${MAKEFLAGS:-} != *jobserver* ]]; then
    cat
    return
  fi
  while IFS= read -r line || [ -n "$line" ]; do
    printf '[%s] %s\n' "$model" "$line"
  done
}

errors() { # errors: copies its input to stderr and to the file of the result
  trap '' INT
  tee "$result.errors" | label >&2
}

# make passes the file descriptors 3 and 4 to its commands, so stdout is saved as another one.
{ "${@:2}" 2>&1 >&9 9>&- | errors; } 9>&1 | label || exit_code=$?
echo "$exit_code" >"$result.code"
exit "$exit_code"

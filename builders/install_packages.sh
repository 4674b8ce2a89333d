#!/usr/bin/env bash
# Summary: installs requirements files into a virtual environment, and explains a version conflict.
# Usage:   install_packages.sh UV PYTHON [FILE...]       (PYTHON is the environment's Python)
#
# The versions in the file CONSTRAINTS are binding.
set -euo pipefail
builders=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
uv=$1
python=$2
shift 2
[ $# != 0 ] || exit 0

options=()
# An image would become larger. assemble writes only the bytecode of the modules that the
# application imports.
[ "${IN_IMAGE:-0}" = 1 ] || options+=(--compile-bytecode)
for file; do
  options+=(--requirement "$file")
done
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
if "$uv" pip install --quiet --python "$python" --constraint "$CONSTRAINTS" "${options[@]}" \
  2>"$errors"; then
  cat "$errors" >&2
else
  exit_code=$?
  cat "$errors" >&2
  "$python" "$builders/commands.py" conflict "$errors" "$CONSTRAINTS" "$@" >&2
  exit "$exit_code"
fi

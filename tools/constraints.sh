#!/usr/bin/env bash
# Summary: pins everything beneath the requirements files anew: constraints.txt and the installer's own pin.
# Usage:   tools/constraints.sh [--upgrade]       (make constraints)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/environment.sh constraints builders/runtime/requirements_install.txt
pins=builders/runtime/requirements_install.txt
compile=("$BIN/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate)
compiled() { # compiled OUTPUT BANNER FILE...
  local output=$1 banner=$2
  shift 2
  "${compile[@]}" "$@" >"$output.new"
  { printf '%s\n' "$banner" && cat "$output.new"; } >"$output"
  rm "$output.new"
}
compiled constraints.txt "# Every package that this repository's requirements bring in, with hashes: no other version or file is taken.
# Made by \`make constraints\` from the requirements files; don't edit." \
  "${@:---constraint=constraints.txt}" builders/runtime/requirements.txt ./*/requirements_*.txt tests/requirements.txt tools/requirements_lint.txt
compiled "$pins" "# The installer of packages, fetched by builders/install.sh. Made by \`make constraints\`; don't edit." \
  <(grep -o '^uv==[0-9.]*' "$pins")

#!/usr/bin/env bash
# Summary: regenerates constraints.txt and the pin of the installer from the requirements files.
# Usage:   tools/constraints.sh [--upgrade]       (make constraints)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
installer=builders/runtime/requirements_install.txt
. tools/environment.sh constraints "$installer"

pin() { # pin OUTPUT BANNER ARGUMENT...: writes a banner and uv's pins for the arguments to OUTPUT
  local output=$1
  local banner=$2
  shift 2
  "$BIN/uv" pip compile --quiet --system-certs --universal --python-version 3.11 --generate-hashes \
    --no-header --no-annotate "$@" >"$output.new"
  {
    printf '%s\n' "$banner"
    cat "$output.new"
  } >"$output"
  rm "$output.new"
}

all="# Every package that this repository's requirements bring in, with hashes: no other version \
or file is taken.
# Made by \`make constraints\` from the requirements files; don't edit."
pin constraints.txt "$all" "${@:---constraint=constraints.txt}" \
  builders/runtime/requirements.txt ./*/requirements_*.txt ./extras/*/requirements*.txt \
  tests/requirements.txt

fetched="# The installer of packages, fetched by builders/install.sh. Made by \`make constraints\`;\
 don't edit."
pin "$installer" "$fetched" <(grep -o '^uv==[0-9.]*' "$installer")

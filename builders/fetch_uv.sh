#!/usr/bin/env bash
# Summary: puts uv, which installs packages, into an environment of its own, with pip.
# Usage:   fetch_uv.sh DIRECTORY       (PYTHON, python3; the program is DIRECTORY/bin/uv then)
set -euo pipefail
builders=$(cd "$(dirname "$0")" && pwd)
: "${PYTHON:=python3}"
unfinished=$1.$$
trap 'rm -rf "$unfinished"' EXIT

echo "---> Fetching uv, which installs packages"
"$PYTHON" -m venv "$unfinished" >/dev/null || {
  echo "fetch_uv.sh: $PYTHON can't make a virtual environment;" \
    "on Debian and Ubuntu: apt-get install python3-venv" >&2
  exit 69
}
"$unfinished/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
  --requirement "$builders/runtime/requirements_install.txt"
# Of two that are fetched at once the first wins.
"$PYTHON" "$builders/commands.py" rename "$unfinished" "$1" || [ -x "$1/bin/uv" ]

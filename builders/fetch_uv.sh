#!/usr/bin/env bash
# Summary: installs uv, the package installer, into a separate virtual environment.
# Usage:   fetch_uv.sh DIRECTORY       (creates DIRECTORY/bin/uv; PYTHON defaults to python3)
set -euo pipefail
builders=$(cd "$(dirname "$0")" && pwd)
: "${PYTHON:=python3}"
unfinished=$1.$$
trap 'rm -rf "$unfinished"' EXIT

echo "---> Fetching uv, which installs packages"
"$PYTHON" -m venv "$unfinished" >/dev/null || {
  echo "fetch_uv.sh: $PYTHON cannot create a virtual environment." \
    "On Debian and Ubuntu: apt-get install python3-venv" >&2
  exit 69
}
"$unfinished/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
  --requirement "$builders/runtime/requirements_install.txt"
# If two processes install uv at the same time, the environment of the first one stays.
"$PYTHON" "$builders/commands.py" rename "$unfinished" "$1" || [ -x "$1/bin/uv" ]

#!/usr/bin/env bash
# Summary: installs uv, the package installer, into a separate virtual environment.
# Usage:   fetch_uv.sh DIRECTORY       (creates DIRECTORY/bin/uv; PYTHON defaults to python3)
set -euo pipefail
builders=$(cd "$(dirname "$0")" && pwd)
: "${PYTHON:=python3}"
SYSTEM_CERTIFICATES='
import ssl
paths = ssl.get_default_verify_paths()
print(paths.cafile or paths.capath or "")'
unfinished=$1.$$
trap 'rm -rf "$unfinished"' EXIT

echo "---> Fetching uv, which installs packages"
"$PYTHON" -m venv "$unfinished" >/dev/null || {
  echo "fetch_uv.sh: $PYTHON cannot create a virtual environment." \
    "On Debian and Ubuntu: apt-get install python3-venv" >&2
  exit 69
}
# These settings of the user are about other packages, or about another place.
unset PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON PIP_NO_BINARY PIP_CONSTRAINT PIP_REQUIREMENT
export PIP_USER=0 PIP_DRY_RUN=0 PIP_REQUIRE_VIRTUALENV=0
pip=("$unfinished/bin/python" -m pip)
# Before version 24.2, pip trusts the system's certificates only if its option `cert` names them.
if ! "${pip[@]}" config list | grep '\.cert=' >/dev/null; then
  PIP_CERT=$("$PYTHON" -c "$SYSTEM_CERTIFICATES")
  export PIP_CERT
fi
"${pip[@]}" install --quiet --disable-pip-version-check --require-hashes \
  --requirement "$builders/runtime/requirements_install.txt"
# If two processes install uv at the same time, the environment of the first one stays.
"$PYTHON" "$builders/commands.py" rename "$unfinished" "$1" || [ -x "$1/bin/uv" ]

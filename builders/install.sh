#!/usr/bin/env bash
# Summary: makes a virtual environment that has the packages of the requirements files.
# Usage:   install.sh VENV FILE...
#
# A valid environment is kept. One command installs all files, so that a conflict between them is
# an error. CONSTRAINTS is an optional file of versions and hashes. If the folder ENVIRONMENTS is
# set, the environment is made in it and VENV is a link. uv installs the packages, because it is
# fast and checks the hashes of constraints. CACHE is the folder for uv and downloaded wheels.
set -euo pipefail
builders=$(cd "$(dirname "$0")" && pwd)
if [ $# -lt 1 ]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
fi
export PYTHON=${PYTHON:-python3}
venv=$1
shift

is_complete() { # is_complete: whether the environment exists and has the packages of the files
  [ "$(cat "$target/.holds" 2>/dev/null)" = "$key" ]
}

trust_certificates() { # trust_certificates: makes uv trust the certificates that pip trusts
  # Without this variable, uv trusts only a list of its own, which lacks a company's CA.
  export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-1}
  # This variable replaces the system's certificates. uv does not read pip's variables.
  : "${SSL_CERT_FILE:=${REQUESTS_CA_BUNDLE:-${PIP_CERT:-}}}"
  [ -z "$SSL_CERT_FILE" ] || export SSL_CERT_FILE
}

install() { # install FILE...: makes the environment and renames it to $target once it is complete
  local uv
  uv=$CACHE/uv-$("$PYTHON" "$builders/commands.py" digest "$uv_pin")
  trust_certificates
  [ -x "$uv/bin/uv" ] || "$builders/fetch_uv.sh" "$uv"
  export UV_CACHE_DIR=$CACHE/wheels UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=${UV_LINK_MODE:-copy}
  "$uv/bin/uv" venv --quiet --relocatable --python "$(command -v "$PYTHON")" "$unfinished"

  echo "---> Installing the packages of $# requirements files"
  "$PYTHON" "$builders/install_packages.py" "$uv/bin/uv" "$unfinished/bin/python" "$CONSTRAINTS" \
    "$@"

  printf '%s\n' "$key" >"$unfinished/.holds"
  is_complete || rm -rf "$target"
  # If two processes make it at the same time, the environment of the first one stays.
  "$PYTHON" "$builders/commands.py" rename "$unfinished" "$target" || [ -e "$target/.holds" ]
}

uv_pin=$builders/runtime/requirements_install.txt
[ -f "${CONSTRAINTS:-}" ] || export CONSTRAINTS=/dev/null
key=$("$PYTHON" "$builders/requirement_commands.py" key "$CONSTRAINTS" "$@")
target=${ENVIRONMENTS:+$ENVIRONMENTS/$key}
: "${target:=$venv}"
unfinished=$target.$$
scratch=$(mktemp -d)
trap 'rm -rf "$unfinished" "$scratch"' EXIT
mkdir -p "${CACHE:=$scratch}" 2>/dev/null || true
[ -w "$CACHE" ] || CACHE=$scratch

is_complete || install "$@"
[ "$target" = "$venv" ] || ln -sfn "$target" "$venv"

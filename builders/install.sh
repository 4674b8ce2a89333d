#!/usr/bin/env bash
# Summary: makes a virtual environment that holds what some requirement files ask for; a sound one is left as it is.
# Usage:   install.sh VENV FILE...
#
# All files are installed in one go, so that a clash shows at once, within CONSTRAINTS (a file, may be unset), whose
# hashes are checked. ENVIRONMENTS set: the environment is made there, named after its contents, and VENV is a link.
# CACHE keeps uv and wheels. uv installs (fast, and honours hashes in constraints), pip fetches uv; neither stays.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2 && exit 2; }
: "${PYTHON:=python3}" "${CONSTRAINTS:=/dev/null}"
venv=$1
shift
pin=$(cd "$(dirname "$0")" && pwd)/runtime/requirements_install.txt

digest() { # digest FILE...: a short name for the contents of some files on this Python and platform
  "$PYTHON" -c 'import hashlib, sys, sysconfig
parts = [sys.version, sys.base_prefix, sysconfig.get_platform(), *(open(name).read() for name in sys.argv[1:])]
print(hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16])' "$@"
}

[ -f "$CONSTRAINTS" ] || CONSTRAINTS=/dev/null
key=$(digest "$@" "$CONSTRAINTS")
[ -z "${ENVIRONMENTS:-}" ] && target=$venv || target=$ENVIRONMENTS/$key
unfinished=$target.$$
scratch=$(mktemp -d)
trap 'rm -rf "$unfinished" "$scratch"' EXIT
[ -n "${CACHE:-}" ] && mkdir -p "$CACHE" 2>/dev/null && [ -w "$CACHE" ] || CACHE=$scratch

fetch_uv() { # fetch_uv DIR: puts a uv program into DIR/bin
  echo "---> Fetching uv, which installs packages"
  "$PYTHON" -m venv "$1.$$" >/dev/null || {
    echo "install.sh: $PYTHON can't make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 69
  }
  "$1.$$/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$pin"
  mv "$1.$$" "$1" 2>/dev/null || rm -rf "$1.$$"
}

notice() { # notice FILE...: names the packages that CONSTRAINTS doesn't hold; a hash of the file's own follows a \
  local name
  for name in $(cat /dev/null "$@" | grep -v '\\$' | grep -oE '^[A-Za-z0-9][A-Za-z0-9._-]*' | tr '_.' '--' | sort -u); do
    grep -qi "^${name}[ =]" "$CONSTRAINTS" || echo "---> $name is not in constraints.txt: installed without a hash"
  done
}

if [ "$(cat "$target/.holds" 2>/dev/null)" != "$key" ]; then
  uv=$CACHE/uv-$(digest "$pin")
  [ -x "$uv/bin/uv" ] || fetch_uv "$uv"
  export UV_CACHE_DIR=$CACHE/wheels UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=${UV_LINK_MODE:-copy}
  options=(--quiet --python "$unfinished/bin/python" --constraint "$CONSTRAINTS")
  for file; do options+=(--requirement "$file"); done
  "$uv/bin/uv" venv --quiet --relocatable --python "$(command -v "$PYTHON")" "$unfinished"
  echo "---> Installing what $# requirements files ask for"
  [ ! -s "$CONSTRAINTS" ] || notice "$@"
  [ $# = 0 ] || "$uv/bin/uv" pip install "${options[@]}"
  printf '%s\n' "$key" >"$unfinished/.holds"
  [ "$(cat "$target/.holds" 2>/dev/null)" = "$key" ] || rm -rf "$target"
  "$PYTHON" -c 'import os, sys; os.rename(*sys.argv[1:])' "$unfinished" "$target" 2>/dev/null || [ -e "$target/.holds" ] # the first of two wins
fi
[ "$target" = "$venv" ] || ln -sfn "$target" "$venv"

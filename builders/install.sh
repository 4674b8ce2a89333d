#!/usr/bin/env bash
# Summary: makes a virtual environment that holds what some requirement files ask for.
# Usage:   install.sh VENV FILE...
#
# A sound one is left as it is. All files are installed in one go, so that a clash shows at once,
# within CONSTRAINTS (a file, may be unset), whose hashes are checked. ENVIRONMENTS set: the
# environment is made there, named after its contents, and VENV is a link. uv installs: it is fast,
# and honours hashes in constraints. CACHE keeps uv and wheels; neither stays in the environment.
set -euo pipefail
builders=$(cd "$(dirname "$0")" && pwd)
if [ $# -lt 1 ]; then
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
fi
export PYTHON=${PYTHON:-python3}
venv=$1
shift

digest() { # digest FILE...: prints a short name for the files' contents on this Python and platform
  "$PYTHON" "$builders/commands.py" digest "$@"
}

is_complete() { # is_complete: whether the environment is there and holds what the files ask for
  [ "$(cat "$target/.holds" 2>/dev/null)" = "$key" ]
}

notice() { # notice FILE...: names the packages that CONSTRAINTS doesn't hold
  local name names
  # A line that ends with \ goes on with a hash of the file's own.
  names=$(cat /dev/null "$@" | grep -v '\\$' | grep -oE '^[A-Za-z0-9][A-Za-z0-9._-]*' || true)
  for name in $(tr '_.' '--' <<<"$names" | sort -u); do
    grep -qi "^${name}[ =]" "$CONSTRAINTS" ||
      echo "---> $name is not in constraints.txt: installed without a hash"
  done
}

install() { # install FILE...: makes the environment, which gets its name once it is complete
  local uv file options=()
  uv=$CACHE/uv-$(digest "$uv_pin")
  [ -x "$uv/bin/uv" ] || "$builders/fetch_uv.sh" "$uv"
  export UV_CACHE_DIR=$CACHE/wheels UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=${UV_LINK_MODE:-copy}
  "$uv/bin/uv" venv --quiet --relocatable --python "$(command -v "$PYTHON")" "$unfinished"

  echo "---> Installing what $# requirements files ask for"
  [ ! -s "$CONSTRAINTS" ] || notice "$@"
  for file; do
    options+=(--requirement "$file")
  done
  [ $# = 0 ] || "$uv/bin/uv" pip install --quiet --python "$unfinished/bin/python" \
    --constraint "$CONSTRAINTS" "${options[@]}"

  printf '%s\n' "$key" >"$unfinished/.holds"
  is_complete || rm -rf "$target"
  # The first of two that are made at once wins.
  "$PYTHON" "$builders/commands.py" rename "$unfinished" "$target" || [ -e "$target/.holds" ]
}

uv_pin=$builders/runtime/requirements_install.txt
[ -f "${CONSTRAINTS:-}" ] || CONSTRAINTS=/dev/null
key=$(digest "$@" "$CONSTRAINTS")
target=${ENVIRONMENTS:+$ENVIRONMENTS/$key}
: "${target:=$venv}"
unfinished=$target.$$
scratch=$(mktemp -d)
trap 'rm -rf "$unfinished" "$scratch"' EXIT
mkdir -p "${CACHE:=$scratch}" 2>/dev/null || true
[ -w "$CACHE" ] || CACHE=$scratch

is_complete || install "$@"
[ "$target" = "$venv" ] || ln -sfn "$target" "$venv"

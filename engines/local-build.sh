#!/usr/bin/env bash
# Summary: builds an image of the local engine: a directory that assemble fills as in Docker.
# Usage:   local-build.sh IMAGE CONTEXT train|predict
#
# The directory is .local/images/IMAGE, in which data/ and models/ are links. Images with equal
# requirements share one virtual environment.
# SETUP=1 lets the application's setup.sh install packages on this machine. Without it, an image is
# kept if nothing has changed since its build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
[ $# = 3 ] || usage
check_image_name "$1"

image=$PWD/.local/images/$1
export S2I_SOURCE=$2 ROLE=$3
# The image gets its name when it is complete, so that a failed build does not change the old image.
export APP_ROOT=$PWD/.local/building/$$
export BUILDERS=$PWD/builders CACHE=$PWD/.local/cache ENVIRONMENTS=$PWD/.local/environments
# These override variables of the caller's shell. This build runs outside an image, and its package
# index, proxies and CA are not mounted but set below.
export IN_IMAGE=0 SETTINGS=/nonexistent SETUP=${SETUP:-0} PYTHONDONTWRITEBYTECODE=""

remove_abandoned() { # remove_abandoned PATH...: removes what a killed process has left
  # A path ends with the id of the process that makes it.
  local path process
  for path; do
    process=${path##*[./]}
    [[ $process =~ ^[0-9]+$ ]] || continue
    is_running "$process" || rm -rf "$path"
  done
}

is_running() { # is_running PROCESS: whether it has not ended; a zombie has ended
  kill -0 "$1" 2>/dev/null || return 1
  [[ $(ps -o stat= -p "$1" 2>/dev/null) != Z* ]]
}

remove_abandoned .local/building/* .local/environments/*.* .local/cache/uv-*.*
choose_python
settings=$(python3 engines/pip_settings.py)
eval "$settings"
# These decide the image: the source with its requirements and constraints, the programs that build
# it, and Python. The links in an image contain the path of the repository, which may be a copy.
digest="$ROLE $PWD $("$PYTHON" builders/requirement_commands.py key /dev/null)"
digest+=" $("$PYTHON" builders/commands.py tree "$S2I_SOURCE" builders engines)"

is_current() { # is_current: whether the image was built from the same files and has its packages
  [ "$SETUP" = 0 ] && [ -e "$image/.venv/bin/python" ] &&
    [ "$(cat "$image/.digest" 2>/dev/null)" = "$digest" ]
}

if is_current; then
  say "Nothing has changed since the last build of $1"
  exit
fi
old=$PWD/.local/building/old.$$
trap 'rm -rf "$APP_ROOT" "$old"' EXIT
mkdir -p "$APP_ROOT" "$(dirname "$image")" "$CACHE" "$ENVIRONMENTS"
for name in data models; do
  # A predict image may have a folder data/ of its own.
  [ -e "$S2I_SOURCE/$name" ] || ln -s "$PWD/$name" "$APP_ROOT"
done
builders/s2i/bin/assemble
# The application's bytecode contains the path of the folder, which changes now.
find "$APP_ROOT" -name __pycache__ -prune -exec rm -rf {} +
echo "$digest" >"$APP_ROOT/.digest"

# Renaming fails if the directory exists, and another build may create it at any moment.
until python3 builders/commands.py rename "$APP_ROOT" "$image"; do
  if mv "$image" "$old" 2>/dev/null; then
    rm -rf "$old"
  fi
done

#!/usr/bin/env bash
# Summary: builds an image of the local engine: a directory that assemble fills as in Docker.
# Usage:   local-build.sh IMAGE CONTEXT train|predict
#
# It is .local/images/IMAGE, where data/ and models/ are links. Images with equal requirements share
# one virtual environment.
# SETUP=1 lets the application's setup.sh install on this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
[ $# = 3 ] || usage
check_image_name "$1"

image=$PWD/.local/images/$1
export S2I_SOURCE=$2 ROLE=$3
# The image is complete before it gets its name, so that a build that fails leaves the old one.
export APP_ROOT=$image.$$
export BUILDERS=$PWD/builders CACHE=$PWD/.local/cache ENVIRONMENTS=$PWD/.local/environments
# No image, whatever the caller's shell says, and no mounted settings: they are set here.
export IN_IMAGE=0 SETTINGS=/nonexistent SETUP=${SETUP:-0}

choose_python
settings=$(python3 engines/pip_settings.py)
eval "$settings"

trap 'rm -rf "$APP_ROOT" "$APP_ROOT.old"' EXIT
mkdir -p "$APP_ROOT" "$CACHE" "$ENVIRONMENTS"
ln -s "$PWD/data" "$PWD/models" "$APP_ROOT"
builders/s2i/bin/assemble
# The application's bytecode names the folder that is renamed now.
find "$APP_ROOT" -name __pycache__ -prune -exec rm -rf {} +

# Renaming fails where a directory is, and another build may put one there at any moment.
until python3 builders/commands.py rename "$APP_ROOT" "$image"; do
  if mv "$image" "$APP_ROOT.old" 2>/dev/null; then
    rm -rf "$APP_ROOT.old"
  fi
done

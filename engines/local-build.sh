#!/usr/bin/env bash
# Summary: builds an image of the local engine: a directory under .local/images, by the same assemble as in Docker.
# Usage:   local-build.sh IMAGE CONTEXT train|predict
#
# data/ and models/ are links there; images with equal requirements share one virtual environment.
# SETUP=1 lets the application's setup.sh install on this machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh
[ $# = 3 ] || usage
check_image_name "$1"
choose_python
settings=$(python3 engines/pip_settings.py) || exit $?
eval "$settings"
image=$PWD/.local/images/$1
export S2I_SOURCE=$2 ROLE=$3 SETUP=${SETUP:-0} BUILDERS=$PWD/builders APP_ROOT=$image.$$ SETTINGS=/nonexistent
export CACHE=$PWD/.local/cache ENVIRONMENTS=$PWD/.local/environments
trap 'rm -rf "$APP_ROOT" "$APP_ROOT.old"' EXIT
mkdir -p "$APP_ROOT" "$CACHE" "$ENVIRONMENTS"
ln -s "$PWD/data" "$PWD/models" "$APP_ROOT"
builders/s2i/bin/assemble
find "$APP_ROOT" -name __pycache__ -prune -exec rm -rf {} + # the application's names a folder that is renamed now
# Renaming fails where a directory is, and another build may put one there at any moment.
until python3 -c 'import os, sys; os.rename(*sys.argv[1:])' "$APP_ROOT" "$image" 2>/dev/null; do
  mv "$image" "$APP_ROOT.old" 2>/dev/null && rm -rf "$APP_ROOT.old"
done

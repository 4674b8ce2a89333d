#!/usr/bin/env bash
# Summary: makes an environment in .local for tests or checks, and sets BIN to its bin/.
# Usage:   . tools/environment.sh NAME REQUIREMENTS...       (from the repository's root)
set -euo pipefail
. engines/common.sh
choose_python
settings=$(python3 engines/pip_settings.py)
eval "$settings"
export BIN=$PWD/.local/$1/bin
mkdir -p .local
CONSTRAINTS=constraints.txt CACHE=$PWD/.local/cache ENVIRONMENTS=$PWD/.local/environments \
  builders/install.sh "$PWD/.local/$1" "${@:2}"

#!/usr/bin/env bash
# Summary: prints which engine this machine can use, and what is missing for the other one.
# Usage:   doctor.sh       (make doctor)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/choose.sh
[ $# = 0 ] || usage

row() { # row NAME TEXT...
  local name=$1
  shift
  printf '     %-8s %s\n' "$name" "$*"
}

choose_engine
problem=$(docker_problem)
row docker "${problem:-a Docker engine and s2i are available}"
row bash "$BASH_VERSION"
row make "$(make --version | head -n 1)"
# choose_python exits if no Python is suitable.
if message=$(choose_python 2>&1); then
  choose_python
  row python "$PYTHON ($("$PYTHON" -V))"
else
  row python "$message"
fi
row index "$(python3 engines/pip_settings.py | grep -c . || true) settings of pip, proxies and CA"
row disk "$(du -sh .local 2>/dev/null | cut -f 1 || true) in .local (make clean removes it)"

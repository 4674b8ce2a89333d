#!/usr/bin/env bash
# Summary: checks this machine: engine, programs, disk, memory, package index, permissions, port.
# Usage:   doctor.sh       (make doctor; FORMAT=json prints the findings as JSON)
#
# Each finding is OK, WARN or FAIL, with what to do. The exit code is 1 if a finding is FAIL.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/choose.sh
[ $# = 0 ] || usage

case ${ENGINE:=auto} in
  auto | docker | local) ;;
  *) die 2 "ENGINE=$ENGINE: expected docker, local or auto" ;;
esac
export ENGINE
DOCKER_PROBLEM=$(docker_problem)
# choose_python exits if no Python is suitable.
PYTHON_PROBLEM=$(choose_python 2>&1 >/dev/null) || true
[ -n "$PYTHON_PROBLEM" ] || choose_python
export DOCKER_PROBLEM PYTHON_PROBLEM MAKE_VERSION BASH_VERSION
# head would end make with SIGPIPE.
MAKE_VERSION=$(make --version | sed -n 1p)
exec python3 engines/doctor.py

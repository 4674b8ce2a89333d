#!/usr/bin/env bash
# Summary: functions of build.sh and the engines: messages, names, the choice of Python.
# Usage:   . engines/common.sh      (from a script that has changed to the repository's root)
#
# Exit codes: 0 ok, 1 failed, 2 usage, 69 a required program or service is not available,
# 71 out of memory, 74 disk full or read-only, 77 permission, 78 configuration.
set -euo pipefail

say() { printf -- '---> %s\n' "$*"; }

die() { # die EXIT_CODE MESSAGE...
  local code=$1
  shift
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit "$code"
}

usage() { # usage: prints the calling script's opening comment and exits with 2
  sed -n '2,/^set/{/^#/s/^# \{0,1\}//p;}' "$0" >&2
  exit 2
}

remove() { # remove PATH...: removes copies of files that may be read-only
  chmod -R u+w "$@" 2>/dev/null || true
  rm -rf "$@"
}

check_image_name() { # check_image_name NAME
  local expected="expected lower-case letters and digits, with single . _ - between them"
  [[ $1 =~ ^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$ && ${#1} -le 128 ]] ||
    die 2 "image name '$1': $expected. Set CONTAINER_NAME."
}

value_in() { # value_in FILE NAME: prints the value of NAME in a Makefile
  sed -n "s/^$2 *:= *//p" "$1"
}

makefile_value() { # makefile_value DIRECTORY NAME: prints the value of NAME in DIRECTORY/Makefile
  value_in "$1/Makefile" "$2"
}

# shellcheck disable=SC2034 # used by the scripts that include this one
PACKAGE=$(value_in project.mk PACKAGE)

# The pinned packages have wheels for these versions of Python.
PYTHON_VERSIONS=(3.14 3.13 3.12 3.11)

is_supported() { # is_supported PYTHON: whether its version is one of PYTHON_VERSIONS
  # This expression runs on any Python, even if it is too old for builders/commands.py.
  "$1" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] not in sys.argv)' \
    "${PYTHON_VERSIONS[@]}" 2>/dev/null
}

choose_python() { # choose_python: sets PYTHON to a Python that is_supported
  local candidate found
  [[ $PWD != *:* ]] ||
    die 78 "$PWD: Python cannot import from a path with a colon. Rename the folder."
  for candidate in ${PYTHON:+"$PYTHON"} python3 "${PYTHON_VERSIONS[@]/#/python}"; do
    if is_supported "$candidate"; then
      # It does not print a function, which build.sh exports.
      PYTHON=$(type -P "$candidate")
      export PYTHON
      return
    elif [ "$candidate" = "${PYTHON:-}" ]; then
      found=$("$PYTHON" -V 2>&1 || echo none)
      die 69 "PYTHON=$PYTHON: expected Python 3.11 to 3.14, found $found"
    fi
  done
  found=$(python3 -V 2>&1 || echo missing)
  die 69 "no Python 3.11 to 3.14 on the PATH (python3 is $found). Set PYTHON to the path of one."
}

PATH=$PATH:$PWD/tools/bin

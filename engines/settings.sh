#!/usr/bin/env bash
# Summary: arguments of docker run: the user, mounts, and the server's settings.
# Usage:   . engines/settings.sh      (from a script that has sourced engines/common.sh)
set -euo pipefail

list_settings() { # list_settings names|files: prints the settings for containers, one per line
  PYTHONPATH=builders python3 -m runtime.settings "$1"
}

check_settings() { # check_settings: exits with 78 if a file setting is not the full path of a file
  local name names
  names=$(list_settings files)
  for name in $names; do
    [ -z "${!name:-}" ] || [[ ${!name} = /* && -f ${!name} ]] ||
      die 78 "$name=${!name}: expected the full path of a file, such as $name=\"\$HOME/keys\""
  done
}

mounted() { # mounted SOURCE PATH: prints the argument that mounts SOURCE, a full path, at PATH
  # Docker parses the argument as CSV, in which a quote is doubled.
  local quote='"'
  printf '"type=bind","source=%s","target=%s"' "${1//$quote/$quote$quote}" "$2"
}

add_settings() { # add_settings: appends the settings that have a value to `arguments` of docker
  local name names files
  names=$(list_settings names)
  files=$(list_settings files)
  for name in $names; do
    [ -z "${!name:-}" ] || arguments+=(--env "$name")
  done
  for name in $files; do
    [ -z "${!name:-}" ] ||
      arguments+=(--env "$name=/run/$name" --mount "$(mounted "${!name}" "/run/$name"),readonly")
  done
}

container_user() { # container_user: prints your uid, or 1001 for root, with group 0
  if [ "$(id -u)" != 0 ]; then
    echo "$(id -u):0"
    return
  fi
  chgrp 0 models
  chmod g+w models
  echo 1001:0
}

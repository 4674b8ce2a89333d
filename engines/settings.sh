#!/usr/bin/env bash
# Summary: how the server's settings get into a container; builders/runtime/settings.py lists them.
# Usage:   . engines/settings.sh      (from a script that has sourced engines/common.sh)
set -euo pipefail

setting_names() { # setting_names names|files: prints the table's settings, or those for a file
  PYTHONPATH=builders python3 -m runtime.settings "$1"
}

check_settings() { # check_settings: ends with 78 unless each setting for a file is its full path
  local name names
  names=$(setting_names files)
  for name in $names; do
    [ -z "${!name:-}" ] || [[ ${!name} = /* && -f ${!name} ]] ||
      die 78 "$name=${!name}: expected the full path of a file, such as $name=\"\$HOME/keys\""
  done
}

mounted() { # mounted SOURCE PATH: prints the argument that mounts SOURCE, a full path, at PATH
  # Docker reads it as CSV, where a quote is doubled.
  local quote='"'
  printf '"type=bind","source=%s","target=%s"' "${1//$quote/$quote$quote}" "$2"
}

add_settings() { # add_settings: adds the settings that are set to docker's `arguments`
  local name names files
  names=$(setting_names names)
  files=$(setting_names files)
  for name in $names; do
    [ -z "${!name:-}" ] || arguments+=(--env "$name")
  done
  for name in $files; do
    [ -z "${!name:-}" ] ||
      arguments+=(--env "$name=/run/$name" --mount "$(mounted "${!name}" "/run/$name"),readonly")
  done
}

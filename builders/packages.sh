#!/usr/bin/env bash
# Summary: runs the setup.sh of an application, or installs its packages into APP_ROOT/.venv.
# Usage:   packages.sh setup|install       (in the folder with setup.sh and the requirements files)
#
# assemble runs both steps. Reads the same variables as assemble.
set -euo pipefail
: "${BUILDERS:=/opt/builders}" "${SETTINGS:=/run/s2i-settings}" "${IN_IMAGE:=0}"
export PYTHON=${PYTHON:-python3} CACHE=${CACHE-/var/cache/s2i} CONSTRAINTS=constraints.txt

run_setup() {
  [ -f setup.sh ] || return 0
  if [ "${SETUP:-1}" = 0 ]; then
    echo "---> Skipping setup.sh, which would install on this machine. SETUP=1 runs it."
    return
  fi
  echo "---> Running setup.sh"
  bash ./setup.sh && return
  [ "$(id -u)" = 0 ] || advice=" If it needs root, use a builder made with ASSEMBLE_USER=0."
  echo "assemble: setup.sh failed as user $(id -u), see its output above.${advice:-}" >&2
  exit 1
}

# The application's requirements are requirements_ROLE.txt or, without that file, requirements.txt.
install_requirements() {
  local name files=()
  [ "$ROLE" = train ] || files+=("$BUILDERS/runtime/requirements.txt")
  for name in "requirements_$ROLE.txt" requirements.txt; do
    if [ -f "$name" ]; then
      files+=("$name")
      break
    fi
  done
  "$BUILDERS/install.sh" "$APP_ROOT/.venv" ${files[@]+"${files[@]}"}
}

# The bytecode stays in the image, so that a container does not compile at start-up. It depends only
# on the contents of the modules, so that builds are reproducible.
finish_environment() {
  "$BUILDERS/slim.sh" "$APP_ROOT/.venv"
  # Some packages contain templates that are not valid Python.
  "$PYTHON" -m compileall -qq -j 0 -x '/tests?/' --invalidation-mode unchecked-hash \
    "$APP_ROOT/.venv/lib" || true
  "$BUILDERS/permissions.sh" "$APP_ROOT/.venv"
}

# shellcheck source=/dev/null
[ ! -f "$SETTINGS/env" ] || . "$SETTINGS/env"
case ${1:-} in
  setup) run_setup ;;
  install)
    install_requirements
    # Outside an image, other applications may use the same environment.
    [ "$IN_IMAGE" != 1 ] || finish_environment
    ;;
  *)
    echo "packages.sh: expected setup or install, found '${1:-}'" >&2
    exit 2
    ;;
esac

#!/usr/bin/env bash
# Summary: runs the setup.sh of an application, or installs its packages into APP_ROOT/.venv.
# Usage:   packages.sh setup|install       (in the folder with setup.sh and the requirements files)
#
# assemble runs both steps. engines/package_image.sh runs them before, to make an image that several
# applications share. Reads the same variables as assemble.
set -euo pipefail
: "${BUILDERS:=/opt/builders}" "${SETTINGS:=/run/s2i-settings}" "${IN_IMAGE:=0}"
export PYTHON=${PYTHON:-python3} CACHE=${CACHE-/var/cache/s2i} CONSTRAINTS=constraints.txt

run_setup() {
  [ -f setup.sh ] || return 0
  if [ "${SETUP:-1}" = 0 ]; then
    echo "---> Skipping setup.sh, which can change this machine. SETUP=1 runs it."
    return
  fi
  echo "---> Running setup.sh"
  bash ./setup.sh && return
  local advice=""
  [ "$(id -u)" = 0 ] || advice=" If it needs root, use a builder made with ASSEMBLE_USER=0."
  echo "assemble: setup.sh failed as user $(id -u), see its output above.$advice" >&2
  exit 1
}

# The application's requirements are requirements_ROLE.txt or, without that file, requirements.txt.
install_requirements() {
  local name files=("$BUILDERS/runtime/requirements.txt")
  [ "$ROLE" = predict ] || files=("$BUILDERS/runtime/requirements_train.txt")
  for name in "requirements_$ROLE.txt" requirements.txt; do
    if [ -f "$name" ]; then
      files+=("$name")
      break
    fi
  done
  "$BUILDERS/install.sh" "$APP_ROOT/.venv" "${files[@]}"
}

# The bytecode stays in the image, so that a container does not compile at start-up.
finish_environment() {
  local venv=$APP_ROOT/.venv scratch
  scratch=$(mktemp -d)
  "$BUILDERS/slim.sh" "$venv"
  # Bytecode contains its source's time. With a constant time, builds are reproducible.
  find "$venv/lib" -name '*.py' -type f -exec touch -t 200001010000 {} +
  # An import may print messages, write files, and even crash. ONNX Runtime would send usage data.
  # The bytecode is optional.
  HOME=$scratch TMPDIR=$scratch ORT_DISABLE_TELEMETRY=1 PYTHONPATH=$BUILDERS PYTHONHASHSEED=0 \
    "$venv/bin/python" "$BUILDERS/compile_packages.py" </dev/null >/dev/null 2>&1 || true
  rm -rf "$scratch"
  "$BUILDERS/permissions.sh" "$venv"
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

#!/usr/bin/env bash
# Summary: installs the OpenMP runtime if it is missing. xgboost needs it to train, not to predict.
# Usage:   setup.sh       (assemble runs it before it installs packages; ROLE is train or predict)
set -euo pipefail
if [ "${ROLE:-train}" = predict ] || ldconfig -p 2>/dev/null | grep -q 'libgomp\.so\.1'; then
  exit 0
fi
if [ "$(uname)" = Darwin ]; then
  brew list libomp >/dev/null 2>&1 || brew install libomp
elif [ "$(id -u)" != 0 ]; then
  echo "setup.sh: libgomp.so.1 isn't here and user $(id -u) can't install it;" \
    "ask for Debian's package libgomp1" >&2
  exit 1
else
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends libgomp1 >/dev/null
  rm -rf /var/lib/apt/lists/*
fi

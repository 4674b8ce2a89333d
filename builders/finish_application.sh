#!/usr/bin/env bash
# Summary: compiles an application in an image, and sets its permissions.
# Usage:   finish_application.sh       (in the application's folder)
set -euo pipefail
builders=$(cd "$(dirname "$0")" && pwd)

# The bytecode stays in the image, so that a container does not compile at start-up. Bytecode
# contains its source's time. With a constant time, builds are reproducible.
find . -path ./.venv -prune -o -name '*.py' -type f -exec touch -t 200001010000 {} +
# The check of the functions reports a module that is not valid Python.
PYTHONHASHSEED=0 .venv/bin/python -m compileall -qq -x '^\./\.venv/' . || true

# The environment has its permissions. A change of its files would copy them into a new layer.
find . -mindepth 1 -maxdepth 1 ! -name .venv -exec "$builders/permissions.sh" {} +
chgrp 0 .
chmod g=u,a-w .

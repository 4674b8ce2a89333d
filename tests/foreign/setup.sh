#!/usr/bin/env bash
# Summary: installs Debian's tree, with which income/files.py lists models/.
# Usage:   setup.sh       (called by the builder)
set -euo pipefail
apt-get update -qq
apt-get install -y -qq --no-install-recommends tree >/dev/null

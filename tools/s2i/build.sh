#!/usr/bin/env bash
# Summary: builds the pinned version of s2i in tools/bin with Go, which checks its checksums.
# Usage:   tools/s2i/build.sh       (make tools)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
command -v go >/dev/null || {
  echo "tools: go is not on the PATH. Install Go, or install s2i:" \
    "https://github.com/openshift/source-to-image#installation" >&2
  exit 69
}
echo "---> Building s2i"
# btrfs needs the headers of a C library that few machines have. s2i works without btrfs.
CGO_ENABLED=0 go build -tags exclude_graphdriver_btrfs -o ../bin/s2i \
  github.com/openshift/source-to-image/cmd/s2i

#!/usr/bin/env bash
# Summary: builds the pinned s2i into tools/bin, with Go and checksums; a release of s2i does too.
# Usage:   tools/s2i/build.sh       (make tools)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
command -v go >/dev/null || {
  echo "tools: there is no go on the PATH; get it, or s2i itself:" \
    "https://github.com/openshift/source-to-image#installation" >&2
  exit 69
}
echo "---> Building s2i"
# btrfs' headers are a C library that few machines have, and s2i works without.
CGO_ENABLED=0 go build -tags exclude_graphdriver_btrfs -o ../bin/s2i \
  github.com/openshift/source-to-image/cmd/s2i

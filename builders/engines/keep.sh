#!/usr/bin/env bash
# Summary: moves an image's tag to a build that is whole; before, the tag stays where it was.
# Usage:   keep.sh UNFINISHED IMAGE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. builders/engines/common.sh
[ $# = 2 ] || usage
docker image inspect "$1" >/dev/null 2>&1 || die 1 "s2i has built no image; see its messages above"
before=$(docker image inspect --format '{{.Id}}' "$2" 2>/dev/null) || true
docker tag "$1" "$2"
docker rmi "$1" >/dev/null
# Else each build would leave a nameless image. One with another name stays, and one that a container still runs on.
names=$(docker image inspect --format '{{len .RepoTags}}' "$before" 2>/dev/null) || true
[ "$names" != 0 ] || docker rmi "$before" >/dev/null 2>&1 || true

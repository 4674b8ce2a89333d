#!/usr/bin/env bash
# Summary: writes an SBOM (CycloneDX JSON) of each image that was built: the Python packages in it.
# Usage:   extras/sbom/sbom.sh [IMAGE...]       (make sbom)
#
# Without names, it uses the train and predict images of every directory. It writes the files to
# .local/sbom (SBOM). The SBOM of the base image is published by the maker of that image.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
. engines/choose.sh

if [ $# = 0 ]; then
  for makefile in */Makefile; do
    name=$(makefile_value "$(dirname "$makefile")" CONTAINER_NAME)
    set -- "$@" "$name-train" "$name-predict"
  done
fi

choose_engine
. tools/environment.sh cyclonedx extras/sbom/requirements.txt
: "${SBOM:=$PWD/.local/sbom}"
mkdir -p "$SBOM"
exec "$BIN/python" -m extras.sbom.cyclonedx "$ENGINE" "$SBOM" "$@"

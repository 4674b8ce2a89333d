#!/usr/bin/env bash
# Summary: removes a library that is not used from an image's environment.
# Usage:   slim.sh VENV
#
# ONNX Runtime's wheel has its library twice, 35 MB each: inside its Python module, and as a file
# for programs in C. This script removes that file and its line in RECORD, unless another file in
# the environment names it (onnxruntime-genai's files do).
set -euo pipefail
for library in "$1"/lib/python*/site-packages/onnxruntime/capi/libonnxruntime.so.*; do
  packages=${library%/onnxruntime/capi/*}
  name=${library##*/}
  [ -e "$library" ] || continue
  if grep -rqF --exclude="$name" --exclude-dir="*.dist-info" libonnxruntime.so "$packages"; then
    continue
  fi
  rm "$library"
  sed -i "\|^onnxruntime/capi/$name,|d" "$packages"/onnxruntime*.dist-info/RECORD
done

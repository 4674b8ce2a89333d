#!/usr/bin/env bash
# Summary: takes out of an image's environment what nothing in it can load.
# Usage:   slim.sh VENV
#
# ONNX Runtime's wheel holds its library twice: within its Python module, and apart for programs in
# C, 35 MB each. The second goes, unless some other file in the environment names it
# (onnxruntime-genai's do), and its line in RECORD with it.
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

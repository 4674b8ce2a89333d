#!/usr/bin/env bash
# Summary: takes out of an image's environment what nothing in it can load.
# Usage:   slim.sh VENV
#
# ONNX Runtime's wheel holds its library twice: within its Python module, and apart for programs in C, 35 MB each. The
# second goes, unless some other file in the environment names it (onnxruntime-genai's do), and its line in RECORD with it.
set -euo pipefail
for library in "$1"/lib/python*/site-packages/onnxruntime/capi/libonnxruntime.so.*; do
  packages=${library%/onnxruntime/capi/*}
  [ -e "$library" ] || continue
  ! grep -rqF --exclude="${library##*/}" --exclude-dir="*.dist-info" libonnxruntime.so "$packages" || continue
  rm "$library"
  sed -i "\|^onnxruntime/capi/${library##*/},|d" "$packages"/onnxruntime*.dist-info/RECORD
done

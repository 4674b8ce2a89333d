#!/usr/bin/env bash
# Summary: installs the packages of the benchmarks and runs them. bench/results has the results.
# Usage:   bench/run.sh [NAME]...
#
# The names are predict, serve, compare, build, demo, training, size, tune, encodings, estimators.
#
# make bench runs all of them, and make bench-serve runs one. ROUNDS and SECONDS_EACH change their
# duration, and RESULTS changes the folder of the results. The servers run with the local engine on
# loopback, and wrk generates the load. With BASELINE=../other, predict and serve are also compared
# with another checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. engines/common.sh

if [ -n "${BASELINE:-}" ] && ! [ -x "$BASELINE/build.sh" ]; then
  die 2 "BASELINE=$BASELINE: expected the root folder of another checkout of this repository"
fi
[ $# -gt 0 ] || set -- predict serve compare build demo training size

. tools/environment.sh bench \
  bench/requirements.txt builders/runtime/requirements.txt ./*/requirements_train.txt
export PYTHONPATH=$PWD:$PWD/builders
compgen -G "models/*.pkl" >/dev/null || make ENGINE=local train-all

for name; do
  say "Benchmark: $name"
  if [ "$name" = size ]; then
    bench/size.sh
  else
    "$BIN/python" "bench/$name.py"
  fi
done

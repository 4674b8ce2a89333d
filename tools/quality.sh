#!/usr/bin/env bash
# Summary: scores the three models on UCI's own split: fitted on adult.data's rows, scored on adult.test's.
# Usage:   tools/quality.sh       (make quality)
#
# Each model trains by its own train function, into a folder that is thrown away.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/environment.sh tests tests/requirements.txt builders/runtime/requirements.txt ./*/requirements_train.txt
TRAINING_ROWS=32561 # adult.data's; adult.test's 16,281 follow them in the CSV
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/models"
ln -s "$PWD/data" "$scratch/data"
root=$PWD
for directory in logisticRegression randomForest xgBoost; do
  name=$(sed -n 's/^MODEL_NAME := //p' "$directory/Makefile")
  (cd "$scratch" && TRAIN=1 TRAIN_MODULE=$directory.train TRAIN_FUNCTION=train PYTHONPATH=$root:$root/builders \
    PAYLOAD="{\"\$ref\": \"data/adult_income-prepped.csv\", \"model_name\": \"$name\", \"train_rows\": $TRAINING_ROWS}" \
    "$BIN/python" -m runtime.train)
done
python3 engines/model_table.py "$scratch"/models/*.pkl

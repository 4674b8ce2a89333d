#!/usr/bin/env bash
# Summary: scores the three models on UCI's own split: fitted on adult.data, scored on adult.test.
# Usage:   tools/quality.sh       (make quality)
#
# Each model is trained by its own train function, in a temporary folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tools/environment.sh tests tests/requirements.txt builders/runtime/requirements.txt \
  ./*/requirements_train.txt
# adult.data has this number of rows. In the CSV, the 16,281 rows of adult.test follow them.
TRAINING_ROWS=32561
root=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/models"
ln -s "$root/data" "$scratch/data"

train() { # train MODEL_DIR: trains its model in $scratch
  local name data
  name=$(makefile_value "$1" MODEL_NAME)
  data=$(makefile_value "$1" DATASET_NAME)
  export PYTHONPATH=$root:$root/builders TRAIN=1 TRAIN_MODULE=$1.train TRAIN_FUNCTION=train
  export PAYLOAD="{\"\$ref\": \"$data\", \"model_name\": \"$name\", \"train_rows\": $TRAINING_ROWS}"
  cd "$scratch"
  "$BIN/python" -m runtime.train
}

for directory in logisticRegression randomForest xgBoost; do
  (train "$directory")
done
python3 engines/model_table.py "$scratch"/models/*.pkl

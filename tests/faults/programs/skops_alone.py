"""Load the pipeline of a model file with skops alone, and predict its golden rows.

Usage: skops_alone.py FILE
"""

import sys
from pathlib import Path

import skops.io

from utils.encode_decode import init_model
from utils.forms.skops import TRUSTED
from utils.table.frame import FrameEncoder

path = Path(sys.argv[1])
contents = init_model(path.stem, path.parent)
kinds = [column["kind"] for column in contents["schema"]["columns"]]
rows = FrameEncoder(contents["scaler"], kinds).encode(contents["golden"]["instances"])
skops.io.loads(contents["model"], trusted=list(TRUSTED)).predict(rows)

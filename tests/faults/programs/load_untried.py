"""Load m.pkl of a folder in this process, without a trial.

Usage: load_untried.py FOLDER. The file's own types of support.hostile are trusted.
"""

import sys
from pathlib import Path

from utils.encode_decode import init_model
from utils.model import Model

sys.path.append(str(Path(__file__).parents[2]))
Model(init_model("m", sys.argv[1]), trusted=["support.hostile.Aborts"])

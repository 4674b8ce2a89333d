"""Run an ONNX file with ONNX Runtime only, without golden rows, within 4 GB.

Usage: onnx_alone.py FILE
"""

import sys

import numpy as np
import onnxruntime
from limits import limit_memory

ROWS = [[0, 1, 2], [1, 1, 1]]

if __name__ == "__main__":
    limit_memory(4 << 30)
    session = onnxruntime.InferenceSession(sys.argv[1])
    session.run(None, {"rows": np.float32(ROWS)})

"""Hostile ONNX graphs in files with a right digest: refused with a reason; what still hangs is for the HMAC to bear."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from conftest import run
from onnx import NodeProto, TensorProto, helper, numpy_helper
from support.figures import Figure

from utils.encode_decode import pickle_model

# A child's program: loads each model of a folder and replays its golden rows, with 4 GB of address space; prints what
# came of each and the most memory it took in KB.
LOADER = """
import json, resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
from utils.encode_decode import ModelFileError
from utils.serving import ServedModel
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
said = {}
for path in Path(sys.argv[1]).glob("*.pkl"):
    try:
        ServedModel(path.stem, sys.argv[1]).refresh()
        said[path.stem] = "taken"
    except ModelFileError as error:
        said[path.stem] = str(error)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([said, peak]))
"""
# The naive way: ONNX Runtime alone, without golden rows.
ALONE = """
import resource, sys
import numpy, onnxruntime
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
session = onnxruntime.InferenceSession(sys.argv[1])
session.run(None, {"rows": numpy.float32([[0, 1, 2], [1, 1, 1]])})
"""
SECONDS, PEAK_KB = 20, 400_000
ROWS = [[0, 1, 2], [1, 1, 1]]
CLASSES = [helper.make_tensor_value_info("label", TensorProto.INT64, [None])]
SCORES = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 2])
SHIFTED = [*CLASSES, helper.make_tensor_value_info("shifted", TensorProto.FLOAT, None)]


def graph(
    *nodes: NodeProto, width: int = 3, outputs: Any = (*CLASSES, SCORES), constants: Any = ()
) -> bytes:
    """An ONNX model that takes `rows` (rows x width) and gives `outputs`."""
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, width])
    named = [numpy_helper.from_array(np.array(value), name) for name, value in constants]
    made = helper.make_graph(nodes, "hostile", [rows], outputs, named)
    domains = [("", 15), ("ai.onnx.ml", 1), ("elsewhere", 1)]
    versions = [helper.make_opsetid(domain, version) for domain, version in domains]
    content: bytes = helper.make_model(
        made, opset_imports=versions, ir_version=8
    ).SerializeToString()
    return content


def tree(**other: Any) -> NodeProto:
    """A tree of one split and two leaves, with other attributes."""
    attributes: dict[str, Any] = {
        "nodes_treeids": [0, 0, 0],
        "nodes_nodeids": [0, 1, 2],
        "nodes_featureids": [0, 0, 0],
        "nodes_values": [0.5, 0.0, 0.0],
        "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "nodes_truenodeids": [1, 0, 0],
        "nodes_falsenodeids": [2, 0, 0],
        "class_treeids": [0, 0, 0, 0],
        "class_nodeids": [1, 1, 2, 2],
        "class_ids": [0, 1, 0, 1],
        "class_weights": [0.75, 0.25, 0.125, 0.875],
        "classlabels_int64s": [0, 1],
        "post_transform": "NONE",
    }
    outputs = ["label", "scores"]
    return helper.make_node(
        "TreeEnsembleClassifier", ["rows"], outputs, domain="ai.onnx.ml", **{**attributes, **other}
    )


def shifted(*nodes: NodeProto, **constants: Any) -> bytes:
    """The tree, its scores shifted by `shift`, which `nodes` make."""
    add = helper.make_node("Add", ["scores", "shift"], ["shifted"])
    return graph(*nodes, tree(), add, outputs=SHIFTED, constants=constants.items())


def huge(rows: int) -> bytes:
    """A graph of some hundred bytes that fills rows x 2^20 numbers."""
    fill = helper.make_node("ConstantOfShape", ["shape"], ["much"])
    total = helper.make_node("ReduceSum", ["much"], ["shift"], keepdims=0)
    return shifted(fill, total, shape=np.int64([rows, 1 << 20]))


def endless() -> bytes:
    """A graph whose loop has no end."""
    flags = [helper.make_tensor_value_info(name, TensorProto.BOOL, []) for name in ("on", "still")]
    sums = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("sum", "next")]
    count = helper.make_tensor_value_info("count", TensorProto.INT64, [])
    copies = [
        helper.make_node("Identity", ["on"], ["still"]),
        helper.make_node("Identity", ["sum"], ["next"]),
    ]
    body = helper.make_graph(copies, "body", [count, flags[0], sums[0]], [flags[1], sums[1]])
    loop = helper.make_node("Loop", ["", "true", "zero"], ["shift"], body=body)
    return shifted(loop, true=True, zero=np.float32([0]))


def external(path: str) -> bytes:
    """A graph one of whose constants lies in a file."""
    tensor = TensorProto(
        name="shift", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL
    )
    tensor.external_data.add(key="location", value=path)
    loaded = onnx.load_from_string(shifted())
    loaded.graph.initializer.append(tensor)
    content: bytes = loaded.SerializeToString()
    return content


GRAPHS: dict[str, Callable[[], bytes]] = {
    "a-child-missing": lambda: graph(tree(nodes_truenodeids=[10**6, 0, 0])),
    "a-negative-child": lambda: graph(tree(nodes_truenodeids=[-1, 0, 0])),
    "a-node-is-its-own-child": lambda: graph(tree(nodes_truenodeids=[0, 0, 0])),
    "two-nodes-are-each-other": lambda: graph(
        tree(nodes_modes=["BRANCH_LEQ", "BRANCH_LEQ", "LEAF"])
    ),
    "a-column-missing": lambda: graph(tree(nodes_featureids=[10**6, 0, 0])),
    "a-negative-column": lambda: graph(tree(nodes_featureids=[-(10**6), 0, 0])),
    "a-class-missing": lambda: graph(tree(class_ids=[0, 10**6, 0, 1])),
    "a-negative-class": lambda: graph(tree(class_ids=[0, -(10**6), 0, 1])),
    "a-leaf-missing": lambda: graph(tree(class_nodeids=[1, 10**6, 2, 2])),
    "too-few-thresholds": lambda: graph(tree(nodes_values=[0.5])),
    "too-few-weights": lambda: graph(tree(class_weights=[0.5])),
    "too-few-classes": lambda: graph(tree(classlabels_int64s=[0])),
    "other-answers": lambda: graph(tree(class_weights=[0.25, 0.75, 0.875, 0.125])),
    "another-width": lambda: graph(tree(), width=4),
    "one-output": lambda: graph(tree(), outputs=CLASSES),
    "outputs-swapped": lambda: graph(tree(), outputs=[SCORES, *CLASSES]),
    "an-operator-of-another-domain": lambda: graph(
        helper.make_node("Run", ["rows"], ["label", "scores"], domain="elsewhere")
    ),
    "an-unknown-operator": lambda: graph(helper.make_node("Run", ["rows"], ["label", "scores"])),
    "a-circle": lambda: graph(
        tree(), helper.make_node("Neg", ["a"], ["b"]), helper.make_node("Neg", ["b"], ["a"])
    ),
    "four_terabytes": lambda: huge(1 << 20),
    "hundred_gigabytes": lambda: huge(25_000),
    "a-file-outside": lambda: external("../../../../../../etc/passwd"),
    "a-file-by-its-path": lambda: external("/etc/passwd"),
    "no-bytes": lambda: b"",
    "any-bytes": lambda: bytes(range(256)) * 9,
}

NEEDS_GOLDEN_ROWS = ["other-answers", "one-output", "outputs-swapped"]


def write(directory: Path, name: str, model: bytes, **golden: Any) -> None:
    """Writes a model file with a right digest around a graph; its golden rows are the good tree's unless given."""
    rows = {
        "instances": ROWS,
        "predictions": [1, 1],
        "scores": [[0.75, 0.25], [0.125, 0.875]],
        **golden,
    }
    scaler = {"columns": [{"name": name} for name in "abc"]}
    contents = {
        "modelName": name,
        "scaler": scaler,
        "schema": {"classes": [0, 1]},
        "golden": rows,
        "model": model,
    }
    pickle_model(contents, directory)


def loaded(directory: Path, **variables: str) -> tuple[dict[str, str], int]:
    """What a loader in a process of its own says of each model, and the most memory it took in KB; it must not die."""
    done = run(sys.executable, "-c", LOADER, directory, env=variables, seconds=SECONDS)
    assert done.returncode == 0, done.stderr[-2000:]
    said, peak = json.loads(done.stdout)
    return said, peak


def test_hostile_graphs_are_refused_with_a_reason(tmp_path: Path, figure: Figure) -> None:
    for name, make in GRAPHS.items():
        write(tmp_path, name, make())
    said, peak = loaded(tmp_path)
    unexplained = {name: words for name, words in said.items() if "train it again" not in words}
    assert (unexplained, len(said)) == ({}, len(GRAPHS))
    assert peak < PEAK_KB
    taken = [name for name in NEEDS_GOLDEN_ROWS if alone(tmp_path, GRAPHS[name]())]
    assert taken == NEEDS_GOLDEN_ROWS
    told = f"all refused, no process died, at most {peak // 1000} MB"
    figure(
        f"hostile ONNX graphs with a right digest: {len(GRAPHS)}",
        told,
        f"without golden rows {len(taken)} are taken",
    )


def alone(directory: Path, model: bytes) -> bool:
    """Whether ONNX Runtime alone takes a graph."""
    (directory / "alone.onnx").write_bytes(model)
    return (
        run(sys.executable, "-c", ALONE, directory / "alone.onnx", seconds=SECONDS).returncode == 0
    )


def test_only_the_hmac_keeps_out_a_graph_that_never_ends(tmp_path: Path, figure: Figure) -> None:
    """What a right digest can't show: this file is sound, and its loop has no end."""
    write(tmp_path, "m", endless())
    with pytest.raises(subprocess.TimeoutExpired):
        run(sys.executable, "-c", LOADER, tmp_path, seconds=5)
    (tmp_path / "keys").write_text("k" * 32)
    said, _ = loaded(tmp_path, MODEL_HMAC_KEY_FILE=str(tmp_path / "keys"))
    assert "has no HMAC of a key in MODEL_HMAC_KEY_FILE" in said["m"]
    figure(
        "an ONNX loop without end, with a right digest",
        "with a key: refused for want of an HMAC",
        "digest alone: hangs",
    )


def test_a_good_graph_is_taken(tmp_path: Path) -> None:
    write(tmp_path, "m", graph(tree()))
    assert loaded(tmp_path)[0] == {"m": "taken"}


LIES: list[dict[str, Any]] = [
    {"instances": []},
    {"instances": None},
    {"instances": "rows"},
    {"instances": [["a", 1, 2]]},
    {"instances": [[0, 1]]},
    {"instances": [[[[[0]]]]]},
    {"predictions": [0, 1]},
    {"predictions": []},
    {"scores": [[0.75, 0.25], [0.125, 0.874]]},
    {"scores": [[0.75, 0.25]]},
    {"scores": {"a": 1}},
    {"scores": [["much", 1], [1, 1]]},
]


def test_golden_rows_that_lie_are_refused(tmp_path: Path) -> None:
    for number, golden in enumerate(LIES):
        write(tmp_path, str(number), graph(tree()), **golden)
    said, _ = loaded(tmp_path)
    assert [LIES[int(name)] for name, words in said.items() if "golden rows" not in words] == []
    assert len(said) == len(LIES)

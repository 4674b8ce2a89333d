"""Hostile ONNX graphs in files with a valid digest: rejected with a reason.

Only the HMAC protects against a graph that runs forever.
"""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper
from support.figures import Figure
from support.programs import result_of, run_program

from utils.encode_decode import pickle_model

MOST_SECONDS = 20
MOST_KB = 400_000
ADVICE = re.compile(r"Train it again\.|self-check failed: .* Retrain with", re.DOTALL)
ROWS = [[0, 1, 2], [1, 1, 1]]
CLASSES = [helper.make_tensor_value_info("label", TensorProto.INT64, [None])]
SCORES = helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 2])
SHIFTED = [*CLASSES, helper.make_tensor_value_info("shifted", TensorProto.FLOAT, None)]


def graph(
    *nodes: NodeProto, width: int = 3, outputs: Any = (*CLASSES, SCORES), constants: Any = ()
) -> bytes:
    """Return an ONNX model of `rows` (rows x width) that has `outputs`."""
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, width])
    named = [numpy_helper.from_array(np.array(value), name) for name, value in constants]
    hostile = helper.make_graph(nodes, "hostile", [rows], outputs, named)

    domains = [("", 15), ("ai.onnx.ml", 1), ("elsewhere", 1)]
    versions = [helper.make_opsetid(domain, version) for domain, version in domains]
    model = helper.make_model(hostile, opset_imports=versions, ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def tree(**other: Any) -> NodeProto:
    """Return a tree of one split and two leaves, with other attributes."""
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
    return helper.make_node(
        "TreeEnsembleClassifier",
        ["rows"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        **{**attributes, **other},
    )


def shifted(*nodes: NodeProto, **constants: Any) -> bytes:
    """Return the tree with nodes that shift its scores; `nodes` compute `shift`."""
    add = helper.make_node("Add", ["scores", "shift"], ["shifted"])
    return graph(*nodes, tree(), add, outputs=SHIFTED, constants=constants.items())


def huge(rows: int) -> bytes:
    """Return a graph of some hundred bytes that computes rows x 2^20 numbers."""
    fill = helper.make_node("ConstantOfShape", ["shape"], ["much"])
    total = helper.make_node("ReduceSum", ["much"], ["shift"], keepdims=0)
    return shifted(fill, total, shape=np.int64([rows, 1 << 20]))


def endless() -> bytes:
    """Return a graph with a loop that never ends."""
    on = helper.make_tensor_value_info("on", TensorProto.BOOL, [])
    still = helper.make_tensor_value_info("still", TensorProto.BOOL, [])
    total = helper.make_tensor_value_info("sum", TensorProto.FLOAT, [1])
    following = helper.make_tensor_value_info("next", TensorProto.FLOAT, [1])
    count = helper.make_tensor_value_info("count", TensorProto.INT64, [])
    copies = [
        helper.make_node("Identity", ["on"], ["still"]),
        helper.make_node("Identity", ["sum"], ["next"]),
    ]
    body = helper.make_graph(copies, "body", [count, on, total], [still, following])
    loop = helper.make_node("Loop", ["", "true", "zero"], ["shift"], body=body)
    return shifted(loop, true=True, zero=np.float32([0]))


def external(path: str) -> bytes:
    """Return a graph that reads one of its constants from a file."""
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
    """Write a model file with a valid digest around a graph.

    Its golden rows have the answers of the good tree, unless others are given.
    """
    rows = {
        "instances": ROWS,
        "predictions": [1, 1],
        "scores": [[0.75, 0.25], [0.125, 0.875]],
        **golden,
    }
    contents = {
        "modelName": name,
        "scaler": {"columns": [{"name": name} for name in "abc"]},
        "schema": {"classes": [0, 1]},
        "golden": rows,
        "model": model,
    }
    pickle_model(contents, directory)


def load(directory: Path, **variables: str) -> tuple[dict[str, str], int]:
    """Load each model in a separate process; check that the process does not crash.

    Returns the outcome of each model, and the peak memory in KB.
    """
    done = run_program("load_graphs", directory, seconds=MOST_SECONDS, **variables)
    results, peak = result_of(done)
    return results, peak


def is_taken_without_golden_rows(directory: Path, model: bytes) -> bool:
    """Return whether ONNX Runtime accepts a graph without golden rows."""
    file = directory / "alone.onnx"
    file.write_bytes(model)
    return run_program("onnx_alone", file, seconds=MOST_SECONDS).returncode == 0


def test_hostile_graphs_are_refused_with_a_reason(tmp_path: Path, figure: Figure) -> None:
    for name, build in GRAPHS.items():
        write(tmp_path, name, build())
    results, peak = load(tmp_path)
    unexplained = {name: text for name, text in results.items() if not ADVICE.search(text)}
    assert unexplained == {}
    assert len(results) == len(GRAPHS)
    assert peak < MOST_KB

    for name in NEEDS_GOLDEN_ROWS:
        assert is_taken_without_golden_rows(tmp_path, GRAPHS[name]()), name
    figure(
        f"hostile ONNX graphs with a right digest: {len(GRAPHS)}",
        f"all refused, no process died, at most {peak // 1000} MB",
        f"without golden rows {len(NEEDS_GOLDEN_ROWS)} are taken",
    )


def test_only_the_hmac_keeps_out_a_graph_that_never_ends(tmp_path: Path, figure: Figure) -> None:
    """A digest is no protection: this file has a valid digest and an endless loop."""
    write(tmp_path, "m", endless())
    with pytest.raises(subprocess.TimeoutExpired):
        run_program("load_graphs", tmp_path, seconds=5)

    keys = tmp_path / "keys"
    keys.write_text("k" * 32)
    results, _ = load(tmp_path, MODEL_HMAC_KEY_FILE=str(keys))
    assert "No signature of a key in MODEL_HMAC_KEY_FILE" in results["m"]
    figure(
        "an ONNX loop without end, with a right digest",
        "with a key: rejected, because the HMAC is missing",
        "digest alone: hangs",
    )


def test_a_good_graph_is_taken(tmp_path: Path) -> None:
    write(tmp_path, "m", graph(tree()))
    assert load(tmp_path)[0] == {"m": "taken"}


WRONG_GOLDEN_ROWS: list[dict[str, Any]] = [
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


def test_wrong_golden_rows_are_refused(tmp_path: Path) -> None:
    for number, golden in enumerate(WRONG_GOLDEN_ROWS):
        write(tmp_path, str(number), graph(tree()), **golden)
    results, _ = load(tmp_path)
    other = {name: text for name, text in results.items() if "golden rows" not in text}
    assert other == {}
    assert len(results) == len(WRONG_GOLDEN_ROWS)

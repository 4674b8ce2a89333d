"""Change the graph of an ONNX model: attributes, link function and outputs."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

# The newest operator set that skl2onnx 1.20 and onnxmltools 1.16 both write.
OPSET = 15
ML_OPSET = 3
# The operators of each link function, which turns the sum of the trees into the answer. "Mul sum"
# multiplies by the sum itself.
LINKS: dict[str, tuple[str, ...]] = {
    "identity": (),
    "exp": ("Exp",),
    "sigmoid": ("Sigmoid",),
    "softmax": ("Softmax",),
    "step": ("Sign", "Relu"),
    "signed square": ("Abs", "Mul sum"),
}


def attribute(node: Any, name: str) -> Any:
    """Return an attribute of a node, or None."""
    return next((each for each in node.attribute if each.name == name), None)


def remove_attributes(node: Any, names: Collection[str]) -> None:
    """Remove the attributes of a node that have one of the names."""
    kept = [each for each in node.attribute if each.name not in names]
    del node.attribute[:]
    node.attribute.extend(kept)


def set_attribute(node: Any, name: str, value: Any) -> None:
    """Set an attribute of a node."""
    from onnx import helper

    remove_attributes(node, (name,))
    node.attribute.append(helper.make_attribute(name, value))


def model_of(nodes: list[Any], name: str, width: int, constants: dict[str, Any]) -> Any:
    """Return a model of `nodes`, from the input "rows" to the output "sums".

    `constants` are the arrays that the nodes use.
    """
    from onnx import TensorProto, helper

    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, width])
    sums = helper.make_tensor_value_info("sums", TensorProto.FLOAT, [None, None])
    graph = helper.make_graph(nodes, name, [rows], [sums])
    operators = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=operators, ir_version=8)
    for constant, values in constants.items():
        add_constant(model, constant, values)
    return model


def add_constant(model: Any, name: str, values: Any) -> None:
    """Add an array to a model."""
    from onnx import numpy_helper

    model.graph.initializer.append(numpy_helper.from_array(np.asarray(values), name))


def add_link(model: Any, link: str, factor: float = 1.0) -> None:
    """Apply a link function to `factor` times the only output of a model."""
    total = model.graph.output[0].name
    if factor != 1.0:
        add_constant(model, "factor", np.float32(factor))
        total = add_node(model, "Mul", [total, "factor"])
    last = total
    for step in LINKS[link]:
        operator, *others = step.split()
        last = add_node(model, operator, [last, *(total for _ in others)])
    model.graph.output[0].name = last


def add_node(model: Any, operator: str, inputs: list[str], **attributes: Any) -> str:
    """Add a node to a model and return the name of its output."""
    from onnx import helper

    output = f"{operator.lower()} {len(model.graph.node)}"
    model.graph.node.append(helper.make_node(operator, inputs, [output], **attributes))
    return output


def add_classes(model: Any, width: int) -> None:
    """Turn the only output of a model into class numbers and scores.

    `width` is the width of the output: a column for each class, or 1 for the score of the second of
    two classes.
    """
    last = model.graph.output[0].name
    if width == 1:
        add_constant(model, "one", np.float32(1))
        scores = add_node(model, "Sub", ["one", last])
        last = add_node(model, "Concat", [scores, last], axis=1)
    number = add_node(model, "ArgMax", [last], axis=1, keepdims=0)
    set_outputs(model, {number: [None], last: [None, max(2, width)]}, {number: "INT64"})


def set_outputs(
    model: Any, shapes: dict[str, list[int | None]], types: dict[str, str] | None = None
) -> None:
    """Declare the names and shapes of a model's outputs.

    An output without a type has the type float.
    """
    from onnx import TensorProto, helper

    del model.graph.output[:]
    for name, shape in shapes.items():
        kind = TensorProto.DataType.Value((types or {}).get(name, "FLOAT"))
        model.graph.output.append(helper.make_tensor_value_info(name, kind, shape))


def flatten_classes(model: Any) -> None:
    """Let the first output of a model, the numbers of the classes, have one dimension."""
    add_constant(model, "all rows", np.array([-1], dtype=np.int64))
    numbers = model.graph.output[0]
    numbers.name = add_node(model, "Reshape", [numbers.name, "all rows"])

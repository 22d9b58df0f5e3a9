#!/usr/bin/env python3
"""Makes the tiny ONNX files beside it: each answers the mean of every channel, or is wrong in one way.

Needs the Python package `onnx`.
"""

from pathlib import Path

import onnx
from onnx import TensorProto, helper


def save(name, shape, nodes, output=("B", 3), dtype=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("means", TensorProto.FLOAT, output)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, Path(__file__).with_name(f"{name}.onnx"))


def means(source="x"):
    return [
        helper.make_node("GlobalAveragePool", [source], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["means"]),
    ]


to_nchw = helper.make_node("Transpose", ["x"], ["planar"], perm=[0, 3, 1, 2])

save("nhwc", ["B", 2, 4, 3], [to_nchw, *means("planar")])
save("exact_batch", [2, 3, 2, 4], means(), output=(2, 3))
save("open_size", ["B", 3, "H", "W"], means())
save("grey", ["B", 1, 2, 4], means(), output=("B", 1))
save("flat", ["B", 24], [helper.make_node("Identity", ["x"], ["means"])], output=("B", 24))
save("map", ["B", 3, 2, 4], [helper.make_node("Identity", ["x"], ["means"])], output=("B", 3, 2, 4))
save("logarithm", ["B", 3, 2, 4], [*means()[:1], helper.make_node("Flatten", ["pooled"], ["flat"]),
                                   helper.make_node("Log", ["flat"], ["means"])])

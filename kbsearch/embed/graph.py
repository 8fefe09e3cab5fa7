"""Build the twelve layers of the model as an ONNX graph with 8-bit weights.

Use: ``build(packed, progress)`` gives the bytes of a graph that takes the embedded tokens of one text, ``tokens``,
float32 of shape ``(1, n, hidden)``, and gives ``vector``, the mean of the last layer, float32 of shape
``(1, hidden)``. The embeddings stay outside, so that opening the graph does not read the vocabulary.

Weights are int8 with one scale per output channel. Activations are quantised when the graph runs, and that is where
precision is lost. For three of the four products of a layer one scale per text does (``DynamicQuantizeLinear``). The
fourth takes the output of the GELU, where a few tokens are far larger than the rest: it gets one scale per token.
On passages that turns a mean cosine of .997 to float32 into .999, for a tenth of the speed.

Never: batch texts here. One scale for a batch would make a text's vector depend on its neighbours (cosine down to
.995), and a batch was no faster than its texts one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kbsearch.embed.packed import Packed
    from kbsearch.model import FloatArray

__all__ = ["QUANTISATION", "build"]

QUANTISATION = "int8-1"
"""Part of the fingerprint: raise the number whenever the graph computes something else."""

FUSED = "com.microsoft"
GELU_FLOOR = 0.17
"""GELU is nowhere below −0.16998, so ``gelu + 0.17`` is positive and fits uint8 without a zero point."""


class _Graph:
    """Collects nodes and constants; methods return the name of their output."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def constant(self, name: str, values: Any) -> str:
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def scalar(self, name: str, value: np.generic) -> str:
        self.constants[name] = numpy_helper.from_array(np.array(value), name)
        return name

    def node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def product(self, x: str, weights: FloatArray, output: str) -> str:
        """``x @ weights`` with one scale for all of ``x``; weights have the shape ``(in, out)``."""
        whole, scales = quantise(weights)
        parts = [f"{output}.x8", f"{output}.x_scale", f"{output}.x_zero"]
        self.nodes.append(helper.make_node("DynamicQuantizeLinear", [x], parts, name=parts[0]))
        inputs = [parts[0], self.constant(f"{output}.w8", whole), parts[1], self.constant(f"{output}.scales", scales)]
        return self.node("MatMulIntegerToFloat", [*inputs, parts[2]], output, FUSED)

    def product_after_gelu(self, x: str, weights: FloatArray, output: str) -> tuple[str, FloatArray]:
        """``(x + 0.17) @ weights`` with one scale per token, and the constant that this is too much by.

        With ``step = (max(x) + 0.17) / 255`` for each token, ``round((x + 0.17) / step)`` fills uint8. The constant,
        of shape ``(out,)``, is taken from the bias that is added next, which costs nothing.
        """
        whole, scales = quantise(weights)
        floor = self.scalar("gelu_floor", np.float32(GELU_FLOOR))
        largest = self.node("ReduceMax", [x, self.constant("last_axis", np.array([-1]))], f"{output}.max", keepdims=1)
        span = self.node("Add", [largest, floor], f"{output}.span")
        steps = self.node("Div", [self.scalar("levels", np.float32(255)), span], f"{output}.steps")
        lifted = self.node("Add", [x, floor], f"{output}.lifted")
        scaled = self.node("Mul", [lifted, steps], f"{output}.scaled")
        rounded = self.node("Round", [scaled], f"{output}.rounded")
        x8 = self.node("Cast", [rounded], f"{output}.x8", to=TensorProto.UINT8)
        inputs = [x8, self.constant(f"{output}.w8", whole), self.scalar("one", np.float32(1))]
        inputs += [self.constant(f"{output}.scales", scales), self.scalar("zero", np.uint8(0))]
        product = self.node("MatMulIntegerToFloat", inputs, f"{output}.product", FUSED)
        surplus = GELU_FLOOR * (whole * scales).sum(axis=0)
        return self.node("Div", [product, steps], output), surplus.astype(np.float32)


def quantise(weights: FloatArray) -> tuple[NDArray[np.int8], FloatArray]:
    """Weights of shape ``(in, out)`` as int8 of the same shape and scales, float32 of shape ``(out,)``."""
    scales = np.maximum(np.abs(weights).max(axis=0) / 127, np.finfo(np.float32).tiny).astype(np.float32)
    return np.round(weights / scales).astype(np.int8), scales


def build(packed: Packed, progress: Callable[[int, int], None]) -> bytes:
    """Give the serialised graph; ``progress(done, total)`` counts layers."""
    graph = _Graph()
    x, layers = "tokens", packed.sizes.layers
    for number in range(layers):
        progress(number, layers)
        x = _layer(graph, packed, number, x)
    graph.node("ReduceMean", [x, graph.constant("token_axis", np.array([1]))], "vector", keepdims=0)
    progress(layers, layers)
    serialised: bytes = _model(graph, packed.sizes.hidden).SerializeToString()
    return serialised


def _layer(graph: _Graph, packed: Packed, number: int, x: str) -> str:
    """One transformer layer, post-layer-norm (Devlin et al. 2019, arXiv:1810.04805)."""
    sizes = packed.sizes
    at = f"layer{number}"

    def matrix(name: str) -> FloatArray:
        width = sizes.inner if name == "fo" else sizes.hidden
        return packed.tensor(f"l{number}.{name}.w", width).T

    def vector(name: str) -> FloatArray:
        return packed.tensor(f"l{number}.{name}")

    def add_and_norm(residual: str, y: str, bias: FloatArray, norm: str) -> str:
        inputs = [residual, y, graph.constant(f"{at}.{norm}.w", vector(f"{norm}.w"))]
        inputs += [graph.constant(f"{at}.{norm}.b", vector(f"{norm}.b")), graph.constant(f"{at}.{norm}.bias", bias)]
        return graph.node("SkipLayerNormalization", inputs, f"{at}.{norm}", FUSED, epsilon=sizes.epsilon)

    # 1. Self-attention: one product for queries, keys and values; the operator adds their biases.
    joined = graph.product(x, np.concatenate([matrix(name) for name in "qkv"], axis=1), f"{at}.qkv")
    parts = [f"{at}.{name}" for name in "qkv"]
    graph.nodes.append(helper.make_node("Split", [joined], parts, name=f"{at}.split", axis=2, num_outputs=3))
    biases = graph.constant(f"{at}.qkv.bias", np.concatenate([vector(f"{name}.b") for name in "qkv"]))
    mixed = graph.node("MultiHeadAttention", [*parts, biases], f"{at}.mixed", FUSED, num_heads=sizes.heads)
    projected = graph.product(mixed, matrix("ao"), f"{at}.projected")
    x = add_and_norm(x, projected, vector("ao.b"), "aln")
    # 2. Feed-forward.
    wide = graph.product(x, matrix("fi"), f"{at}.wide")
    active = graph.node("BiasGelu", [wide, graph.constant(f"{at}.fi.b", vector("fi.b"))], f"{at}.gelu", FUSED)
    narrow, surplus = graph.product_after_gelu(active, matrix("fo"), f"{at}.narrow")
    return add_and_norm(x, narrow, vector("fo.b") - surplus, "oln")


def _model(graph: _Graph, hidden: int) -> ModelProto:
    """Wrap the nodes up. The versions are the oldest that have the operators, for old runtimes' sake."""
    body = helper.make_graph(
        graph.nodes,
        "multilingual-e5-small-body",
        [helper.make_tensor_value_info("tokens", TensorProto.FLOAT, [1, "n", hidden])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, [1, hidden])],
        list(graph.constants.values()),
    )
    versions = [helper.make_opsetid("", 18), helper.make_opsetid(FUSED, 1)]
    return helper.make_model(body, opset_imports=versions, ir_version=9)

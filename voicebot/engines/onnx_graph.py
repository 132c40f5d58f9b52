"""ONNX networks of speech: a session that leaves the cores to others, and durations told as well.

Published voices keep the durations of phonemes to themselves. They are values inside the graph, so
a few bytes behind the file make them an output, and a word's times are known.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

EXACT_BYTES = "voicebot.exact_bytes"
"""Metadata of a graph that is right only where products of bytes are added up without clipping."""

# Fields of protobuf messages in onnx.proto, by number.
_IR_VERSION, _GRAPH, _OPSETS = 1, 7, 8  # of ModelProto
_VERSION = 2  # of OperatorSetIdProto
_NODE, _GRAPH_NAME, _INITIALIZER, _OUTPUT = 1, 2, 5, 12  # of GraphProto
_TAKES, _GIVES, _KIND = 1, 2, 4  # of NodeProto
_NAME = 1  # of ValueInfoProto
_DIMENSION, _DATA_TYPE, _TENSOR_NAME, _RAW_DATA = 1, 2, 8, 9  # of TensorProto
_UINT8, _INT8 = 2, 3  # of TensorProto.DataType


def session(model: Path, threads: int, more: str | None = None) -> Any:
    """An onnxruntime session on the CPU. Raises whatever onnxruntime does: its errors have no base.

    threads: 0 is one per core.
    more: a value inside the graph to give as an output too, after its own.
    """
    import onnxruntime  # type: ignore[import-untyped]  # it has no stubs

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Waiting threads sleep rather than spin: the cores are the language model's too.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # its advice on graphs is not for our users
    source = _with_output(model, more) if more else str(model)
    opened = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    if more:
        opened._model_bytes = None  # kept for when a GPU fails; here it is as much memory again
    return opened


def durations(model: Path) -> str | None:
    """The value inside a graph of one output that holds the frames of each phoneme, if any.

    These networks, like StyleTTS 2 before them, round their durations and let none be below 1:
    in the graph a Round whose output goes into a Clip. Nothing else in them is rounded.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a protobuf message.
    """
    rounded: set[bytes] = set()
    found: list[bytes] = []
    outputs = 0
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for number, graph in _fields(content, 0, len(content)):
            if number != _GRAPH:
                continue
            for within, part in _fields(content, *graph):
                outputs += within == _OUTPUT
                if within != _NODE:
                    continue
                node = [(n, content[slice(*place)]) for n, place in _fields(content, *part)]
                kind = dict(node).get(_KIND)
                gives = [value for n, value in node if n == _GIVES]
                if kind == b"Round":
                    rounded.update(gives)
                elif kind == b"Clip" and any(n == _TAKES and v in rounded for n, v in node):
                    found += gives
    return found[0].decode() if len(found) == 1 == outputs else None


@cache
def exact_bytes() -> bool:
    """Whether products of unsigned and signed bytes are added up without clipping here.

    On processors of x86 without VNNI onnxruntime adds two of them in 16 bits, which are too few
    where both are large. A product of the largest shows it.
    """
    import onnxruntime

    rows, columns, depth = 16, 16, 64
    left = _tensor("a", _UINT8, (rows, depth), b"\xff" * rows * depth)
    right = _tensor("b", _INT8, (depth, columns), b"\x7f" * depth * columns)
    names = [_field(_TAKES, b"a"), _field(_TAKES, b"b"), _field(_GIVES, b"c")]
    node = _field(_NODE, b"".join([*names, _field(_KIND, b"MatMulInteger")]))
    output = _field(_OUTPUT, _field(_NAME, b"c"))
    graph = b"".join([node, _field(_GRAPH_NAME, b"bytes"), left, right, output])
    opset = _field(_OPSETS, _number(_VERSION, 13))
    model = b"".join([_number(_IR_VERSION, 8), _field(_GRAPH, graph), opset])
    opened = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return bool((opened.run(None, {})[0] == 255 * 127 * depth).all())


def _tensor(name: str, kind: int, shape: tuple[int, ...], content: bytes) -> bytes:
    """A TensorProto as an initializer of a graph."""
    dimensions = b"".join(_number(_DIMENSION, length) for length in shape)
    named = _field(_TENSOR_NAME, name.encode())
    return _field(
        _INITIALIZER, dimensions + _number(_DATA_TYPE, kind) + named + _field(_RAW_DATA, content)
    )


def brief(error: Exception) -> str:
    """The first line of a library's error, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _with_output(model: Path, name: str) -> bytes:
    """A serialized ONNX model whose graph has the value `name` among its outputs.

    Of a message that comes twice, protobuf takes the fields of both, and lists grow: so what is
    put behind the model is a ModelProto.graph with nothing but an output, a ValueInfoProto with
    nothing but its name, whose type onnxruntime infers. The package onnx is not needed.
    """
    output = _field(_GRAPH, _field(_OUTPUT, _field(_NAME, name.encode())))
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return b"".join((content, output))  # not by +, which would hold the file twice


def _field(number: int, payload: bytes) -> bytes:
    """A protobuf field that holds bytes."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _number(number: int, value: int) -> bytes:
    """A protobuf field that holds a whole number."""
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first, and a high bit on all but the last."""
    low = []
    while value > 127:
        low.append(value & 127 | 128)
        value >>= 7
    return bytes([*low, value])


def _fields(content: mmap.mmap, at: int, end: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """The number of each field of a protobuf message that holds bytes, and where these are."""
    while at < end:
        key, at = _read_varint(content, at, end)
        kind = key & 7
        if kind == 2:
            length, at = _read_varint(content, at, end)
            if at + length > end:
                raise ValueError("it ends in the middle of a field")
            yield key >> 3, (at, at + length)
            at += length
        elif kind == 0:
            _, at = _read_varint(content, at, end)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("it is not a protobuf message")


def _read_varint(content: mmap.mmap, at: int, end: int) -> tuple[int, int]:
    """The number at a place, and the place behind it."""
    value = shift = 0
    while at < end and shift < 64:
        byte = content[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
    raise ValueError("it is not a protobuf message")

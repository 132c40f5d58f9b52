"""ONNX networks of speech: a session that leaves the cores to others, and one output more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def session(model: Path | bytes, threads: int, outputs: Sequence[str] = ()) -> Any:
    """An onnxruntime session on the CPU. Raises whatever onnxruntime does: its errors have no base.

    threads: 0 is one per core.
    outputs: inner values of the graph to give as outputs too, after its own.
    """
    import onnxruntime  # type: ignore[import-untyped]  # it has no stubs

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Waiting threads sleep rather than spin: the cores are the language model's too.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # its advice on graphs is not for our users
    if outputs:
        content = model if isinstance(model, bytes) else model.read_bytes()
        model = content + b"".join(_output(name) for name in outputs)
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def brief(error: Exception) -> str:
    """The first line of a library's error, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _output(name: str) -> bytes:
    """A protobuf that, put behind a serialized ONNX model, adds `name` to its graph's outputs.

    Of a message that comes twice, protobuf takes the fields of both, and lists grow: so this is
    ModelProto.graph (7) with nothing but one GraphProto.output (12), a ValueInfoProto with
    nothing but its name (1), whose type onnxruntime infers. The package onnx is not needed.
    """
    return _field(7, _field(12, _field(1, name.encode())))


def _field(number: int, payload: bytes) -> bytes:
    """A protobuf field that holds bytes."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first, and a high bit on all but the last."""
    low = []
    while value > 127:
        low.append(value & 127 | 128)
        value >>= 7
    return bytes([*low, value])

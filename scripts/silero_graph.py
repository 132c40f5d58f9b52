"""Make the graph of Silero that voicebot ships from the weights that silero-vad publishes.

    pip download --no-deps silero-vad==6.2.3 && unzip silero_vad-6.2.3-*.whl
    python scripts/silero_graph.py silero_vad/data/silero_vad_16k_sequence.onnx

It needs the package onnx. The weights are the published ones, number by number. The published
graphs convolve two to four frames at a time and ask for the shapes of everything; this one
multiplies matrices, for all windows of all streams at once, and gives the same chances to six
digits at a half (one window) to a quarter (sixteen) of the processor time.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PUBLISHED = "9ccdacc4719d8aa7e45a77536bfabec45a03ba1f2fad5e241ab4060b24238a85"
PLACE = Path(__file__).resolve().parents[1] / "voicebot/engines/silero_vad/silero_vad_16k.onnx"

HOP, FRAME, WIDTH = 128, 256, 128
"""Samples from one frame to the next and in a frame; values in the memory of a stream."""
BINS = FRAME // 2 + 1


class Graph:
    """Nodes and constants, as they are added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def add(self, kind: str, *taken: str, out: str | list[str], **options: object) -> str:
        """A node that gives `out`; returns its first output."""
        outs = [out] if isinstance(out, str) else out
        self.nodes.append(helper.make_node(kind, list(taken), outs, outs[0], **options))
        return outs[0]

    def weights(self, name: str, values: np.ndarray) -> str:
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(values), name)
        return name

    def whole(self, *values: int) -> str:
        """A constant row of whole numbers."""
        return self.weights("_".join(map(str, values)), np.array(values, np.int64))

    def part(self, name: str, first: int, end: int, out: str) -> str:
        """From `first` to before `end` on the second axis."""
        return self.add("Slice", name, *map(self.whole, (first, end, 1)), out=out)

    def reshaped(self, name: str, *shape: int) -> str:
        return self.add("Reshape", name, self.whole(*shape), out=f"{name}_by_{shape[-1]}")

    def layer(self, name: str, given: str, weights: np.ndarray, bias: np.ndarray) -> str:
        """What a dense layer makes of rows; `weights` has a row for each value it takes."""
        of, plus = self.weights(f"{name}.weight", weights), self.weights(f"{name}.bias", bias)
        return self.add("Gemm", given, of, plus, out=name)


def build(published: onnx.ModelProto) -> onnx.ModelProto:
    """input [windows, streams, 64 + 512], state [2, streams, 128] -> chances, stateN."""
    known = {each.name: numpy_helper.to_array(each) for each in published.graph.initializer}
    graph = Graph()

    # Spectra of the four frames of a window.
    graph.add("Pad", "input", graph.whole(0, 0, 0, 0, 0, 64), out="padded", mode="reflect")
    hops = graph.reshaped("padded", -1, 5, HOP)
    halves = graph.part(hops, 0, 4, "earlier"), graph.part(hops, 1, 5, "later")
    graph.add("Concat", *halves, out="frames", axis=2)
    basis = graph.weights("basis", known["stft.forward_basis_buffer"][:, 0].T)
    graph.add("MatMul", graph.reshaped("frames", -1, FRAME), basis, out="spectrum")
    for name, first in (("real", 0), ("imaginary", BINS)):
        part = graph.part("spectrum", first, first + BINS, name)
        graph.add("Mul", part, part, out=f"{name}_squared")
    graph.add("Add", "real_squared", "imaginary_squared", out="power")
    graph.add("Sqrt", "power", out="magnitude")

    # Four convolutions over time, each of three frames: as rows of three frames behind one another.
    # Zeros stand before the first frame and behind the last; rows that would meet zeros only are
    # left out of the weights.
    frames = graph.reshaped("magnitude", -1, 4, BINS)
    graph.add("Pad", frames, graph.whole(0, 1, 0, 0, 1, 0), out="enclosed")
    thirds = [graph.part("enclosed", at, at + 4, f"from_{at}") for at in range(3)]
    graph.add("Concat", *thirds, out="threes", axis=2)
    given = graph.reshaped("threes", -1, 3 * BINS)
    for number, taps in enumerate((slice(0, 3), slice(0, 3), slice(1, 3), slice(1, 2))):
        if number == 1:  # every other frame: two rows of three out of four
            graph.add(
                "Pad", graph.reshaped(given, -1, 4, WIDTH), graph.whole(0, 1, 0, 0, 0, 0), out="led"
            )
            rows = graph.part("led", 0, 3, "first_row"), graph.part("led", 2, 5, "second_row")
            given = graph.reshaped(graph.add("Concat", *rows, out="rows", axis=1), -1, 3 * WIDTH)
        if number == 2:  # every other frame: one row of two
            given = graph.reshaped(given, -1, 2 * 64)
        weights = known[f"encoder.{number}.weight"][:, :, taps].transpose(2, 1, 0)
        weights = weights.reshape(-1, weights.shape[-1])
        dense = graph.layer(f"encoder.{number}", given, weights, known[f"encoder.{number}.bias"])
        given = graph.add("Relu", dense, out=f"encoded.{number}")

    # The memory of each stream, and the chance.
    graph.add("Shape", "input", out="shape")
    count = graph.add("Slice", "shape", graph.whole(0), graph.whole(2), out="count")
    graph.add("Concat", count, graph.whole(WIDTH), out="by_stream", axis=0)
    graph.add("Reshape", given, "by_stream", out="encoded")
    graph.add("Split", "state", out=["hidden", "cell"], axis=0)
    lstm = [
        graph.weights(f"lstm.{name}", known[f"onnx::LSTM_{number}"])
        for name, number in (("input", 209), ("recurrent", 210), ("bias", 211))
    ]
    after = ["recalled", "hidden_after", "cell_after"]
    graph.add("LSTM", "encoded", *lstm, "", "hidden", "cell", out=after, hidden_size=WIDTH)
    graph.add("Concat", "hidden_after", "cell_after", out="stateN", axis=0)
    graph.add("Relu", "recalled", out="positive")
    given = graph.reshaped("positive", -1, WIDTH)
    graph.layer("output", given, known["output.weight"][0], known["output.bias"])
    graph.add("Sigmoid", "output", out="column")
    graph.add("Reshape", "column", "count", out="chances")

    def value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    state = (2, "streams", WIDTH)
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "silero_vad_16k",
            [value("input", "windows", "streams", 64 + 512), value("state", *state)],
            [value("chances", "windows", "streams"), value("stateN", *state)],
            list(graph.constants.values()),
        ),
        opset_imports=[helper.make_opsetid("", 16)],
        ir_version=8,
        producer_name="silero-vad 6.2.3",
    )
    onnx.checker.check_model(made, full_check=True)
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("published", type=Path, help="silero_vad_16k_sequence.onnx")
    published = parser.parse_args().published.read_bytes()
    found = hashlib.sha256(published).hexdigest()
    if found != PUBLISHED:
        parser.error(f"its SHA-256 is {found}, and silero-vad 6.2.3's is {PUBLISHED}")
    made = build(onnx.load_from_string(published)).SerializeToString(deterministic=True)
    PLACE.write_bytes(made)
    print(f"{PLACE}: {len(made)} bytes, SHA-256 {hashlib.sha256(made).hexdigest()}")


if __name__ == "__main__":
    main()

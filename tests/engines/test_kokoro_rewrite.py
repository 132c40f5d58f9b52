"""Kokoro's graph in its quicker form says what it said before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from miniatures import kokoro as miniature

from voicebot import cli
from voicebot.engines.kokoro import networks
from voicebot.engines.kokoro.engine import Kokoro
from voicebot.engines.kokoro.export import export
from voicebot.errors import ConfigError, EngineError, MissingDependency

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402 - only where it is installed

from voicebot.engines import onnx_graph  # noqa: E402 - as above
from voicebot.engines.kokoro.rewrite import EXACT_BYTES, rewrite  # noqa: E402 - as above

RNG = np.random.default_rng(7)


def model(nodes, weights, takes, channels, kind=TensorProto.FLOAT, gives=TensorProto.FLOAT):
    """A graph from "x", shape (1, channels, n), to "z", with the other `takes` by shape."""
    inputs = [helper.make_tensor_value_info("x", kind, [1, channels, "n"])]
    inputs += [helper.make_tensor_value_info(name, kind, shape) for name, shape in takes.items()]
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()]
    output = helper.make_tensor_value_info("z", gives, [1, "c", "m"])
    graph = helper.make_graph(nodes, "part", inputs, [output], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def both(made, **given):
    """What a graph gives, and what it gives when it has been rewritten; and in how many places."""
    before = made.SerializeToString()
    places = rewrite(made)
    onnx.checker.check_model(made)
    sessions = (
        onnxruntime.InferenceSession(each, providers=["CPUExecutionProvider"])
        for each in (before, made.SerializeToString())
    )
    feed = {name: np.asarray(value) for name, value in given.items()}
    plain, quick = (session.run(None, feed)[0] for session in sessions)
    assert plain.shape == quick.shape
    return plain, quick, places


def kinds(made):
    return [node.op_type for node in made.graph.node]


def convolution(kernel, zero, **options):
    weights = {"w": kernel} if zero is None else {"w": kernel, "wz": zero}
    takes = {"xz": []}
    named = ["x", "w", "xz"] if zero is None else ["x", "w", "xz", "wz"]
    node = helper.make_node("ConvInteger", named, ["z"], **options)
    channels = kernel.shape[1] * options.get("group", 1)
    return model([node], weights, takes, channels, TensorProto.UINT8, TensorProto.INT32)


def some_bytes(*shape, kind=np.uint8):
    low = np.iinfo(kind)
    return RNG.integers(low.min, low.max, shape, endpoint=True).astype(kind)


@pytest.mark.parametrize(
    ("taps", "options"),
    [
        (1, {}),
        (3, {"pads": [1, 1]}),
        (11, {"pads": [25, 25], "dilations": [5]}),
        (3, {"pads": [0, 4], "dilations": [2]}),
        (7, {"dilations": [3]}),
    ],
)
@pytest.mark.parametrize("kind", [np.uint8, np.int8])
def test_a_convolution_of_bytes_becomes_a_product_with_the_same_bits(taps, options, kind):
    kernel = some_bytes(72, 64, taps, kind=kind)
    made = convolution(kernel, kind(-3 if kind is np.int8 else 131), **options)
    plain, quick, places = both(made, x=some_bytes(1, 64, 40), xz=np.uint8(117))
    assert np.array_equal(plain, quick)
    assert places == 1
    assert "MatMulInteger" in kinds(made)
    assert "ConvInteger" not in kinds(made)
    assert [each.key for each in made.metadata_props] == [EXACT_BYTES]


def test_weights_without_a_zero_point_stay_what_they_are():
    made = convolution(some_bytes(64, 64, 3), None, pads=[1, 1])
    plain, quick, places = both(made, x=some_bytes(1, 64, 9), xz=np.uint8(0))
    assert places == 1
    assert np.array_equal(plain, quick)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((64, 64, 3), {"strides": [2]}),
        ((64, 64, 3), {"group": 2}),
        ((64, 64, 3), {"auto_pad": "SAME_UPPER"}),
        ((64, 22, 3), {}),
    ],
)
def test_another_kind_of_convolution_is_left_alone(shape, options):
    made = convolution(some_bytes(*shape), np.uint8(128), **options)
    channels = shape[1] * options.get("group", 1)
    plain, quick, places = both(made, x=some_bytes(1, channels, 20), xz=np.uint8(3))
    assert places == 0
    assert kinds(made) == ["ConvInteger"]
    assert not made.metadata_props
    assert np.array_equal(plain, quick)


def snake(power=2.0, inverse=1.0, more=(), swap=False):
    """An adaptive norm, Snake and a convolution, as Kokoro's generator has them."""
    a = RNG.uniform(0.1, 3, (1, 8, 1)).astype(np.float32)
    weights = {
        "nw": RNG.uniform(0.5, 2, 8).astype(np.float32),
        "nb": RNG.normal(size=8).astype(np.float32),
        "a": a,
        "r": np.float32(inverse) / a,
        "two": np.float32(power),
        "w": RNG.normal(size=(8, 8, 3)).astype(np.float32),
        "c": RNG.normal(size=8).astype(np.float32),
    }
    pairs = {"m": ["g", "i"], "y": ["m", "b"], "t": ["a", "y"], "q": ["r", "p"], "s": ["y", "q"]}
    pairs = {gives: takes[::-1] if swap else takes for gives, takes in pairs.items()}
    nodes = [
        helper.make_node("InstanceNormalization", ["x", "nw", "nb"], ["i"], epsilon=1e-5),
        helper.make_node("Mul", pairs["m"], ["m"]),
        helper.make_node("Add", pairs["y"], ["y"]),
        helper.make_node("Mul", pairs["t"], ["t"]),
        helper.make_node("Sin", ["t"], ["s0"]),
        helper.make_node("Pow", ["s0", "two"], ["p"]),
        helper.make_node("Mul", pairs["q"], ["q"]),
        helper.make_node("Add", pairs["s"], ["s"]),
        helper.make_node("Conv", ["s", "w", "c"], ["k"], pads=[1, 1]),
        helper.make_node("Add", ["k", "x"], ["z0"]),
        *more,
    ]
    if not more:
        nodes[-1].output[0] = "z"
    takes = {"g": [1, 8, 1], "b": [1, 8, 1]}
    return model(nodes, weights, takes, 8)


def heard(length=50):
    style = RNG.normal(size=(2, 1, 8, 1)).astype(np.float32)
    return {"x": RNG.normal(size=(1, 8, length)).astype(np.float32), "g": style[0], "b": style[1]}


def decibels(plain, quick):
    return 20 * np.log10(np.std(plain) / np.std(plain - quick))


@pytest.mark.parametrize("swap", [False, True])
def test_a_norm_and_snake_take_half_the_steps_and_sound_the_same(swap):
    made = snake(swap=swap)
    plain, quick, places = both(made, **heard())
    assert places == 1
    assert decibels(plain, quick) > 110
    # Of what runs over the whole sound; the rest is on a number a channel.
    assert "Pow" not in kinds(made)
    at = kinds(made).index("InstanceNormalization")
    assert kinds(made)[at:] == ["InstanceNormalization", "Sin", "Mul", "Add", "Conv", "Add"]
    names = {tensor.name for tensor in made.graph.initializer}
    assert not names & {"a", "r", "two", "w"}  # nothing of it is written twice


@pytest.mark.parametrize(
    "made",
    [
        snake(power=3.0),
        snake(inverse=2.0),
        *(
            snake(more=[helper.make_node("ReduceMean", [name], ["e"], keepdims=1, axes=[1, 2]),
                        helper.make_node("Add", ["z0", "e"], ["z"])])
            for name in ("i", "m", "y", "t", "s0", "p", "q", "s")
        ),
    ],
)  # fmt: skip
def test_what_only_looks_like_snake_or_is_wanted_elsewhere_is_left_alone(made):
    before = kinds(made)
    plain, quick, places = both(made, **heard())
    assert places == 0
    assert kinds(made) == before
    assert np.array_equal(plain, quick)


@pytest.mark.parametrize(
    ("taps", "options"),
    [
        (7, {"pads": [3, 3]}),
        (11, {"pads": [25, 25], "dilations": [5]}),
        (8, {"pads": [0, 9], "dilations": [3]}),
        (9, {}),
    ],
)
@pytest.mark.parametrize("length", [41, 60, 63])
@pytest.mark.parametrize("biased", [True, False])
def test_a_long_convolution_with_fewer_products_gives_the_same(taps, options, length, biased):
    behind = [
        helper.make_node("Conv", ["z0", "wide"], ["in"]),
        helper.make_node("Conv", ["in", "kernel", *(["bias"] * biased)], ["z"], **options),
    ]
    made = snake(more=behind)
    weights = {
        "wide": RNG.normal(size=(72, 8, 1)).astype(np.float32),
        "kernel": RNG.normal(size=(64, 72, taps)).astype(np.float32),
        "bias": RNG.normal(size=64).astype(np.float32),
    }
    made.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in weights.items())
    plain, quick, _ = both(made, **heard(length))
    assert decibels(plain, quick) > 110
    groups = [a.i for node in made.graph.node for a in node.attribute if a.name == "group"]
    assert groups == [7]
    assert "kernel" not in {tensor.name for tensor in made.graph.initializer}


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((64, 64, 5), {"pads": [2, 2]}),  # those before the generator, whose rounding is heard
        ((22, 64, 7), {"pads": [3, 3]}),
        ((64, 64, 8), {"strides": [2]}),
        ((64, 32, 7), {"group": 2}),
        ((64, 64, 7), {"auto_pad": "SAME_UPPER"}),
    ],
)
def test_other_convolutions_are_left_alone(shape, options):
    behind = [
        helper.make_node("Conv", ["z0", "wide"], ["in"]),
        helper.make_node("Conv", ["in", "kernel"], ["z"], name="other", **options),
    ]
    made = snake(more=behind)
    weights = {"wide": np.ones((64, 8, 1), np.float32), "kernel": np.ones(shape, np.float32)}
    made.graph.initializer.extend(numpy_helper.from_array(v, k) for k, v in weights.items())
    both(made, **heard())
    assert "other" in [node.name for node in made.graph.node]


def published(folder: Path, noise: bool = False, channels: int = 64) -> Path:
    """Like kokoro-onnx's file of 8 bits: it hums louder the more its convolution of bytes says."""
    miniature.build_hum(folder, durations=False, inside=True, ids="tokens")
    path = folder / "kokoro-v1.0.int8.onnx"
    made = onnx.load(folder / "model.onnx")
    (folder / "model.onnx").unlink()
    graph = made.graph
    next(node for node in graph.node if node.op_type == "ConstantOfShape").output[0] = "hum"
    weights = {
        "wide": np.array([1, channels, 1]),
        "w": some_bytes(channels, channels, 3),
        "wz": np.uint8(120),
        "little": np.float32(1e-6),
        "flat": np.array([-1]),
    }
    graph.initializer.extend(numpy_helper.from_array(np.array(v), k) for k, v in weights.items())
    graph.node.extend(
        [
            helper.make_node("RandomNormalLike" if noise else "Sin", ["hum"], ["wave"]),
            helper.make_node("Add", ["hum", "wave"], ["excited"]),
            helper.make_node("Expand", ["excited", "wide"], ["all"]),
            helper.make_node("DynamicQuantizeLinear", ["all"], ["x", "scale", "xz"]),
            helper.make_node(
                "ConvInteger", ["x", "w", "xz", "wz"], ["sum"], pads=[1, 1], strides=[1]
            ),
            helper.make_node("Cast", ["sum"], ["real"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["real", "little"], ["soft"]),
            helper.make_node("ReduceMean", ["soft"], ["mean"], axes=[1]),
            helper.make_node("Reshape", ["mean", "flat"], ["waveform"]),
        ]
    )
    onnx.save(made, path)
    return folder


def test_a_published_file_is_made_quicker_beside_it(tmp_path, capsys):
    folder = published(tmp_path / "kokoro")
    with pytest.raises(SystemExit) as ended:
        cli.main(["models", "export", str(folder)])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{folder / 'model.onnx'}\n"
    files = sorted(path.name for path in folder.glob("*"))
    assert files == ["config.json", "kokoro-v1.0.int8.onnx", "model.onnx", "voices"]
    assert networks.exports(folder)[0].name == "model.onnx"
    ids, style = [50, 51, 52, 53], np.zeros((1, 256), np.float32)
    plain, quick = (
        networks.OnnxNetwork(folder / name, 1).render(ids, style, 1.0)
        for name in ("kokoro-v1.0.int8.onnx", "model.onnx")
    )
    assert np.array_equal(plain[0], quick[0])
    assert plain[1] == quick[1] == [2] * 6  # the durations inside are still found


def test_a_published_file_may_be_named_and_draw_its_own_noise(tmp_path):
    folder = published(tmp_path / "kokoro", noise=True)
    assert export(folder / "kokoro-v1.0.int8.onnx", tmp_path / "out" / "mine.onnx").exists()
    assert not (folder / "model.onnx").exists()


def test_a_graph_that_cannot_be_made_quicker_is_not_written_again(tmp_path):
    folder = published(tmp_path / "kokoro", channels=8)
    with pytest.raises(EngineError, match="nothing in it that can be made quicker"):
        export(folder)
    assert not (folder / "model.onnx").exists()
    assert [path.name for path in folder.glob(".*")] == []


def test_a_published_file_that_is_not_one_is_named_on_one_line(tmp_path):
    (tmp_path / "kokoro-v1.0.int8.onnx").write_text("not a model")
    with pytest.raises(ConfigError, match=r"cannot read .*kokoro-v1.0.int8.onnx") as told:
        export(tmp_path)
    assert "\n" not in str(told.value)


def test_there_must_be_something_to_make_it_of(tmp_path):
    folder = miniature.build_hum(tmp_path / "kokoro")
    with pytest.raises(
        MissingDependency, match=r"no \.pth and no other \.onnx file than model\.onnx"
    ):
        export(folder)


def test_a_quick_form_is_refused_where_products_of_bytes_are_clipped(tmp_path, monkeypatch):
    # The one thing that this processor cannot show: onnxruntime has no switch for it.
    assert onnx_graph.exact_bytes()
    folder = published(tmp_path / "kokoro")
    export(folder)
    monkeypatch.setattr(networks, "exact_bytes", lambda: False)
    with pytest.raises(ConfigError, match=r"model\.onnx would sound wrong .* delete it"):
        Kokoro(str(folder))
    (folder / "model.onnx").unlink()
    Kokoro(str(folder)).close()

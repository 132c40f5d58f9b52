"""A Kokoro folder that speaks noise: the real network and alphabet, random weights, in seconds.

Durations are those of speech (about 75 ms a phoneme, not all alike), and some sounds are voiced
and some are not, so that everything but the sound's meaning can be tried on it.
"""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from voicebot.engines.phonemes import VOCABULARY

_FULL: dict[str, Any] = {
    "istftnet": {
        "upsample_kernel_sizes": [20, 12],
        "upsample_rates": [10, 6],
        "gen_istft_hop_size": 5,
        "gen_istft_n_fft": 20,
        "resblock_dilation_sizes": [[1, 3, 5]] * 3,
        "resblock_kernel_sizes": [3, 7, 11],
        "upsample_initial_channel": 512,
    },
    "dim_in": 64,
    "dropout": 0.2,
    "hidden_dim": 512,
    "max_conv_dim": 512,
    "max_dur": 50,
    "multispeaker": True,
    "n_layer": 3,
    "n_mels": 80,
    "n_token": 178,
    "style_dim": 128,
    "text_encoder_kernel_size": 5,
    "plbert": {
        "hidden_size": 768,
        "num_attention_heads": 12,
        "intermediate_size": 2048,
        "max_position_embeddings": 512,
        "num_hidden_layers": 12,
        "dropout": 0.1,
    },
    "vocab": VOCABULARY,
}

# What the package lets one make smaller; the rest of its sizes are written into its code.
TINY: dict[str, Any] = {
    **_FULL,
    "istftnet": {
        **_FULL["istftnet"],
        "resblock_dilation_sizes": [[1, 3, 5]],
        "resblock_kernel_sizes": [3],
    },
    "dim_in": 8,
    "n_layer": 1,
    "max_dur": 8,
    "text_encoder_kernel_size": 3,
    "plbert": {
        **_FULL["plbert"],
        "hidden_size": 32,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
    },
}

_FRAMES = 3.0
"""Of 25 ms, in a phoneme."""
_PITCH = 25.0
"""Hertz; the network's own unrest around it makes some sounds voiced and some not."""


def build(folder: Path, onnx: bool = True, size: str = "tiny") -> Path:
    """Write config.json, model.pth, voices and, if wanted, model.onnx. Returns the folder."""
    import torch

    from voicebot.engines.kokoro.export import export
    from voicebot.engines.kokoro.networks import CHECKPOINT, SECTIONS, package

    write_voices(folder)
    config = _FULL if size == "full" else TINY
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    path = folder / "model.pth"
    torch.save({}, path)  # no weights: the package leaves its random ones as they are
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        model = package().KModel(CHECKPOINT, config=config, model=str(path))
        _breathe(model, config["max_dur"])
    torch.save({name: getattr(model, name).state_dict() for name in SECTIONS}, path)
    if onnx:
        export(folder)
    return folder


def build_hum(
    folder: Path,
    durations: bool = True,
    inside: bool = False,
    ids: str = "input_ids",
    whole_speeds: bool = False,
    style: int = 256,
) -> Path:
    """Write a folder whose model.onnx takes what Kokoro takes and hums at once: no torch, 1 kB.

    Each phoneme takes two frames at speed 1. What a published export may lack or name otherwise
    is to choose: durations as an output, or `inside` the graph alone; one whose `style` is not 256
    numbers fails at every call.
    """
    from onnx import TensorProto, helper, numpy_helper, save

    write_voices(folder)
    (folder / "config.json").write_text(json.dumps({"vocab": VOCABULARY}), "utf-8")
    constants = {"axis": [1], "frames": [2], "samples": [1200], "end": [2], "first": [0]}
    nodes = [
        helper.make_node("Shape", [ids], ["shape"]),
        helper.make_node("Slice", ["shape", "axis", "end", "first"], ["length"]),
        helper.make_node("Mul", ["length", "samples"], ["usual"]),
        helper.make_node("Cast", ["usual"], ["usual_"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["speed"], ["speed_"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["usual_", "speed_"], ["total_"]),
        helper.make_node("Cast", ["total_"], ["total"], to=TensorProto.INT64),
        helper.make_node(
            "ConstantOfShape",
            ["total"],
            ["waveform"],
            value=numpy_helper.from_array(np.array([0.1], np.float32)),
        ),
        helper.make_node("Expand", ["frames", "length"], ["duration"]),
    ]
    numbers = TensorProto.INT32 if whole_speeds else TensorProto.FLOAT
    if not durations:
        nodes.pop()
    if inside:
        nodes += [
            helper.make_node("Expand", ["frames_", "length"], ["exact"]),
            helper.make_node("Div", ["exact", "speed_"], ["paced"]),
            helper.make_node("Round", ["paced"], ["whole"]),
            helper.make_node("Clip", ["whole", "least"], ["told"]),
        ]
    outputs = [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["s"])]
    if durations:
        outputs.append(helper.make_tensor_value_info("duration", TensorProto.INT64, ["n"]))
    graph = helper.make_graph(
        nodes,
        "hum",
        [
            helper.make_tensor_value_info(ids, TensorProto.INT64, [1, "n"]),
            helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, style]),
            helper.make_tensor_value_info("speed", numbers, [1]),
        ],
        outputs,
        [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
        + [
            numpy_helper.from_array(np.array(value, np.float32), name)
            for name, value in (("frames_", [2]), ("least", 1))
        ],
    )
    opset = helper.make_opsetid("", 17)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=8), folder / "model.onnx")
    return folder


def write_voices(folder: Path) -> None:
    """Six voices, each another random one, as published ONNX exports keep theirs."""
    (folder / "voices").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("af_heart", "am_michael", "bf_emma", "ef_dora", "ff_siwis", "jf_alpha"):
        style = rng.normal(0, 0.1, (510, 1, 256)).astype("<f4")
        (folder / "voices" / f"{name}.bin").write_bytes(style.tobytes())


def _breathe(model: Any, longest: int) -> None:
    """Make the network's durations and pitch those of a voice."""
    import torch

    share = _FRAMES / longest  # a duration is a sum of `longest` sigmoids
    durations, pitch = model.predictor.duration_proj.linear_layer, model.predictor.F0_proj
    with torch.no_grad():
        durations.bias.fill_(math.log(share / (1 - share)))
        pitch.weight.mul_(20)
        pitch.bias.fill_(_PITCH)

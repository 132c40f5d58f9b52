"""A language model with random weights: the real file format, tokeniser and sampler, in moments.

It babbles, so tests hand it a grammar and get exact words through the real sampler. The larger
size has the shape of a 0.5 billion parameter model and costs what one costs: for benchmarks.

    python scripts/miniatures/gguf.py tiny.gguf [--size 0.5b]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "[TOOL_CALLS]", "[ARGS]")
MARKUP = ("<think>", "</think>", "<tool_call>", "</tool_call>")
"""Tokens with a meaning, but part of the text: what GGUF calls user-defined."""
MERGES = ("t h", "th e", "i n", "Ġ the", "a n", "e r")


@dataclass(frozen=True)
class Shape:
    layers: int
    width: int
    hidden: int
    heads: int
    heads_kv: int
    vocabulary: int
    quantised: bool


SIZES = {
    "tiny": Shape(1, 32, 64, 2, 2, 0, False),
    # Slow enough to be interrupted: 100 tokens take tens of milliseconds.
    "small": Shape(4, 512, 1024, 4, 4, 0, False),
    # As Qwen2.5-0.5B, whose large vocabulary is much of its cost; Q4_0.
    "0.5b": Shape(24, 896, 4864, 14, 2, 151_936, True),
}


def build(
    path: Path,
    *,
    template: str | None = CHATML,
    size: str = "tiny",
    context: int = 2048,
    pooling: bool = False,
) -> Path:
    """Write the model to `path` and return it. Without a template it is no chat model.

    pooling: say that it makes embeddings.
    """
    from gguf import GGUFWriter, PoolingType

    shape = SIZES[size]
    head = shape.width // shape.heads
    writer = GGUFWriter(str(path), "llama")
    writer.add_name(f"miniature {size}")
    writer.add_context_length(context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads_kv)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(head)
    if pooling:
        writer.add_pooling_type(PoolingType.MEAN)
    vocabulary = _vocabulary(writer, shape.vocabulary)
    if template is not None:
        writer.add_chat_template(template)

    random = np.random.default_rng(0)

    def matrix(name: str, rows: int, columns: int) -> None:
        if shape.quantised:
            _add_q4_0(writer, random, f"{name}.weight", rows, columns)
        else:
            values = random.standard_normal((rows, columns)) * 0.3
            writer.add_tensor(f"{name}.weight", values.astype(np.float32))

    def norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(shape.width, np.float32))

    matrix("token_embd", vocabulary, shape.width)
    for layer in range(shape.layers):
        block = f"blk.{layer}"
        norm(f"{block}.attn_norm")
        matrix(f"{block}.attn_q", shape.width, shape.width)
        matrix(f"{block}.attn_k", head * shape.heads_kv, shape.width)
        matrix(f"{block}.attn_v", head * shape.heads_kv, shape.width)
        matrix(f"{block}.attn_output", shape.width, shape.width)
        norm(f"{block}.ffn_norm")
        matrix(f"{block}.ffn_gate", shape.hidden, shape.width)
        matrix(f"{block}.ffn_up", shape.hidden, shape.width)
        matrix(f"{block}.ffn_down", shape.width, shape.hidden)
    norm("output_norm")  # the embedding serves as the output matrix too

    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _vocabulary(writer: Any, size: int) -> int:
    """Byte-level BPE over all 256 bytes, a few merges, the control tokens; filled up to `size`."""
    from gguf import TokenType

    # GPT-2's alphabet: a printable character for each byte, those that are none from 256 on.
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in printable]
    tokens = [
        chr(byte if byte in printable else 256 + others.index(byte)) for byte in range(256)
    ] + [merge.replace(" ", "") for merge in MERGES]
    types = [TokenType.NORMAL] * len(tokens)
    tokens += [*CONTROL, *MARKUP]
    types += [TokenType.CONTROL] * len(CONTROL) + [TokenType.USER_DEFINED] * len(MARKUP)
    # No text becomes one of these, as no merge makes them; but the model says little else.
    words = [f"Ġw{i}" for i in range(len(tokens), size)]
    tokens += words
    types += [TokenType.NORMAL] * len(words)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    writer.add_eos_token_id(tokens.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_vocab_size(len(tokens))
    return len(tokens)


def _add_q4_0(writer: Any, random: np.random.Generator, name: str, rows: int, columns: int) -> None:
    """Blocks of 32 weights as Q4_0 stores them: a 16-bit scale, then 16 bytes of nibbles."""
    from gguf import GGMLQuantizationType

    blocks = np.empty((rows, columns // 32, 18), np.uint8)
    blocks[..., :2] = np.frombuffer(np.float16(0.01).tobytes(), np.uint8)
    blocks[..., 2:] = random.integers(0, 256, (rows, columns // 32, 16), np.uint8)
    writer.add_tensor(name, blocks.reshape(rows, -1), raw_dtype=GGMLQuantizationType.Q4_0)


if __name__ == "__main__":
    sys.path.pop(0)  # this folder, in which the package gguf would be this file
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("path", type=Path)
    arguments.add_argument("--size", choices=SIZES, default="tiny")
    chosen = arguments.parse_args()
    print(build(chosen.path, size=chosen.size))

#!/usr/bin/env python3
"""Writes a llama of random weights in GGUF: two layers, 64 numbers wide, a vocabulary of bytes and a few words.

    python tiny_gguf.py target/interop/tiny.gguf

It says nothing sensible. What it is good for: a real server loads and runs it, so that the forms of its answers are the
real ones. The same seed writes the same bytes.
"""

import argparse
import pathlib

import gguf
import numpy as np

WIDTH, LAYERS, HEADS, FEED_FORWARD, CONTEXT = 64, 2, 4, 128, 4096
WORDS = ["great", "terrible", "positive", "negative", "yes", "no", "the", "a", "film", "it", "was", "and", "is", "Review"]
CHAT = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def vocabulary():
    """SentencePiece's order: the specials, all bytes, then pieces with their scores."""
    kind = gguf.TokenType
    tokens = [("<unk>", 0.0, kind.UNKNOWN), ("<s>", 0.0, kind.CONTROL), ("</s>", 0.0, kind.CONTROL)]
    tokens += [(f"<0x{byte:02X}>", 0.0, kind.BYTE) for byte in range(256)]
    pieces = []
    for word in WORDS:
        # SentencePiece builds a word from its neighbours, pair by pair: every beginning must be a piece too.
        for form in ("\u2581" + word, word):
            pieces += [form[:end] for end in range(1, len(form) + 1)]
    pieces += [chr(code) for code in range(33, 127)]
    unique = list(dict.fromkeys(pieces))
    # A longer piece is merged first.
    tokens += [(piece, float(len(piece)), kind.NORMAL) for piece in unique]
    return tokens


def write(path, seed=7):
    random = np.random.default_rng(seed)
    tokens = vocabulary()
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny-random-llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text.encode() for text, _, _ in tokens])
    writer.add_token_scores([score for _, score, _ in tokens])
    writer.add_token_types([kind for _, _, kind in tokens])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(True)
    writer.add_chat_template(CHAT)

    def matrix(name, rows, columns, size=None):
        size = columns**-0.5 if size is None else size
        writer.add_tensor(name, (random.standard_normal((rows, columns)) * size).astype(np.float32))

    def ones(name):
        writer.add_tensor(name, np.ones(WIDTH, np.float32))

    matrix("token_embd.weight", len(tokens), WIDTH, 1.0)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        ones(block + "attn_norm.weight")
        ones(block + "ffn_norm.weight")
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"{block}{name}.weight", WIDTH, WIDTH)
        matrix(block + "ffn_gate.weight", FEED_FORWARD, WIDTH)
        matrix(block + "ffn_up.weight", FEED_FORWARD, WIDTH)
        matrix(block + "ffn_down.weight", WIDTH, FEED_FORWARD)
    ones("output_norm.weight")
    matrix("output.weight", len(tokens), WIDTH)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=pathlib.Path)
    target = parser.parse_args().path
    target.parent.mkdir(parents=True, exist_ok=True)
    write(target)

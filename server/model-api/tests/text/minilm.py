#!/usr/bin/env python3
"""Writes minilm.json: reference cosines of all-MiniLM-L6-v2, computed by onnxruntime and tokenizers.

    python minilm.py FOLDER   # with model.onnx (inputs `ids`, `mask`) and tokenizer.json

Needs the Python packages `numpy`, `onnx`, `onnxruntime` and `tokenizers`. Each text is run alone: the file is
quantised dynamically, by the largest value of a whole batch, so that company moves the answers.
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from soft import Cut, prompts

TEXTS = [
    "a gripping film from start to finish",
    "dull, lifeless and far too long",
    "",
    "The stock market fell sharply on Monday after a weak report on jobs and fears of inflation.",
    "Café Zürich — naïve, coöperative; 東京で雨が降った 🙂",
    "word " * 400,
]
LABELS = ["great", "terrible", "about money"]
TEMPLATES = ["{}", "This film is {}.", "{}: a text that is {}"]

folder = Path(sys.argv[1])
session = onnxruntime.InferenceSession(folder / "model.onnx")
tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
tokenizer.no_padding()
tokenizer.enable_truncation(128)


def embed(text):
    tokens = tokenizer.encode(text)
    feed = {"ids": np.array([tokens.ids]), "mask": np.array([tokens.attention_mask])}
    vector = session.run(None, feed)[0][0].astype(np.float64)
    return vector / np.linalg.norm(vector)


texts = [embed(text) for text in TEXTS]
cosines = [
    [[round(float(text @ embed(template.replace("{}", label))), 6) for label in LABELS] for text in texts]
    for template in TEMPLATES
]
# The table's rows, dequantised; a soft prompt of 4 tokens before every text but the longest.
cut = Cut(folder / "model.onnx", "ids", "Gather_7")
[prompt] = prompts(1, 4, 384, 0.05)


def behind(text):
    vector = cut.run(tokenizer.encode(text).ids, prompt).astype(np.float64)
    return vector / np.linalg.norm(vector)


soft = [[round(float(behind(text) @ embed(TEMPLATES[1].replace("{}", label))), 6) for label in LABELS] for text in TEXTS[:-1]]
entries = np.concatenate([cut.front.run(None, {"ids": np.arange(begin, min(begin + 1000, 30522))[None]})[0].ravel().astype(np.float64)
                          for begin in range(0, 30522, 1000)])
reference = {"soft": soft, "embedding_mean": float(entries.mean()), "embedding_deviation": float(entries.std()), "texts": TEXTS, "labels": LABELS, "templates": TEMPLATES, "cosines": cosines}
Path(__file__).with_suffix(".json").write_text(
    json.dumps(reference, indent=1, ensure_ascii=False) + "\n"
)

#!/usr/bin/env python3
"""Writes a llama of random weights in Hugging Face's layout: two layers, 64 numbers wide, byte-level BPE of a few words.

    python tiny_llama.py target/interop/tiny-llama

It says nothing sensible. What it is good for: a real server loads and runs it, so that its answers have the real forms,
and their numbers can be compared with what `transformers` computes. The same seed writes the same weights. The words and
the chat template are those of `tiny_gguf.py`, which needs another environment.
"""

import argparse
import pathlib

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

# Heads of 32: narrower ones vLLM does not run on a CPU.
WIDTH, LAYERS, HEADS, FEED_FORWARD, CONTEXT = 64, 2, 2, 128, 512
WORDS = "great terrible positive negative yes no the a film it was and is Review".split()
CHAT = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
END = "<|endoftext|>"
BEGIN = "<|begin|>"


def tokenizer(begins=False):
    """All bytes, and each word with and without the blank before it as one token; `begins`: with a token before each text."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=1000, min_frequency=1, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator([f"{word} {word}" for word in WORDS], trainer)
    if begins:
        made.add_special_tokens([BEGIN])
        begin = (BEGIN, made.token_to_id(BEGIN))
        made.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=[begin])
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token=END, chat_template=CHAT)


def write(folder, seed=7, begins=False, kind="float32"):
    """`kind`: of the numbers in the file."""
    torch.manual_seed(seed)
    words = tokenizer(begins)
    config = transformers.LlamaConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=CONTEXT,
        # The usual 0.02 makes all words about equally likely.
        initializer_range=0.3,
        bos_token_id=words.eos_token_id,
        eos_token_id=words.eos_token_id,
        dtype=kind,
    )
    transformers.LlamaForCausalLM(config).to(getattr(torch, kind)).save_pretrained(folder)
    words.save_pretrained(folder)


class Reference:
    """What `transformers` computes of it, in 32 bits."""

    def __init__(self, folder):
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def logs(self, **inputs):
        """The logarithms of all next tokens' probabilities after `input_ids`, or `inputs_embeds`."""
        with torch.no_grad():
            return torch.log_softmax(self.model(**inputs).logits[0, -1].double(), -1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=pathlib.Path)
    write(parser.parse_args().path)

#!/usr/bin/env python3
"""Makes the small models of random weights beside it, and what onnxruntime answers (expected.json).

* masked/   a masked language model in RoBERTa's form: byte-level BPE, positions behind the padding's
* encoder/  a sentence encoder in BERT's form: WordPiece, answers last_hidden_state, in onnx/
* clip/     a pair of an image and a text encoder in CLIP's form
* embeds/   the sentence encoder as it is exported for `inputs_embeds`, its table in embed_tokens.onnx

Needs the Python packages `numpy`, `onnx`, `onnxruntime` and `tokenizers`.
"""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from soft import Cut, prompts

HERE = Path(__file__).parent
WIDTH, HEADS, INNER, POSITIONS = 24, 2, 48, 34
CORPUS = [
    "a great film from start to finish, a terrible film, the acting was great, the plot was terrible",
    "it was great. it was terrible. it was bad. it was good. all in all, it was great",
    "this text is about sports, this text is about money, the world, business and technology",
    "a photo of a cat. a photo of a dog. a photo of a car. a bad photo of a dog",
] * 4


class Network:
    """A graph under construction."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights = [], []

    def op(self, kind, *inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, value):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def weight(self, *shape, scale=None):
        scale = scale or shape[0] ** -0.5
        return self.constant((self.random.standard_normal(shape) * scale).astype(np.float32))

    def linear(self, x, inputs, outputs):
        product = self.op("MatMul", x, self.weight(inputs, outputs))
        return self.op("Add", product, self.weight(outputs, scale=0.1))

    def norm(self, x):
        scale = self.constant((1 + 0.1 * self.random.standard_normal(WIDTH)).astype(np.float32))
        return self.op("LayerNormalization", x, scale, self.weight(WIDTH, scale=0.1), axis=-1, epsilon=1e-5)

    def gelu(self, x):
        erf = self.op("Erf", self.op("Mul", x, self.constant(np.float32(2**-0.5))))
        half = self.op("Mul", x, self.constant(np.float32(0.5)))
        return self.op("Mul", half, self.op("Add", erf, self.constant(np.float32(1))))

    def heads(self, x, axes):
        split = self.op("Reshape", x, self.constant(np.array([0, 0, HEADS, WIDTH // HEADS])))
        return self.op("Transpose", split, perm=axes)

    def block(self, x, bias):
        """One layer of a transformer; `bias` is added to the attention's scores."""
        query = self.heads(self.linear(x, WIDTH, WIDTH), [0, 2, 1, 3])
        key = self.heads(self.linear(x, WIDTH, WIDTH), [0, 2, 3, 1])
        value = self.heads(self.linear(x, WIDTH, WIDTH), [0, 2, 1, 3])
        scores = self.op("MatMul", query, key)
        scores = self.op("Mul", scores, self.constant(np.float32((WIDTH // HEADS) ** -0.5)))
        weights = self.op("Softmax", self.op("Add", scores, bias), axis=-1)
        mixed = self.op("Transpose", self.op("MatMul", weights, value), perm=[0, 2, 1, 3])
        mixed = self.op("Reshape", mixed, self.constant(np.array([0, 0, WIDTH])))
        x = self.norm(self.op("Add", x, self.linear(mixed, WIDTH, WIDTH)))
        inner = self.gelu(self.linear(x, WIDTH, INNER))
        return self.norm(self.op("Add", x, self.linear(inner, INNER, WIDTH)))

    def mask_bias(self, mask):
        """0 for tokens, very little for padding, [B, 1, 1, T]."""
        mask = self.op("Cast", self.op("Unsqueeze", mask, self.constant(np.array([1, 2]))), to=TensorProto.FLOAT)
        missing = self.op("Sub", self.constant(np.float32(1)), mask)
        return self.op("Mul", missing, self.constant(np.float32(np.finfo(np.float32).min)))

    def save(self, path, inputs, outputs):
        graph = helper.make_graph(self.nodes, "g", inputs, outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)


def tokens(name):
    return helper.make_tensor_value_info(name, TensorProto.INT64, ["batch_size", "sequence_length"])


def floats(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def renamed(network, last, name):
    network.nodes.append(helper.make_node("Identity", [last], [name]))


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


def byte_level(vocabulary, special):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def masked():
    folder = HERE / "masked"
    mask = AddedToken("<mask>", lstrip=True, special=True)
    tokenizer = byte_level(330, ["<s>", "<pad>", "</s>", "<unk>", mask])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    vocabulary = tokenizer.get_vocab_size()
    write(folder / "config.json", {
        "architectures": ["RobertaForMaskedLM"], "model_type": "roberta", "vocab_size": vocabulary,
        "hidden_size": WIDTH, "max_position_embeddings": POSITIONS, "pad_token_id": 1,
    })
    write(folder / "tokenizer_config.json", {"mask_token": {"content": "<mask>", "lstrip": True}, "model_max_length": POSITIONS - 2})
    n = Network(1)
    table = n.weight(vocabulary, WIDTH, scale=0.5)
    # As in RoBERTa: counted over real tokens, beginning behind the padding's number.
    position = n.op("CumSum", "attention_mask", n.constant(np.array(1)))
    position = n.op("Add", n.op("Mul", position, "attention_mask"), n.constant(np.array(1)))
    x = n.op("Add", n.op("Gather", table, "input_ids"), n.op("Gather", n.weight(POSITIONS, WIDTH, scale=0.3), position))
    x = n.block(n.norm(x), n.mask_bias("attention_mask"))
    x = n.norm(n.gelu(n.linear(x, WIDTH, WIDTH)))
    x = n.op("MatMul", x, n.op("Transpose", table, perm=[1, 0]))
    renamed(n, n.op("Add", x, n.weight(vocabulary, scale=0.1)), "logits")
    n.save(folder / "model.onnx", [tokens("input_ids"), tokens("attention_mask")],
           [floats("logits", "batch_size", "sequence_length", vocabulary)])

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    texts = ["the acting was great. it was <mask>.", "<mask>", "all in all, it was<mask>", "a film 東京 it was <mask> !"]
    labels = [" great", " terrible", " bad"]
    ids = [tokenizer.encode(label, add_special_tokens=False).ids for label in labels]
    assert all(len(one) == 1 for one in ids), ids
    logits = []
    for text in texts:
        encoded = tokenizer.encode(text)
        feed = {"input_ids": np.array([encoded.ids]), "attention_mask": np.array([encoded.attention_mask])}
        at = encoded.ids.index(tokenizer.token_to_id("<mask>"))
        answer = session.run(None, feed)[0][0, at]
        logits.append([float(answer[one[0]]) for one in ids])
    table = next(node.output[0] for node in n.nodes if node.op_type == "Gather" and node.input[1] == "input_ids")
    cut = Cut(folder / "model.onnx", "input_ids", table)
    soft = [[[float(cut.run(encoded.ids, prompt)[encoded.ids.index(tokenizer.token_to_id("<mask>")) + len(prompt), one[0]])
              for one in ids] for encoded in map(tokenizer.encode, texts)] for prompt in prompts(2, 3, WIDTH, 0.5)]
    return {"texts": texts, "labels": [label.strip() for label in labels], "logits": logits, "soft": soft}


def encoder():
    folder = HERE / "encoder"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    # Not trained: training this form of vocabulary comes out differently every time.
    words = sorted(set(re.findall(r"\w+|[^\w\s]", " ".join(CORPUS))))
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    known = dict.fromkeys(special + words + letters + ["##" + letter for letter in letters])
    tokenizer = Tokenizer(models.WordPiece({token: at for at, token in enumerate(known)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    # Files often ask for padding and truncation that would only cost time here.
    tokenizer.enable_padding(length=16, pad_id=0, pad_token="[PAD]")
    tokenizer.enable_truncation(24)
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    write(folder / "config.json", {
        "architectures": ["BertModel"], "model_type": "bert", "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": WIDTH, "max_position_embeddings": POSITIONS, "pad_token_id": 0,
    })
    write(folder / "1_Pooling/config.json", {
        "word_embedding_dimension": WIDTH, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
        "pooling_mode_max_tokens": False,
    })
    n = Network(2)
    length = n.op("Gather", n.op("Shape", "input_ids"), n.constant(np.array([1])), axis=0)
    places = n.op("Slice", n.weight(POSITIONS, WIDTH, scale=0.3), n.constant(np.array([0])), length, n.constant(np.array([0])))
    x = n.op("Gather", n.weight(tokenizer.get_vocab_size(), WIDTH, scale=0.5), "input_ids")
    x = n.op("Add", n.op("Add", x, places), n.op("Gather", n.weight(2, WIDTH, scale=0.3), "token_type_ids"))
    renamed(n, n.block(n.norm(x), n.mask_bias("attention_mask")), "last_hidden_state")
    n.save(folder / "onnx/model.onnx", [tokens("input_ids"), tokens("attention_mask"), tokens("token_type_ids")],
           [floats("last_hidden_state", "batch_size", "sequence_length", WIDTH)])

    session = onnxruntime.InferenceSession(folder / "onnx/model.onnx")
    tokenizer.no_padding()

    def embed(text):
        ids = np.array([tokenizer.encode(text).ids])
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        vector = session.run(None, feed)[0][0].mean(0)
        return vector / np.linalg.norm(vector)

    texts = ["A great film", "", "money, the world, business", "a photo of a cat. " * 20]
    labels = ["great", "money", "sports"]
    templates = ["this text is about {}", "{}"]
    cosines = [[[float(embed(text) @ embed(template.replace("{}", label))) for label in labels] for text in texts]
               for template in templates]
    table = next(node.output[0] for node in n.nodes if node.op_type == "Gather" and node.input[1] == "input_ids")
    cut = Cut(folder / "onnx/model.onnx", "input_ids", table)
    embeds()

    def behind(prompt, text):
        ids = tokenizer.encode(text).ids
        # The text gives way to the prompt where both are too long.
        ids = ids[: 24 - len(prompt)] if len(ids) + len(prompt) <= 24 else ids[: 23 - len(prompt)] + ids[-1:]
        vector = cut.run(ids, prompt).mean(0)
        return vector / np.linalg.norm(vector)

    first, second = prompts(2, 3, WIDTH, 0.5)
    before_text = [[float(behind(first, text) @ embed(templates[0].replace("{}", label))) for label in labels]
                   for text in texts]
    before_both = [[float(behind(second, text) @ behind(first, templates[0].replace("{}", label))) for label in labels]
                   for text in texts]
    return {"texts": texts, "labels": labels, "templates": templates, "cosines": cosines,
            "soft": {"text": before_text, "both": before_both}}


def embeds():
    source, folder = HERE / "encoder", HERE / "embeds"
    folder.mkdir(exist_ok=True)
    model = onnx.load(source / "onnx/model.onnx")
    table = next(node.output[0] for node in model.graph.node if node.op_type == "Gather" and node.input[1] == "input_ids")
    cut = Cut(source / "onnx/model.onnx", "input_ids", table)
    for node in cut.back_model.graph.node:
        # The length is told by the mask, as there are no tokens.
        node.input[:] = ["attention_mask" if name == "input_ids" else "inputs_embeds" if name == table else name
                         for name in node.input]
    kept = {name for node in cut.back_model.graph.node for name in node.input}
    for one in [one for one in cut.back_model.graph.initializer if one.name not in kept]:
        cut.back_model.graph.initializer.remove(one)
    inputs = cut.back_model.graph.input
    for one in [one for one in inputs if one.name in ("input_ids", table)]:
        inputs.remove(one)
    inputs.append(floats("inputs_embeds", "batch_size", "sequence_length", WIDTH))
    onnx.checker.check_model(cut.back_model, full_check=True)
    onnx.save(cut.back_model, folder / "model.onnx")
    onnx.save(cut.front_model, folder / "embed_tokens.onnx")
    for name in ["config.json", "tokenizer.json"]:
        (folder / name).write_bytes((source / name).read_bytes())


def clip():
    folder = HERE / "clip"
    tokenizer = byte_level(300, ["<|startoftext|>", "<|endoftext|>"])
    tokenizer.post_processor = processors.RobertaProcessing(("<|endoftext|>", 1), ("<|startoftext|>", 0), add_prefix_space=False)
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    mean, std, side, shared = [0.48, 0.46, 0.41], [0.27, 0.26, 0.28], 8, 12
    write(folder / "config.json", {
        "architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": shared,
        "text_config": {"max_position_embeddings": POSITIONS, "vocab_size": tokenizer.get_vocab_size()},
    })
    write(folder / "preprocessor_config.json", {
        "image_mean": mean, "image_std": std, "do_normalize": True, "crop_size": {"height": side, "width": side},
    })
    n = Network(3)
    length = n.op("Gather", n.op("Shape", "input_ids"), n.constant(np.array([1])), axis=0)
    places = n.op("Slice", n.weight(POSITIONS, WIDTH, scale=0.3), n.constant(np.array([0])), length, n.constant(np.array([0])))
    x = n.op("Gather", n.weight(tokenizer.get_vocab_size(), WIDTH, scale=0.5), "input_ids")
    x = n.block(n.norm(n.op("Add", x, places)), n.constant(np.zeros((1, 1, 1, 1), np.float32)))
    x = n.op("Gather", x, n.constant(np.array(-1)), axis=1)
    renamed(n, n.op("MatMul", x, n.weight(WIDTH, shared)), "text_embeds")
    n.save(folder / "text_model.onnx", [tokens("input_ids")], [floats("text_embeds", "batch_size", shared)])
    n = Network(4)
    patches = n.op("Conv", "pixel_values", n.weight(WIDTH, 3, 4, 4, scale=0.15), strides=[4, 4],
                   kernel_shape=[4, 4], dilations=[1, 1], pads=[0, 0, 0, 0], group=1)
    x = n.op("Flatten", n.op("GlobalAveragePool", n.gelu(patches)))
    renamed(n, n.op("MatMul", x, n.weight(WIDTH, shared)), "image_embeds")
    n.save(folder / "vision_model.onnx", [floats("pixel_values", "batch_size", 3, "height", "width")],
           [floats("image_embeds", "batch_size", shared)])

    unit = lambda vector: vector / np.linalg.norm(vector)
    text = onnxruntime.InferenceSession(folder / "text_model.onnx")
    vision = onnxruntime.InferenceSession(folder / "vision_model.onnx")
    labels, template = ["cat", "dog", "car"], "a photo of a {}."
    prompts = [unit(text.run(None, {"input_ids": np.array([tokenizer.encode(template.replace("{}", label)).ids])})[0][0])
               for label in labels]
    images = np.random.default_rng(5).integers(0, 256, (2, 3, side, side), dtype=np.uint8)
    shape = (1, 3, 1, 1)
    pixels = (images / np.float32(255) - np.reshape(mean, shape)) / np.reshape(std, shape)
    embeddings = vision.run(None, {"pixel_values": pixels.astype(np.float32)})[0]
    logits = [[float(100 * (unit(image) @ prompt)) for prompt in prompts] for image in embeddings]
    return {"labels": labels, "template": template, "images": [image.ravel().tolist() for image in images], "logits": logits}


write(HERE / "expected.json", {"masked": masked(), "encoder": encoder(), "clip": clip()})

"""Soft prompts by hand, for make.py and minilm.py: the network is cut behind its word embeddings."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

TYPES = {TensorProto.INT32: np.int32, TensorProto.INT64: np.int64}


class Cut:
    """A network in `path` whose value `embeddings` is computed by itself and put in again."""

    def __init__(self, path, ids, embeddings):
        self.ids, self.embeddings = ids, embeddings
        model = onnx.load(path)
        floats = helper.make_tensor_value_info(embeddings, TensorProto.FLOAT, ["batch_size", "sequence_length", None])
        front = onnx.ModelProto()
        front.CopyFrom(model)
        del front.graph.output[:]
        front.graph.output.append(floats)
        self.front_model = onnx.utils.Extractor(front).extract_model([ids], [embeddings])
        back = onnx.ModelProto()
        back.CopyFrom(model)
        maker = next(node for node in back.graph.node if embeddings in node.output)
        back.graph.node.remove(maker)
        back.graph.input.append(floats)
        self.back_model = back
        self.front = onnxruntime.InferenceSession(self.front_model.SerializeToString())
        self.back = onnxruntime.InferenceSession(back.SerializeToString())

    def run(self, ids, prompt):
        """The first output for one text's tokens with `prompt` [n, hidden] behind the first of them."""
        inputs = {one.name: one.type for one in self.back.get_inputs()}
        kind = np.int32 if "int32" in self.front.get_inputs()[0].type else np.int64
        own = self.front.run(None, {self.ids: np.array([ids], kind)})[0][0]
        embeddings = np.concatenate([own[:1], prompt, own[1:]])[None].astype(np.float32)
        count = embeddings.shape[1]
        # The tokens in the prompt's place only matter for counting: any token but padding.
        places = np.array([ids[:1] * (1 + len(prompt)) + ids[1:]], kind)
        feed = {self.embeddings: embeddings}
        for name in inputs:
            if name == self.ids:
                feed[name] = places
            elif "mask" in name:
                feed[name] = np.ones((1, count), kind)
            elif "type" in name:
                feed[name] = np.zeros((1, count), kind)
        return self.back.run(None, feed)[0][0]


def prompts(count, tokens, hidden, scale):
    """The same in Rust: scale * ((k * 7919) mod 1000 / 500 - 1), k counted over all numbers."""
    k = np.arange(count * tokens * hidden, dtype=np.int64)
    values = np.float32(scale) * ((k * 7919 % 1000).astype(np.float32) / np.float32(500) - np.float32(1))
    return values.reshape(count, tokens, hidden)

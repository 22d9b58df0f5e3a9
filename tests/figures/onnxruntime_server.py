"""What `model-api-throughput` compares with: ONNX Runtime behind a plain FastAPI server, with the same binary requests of the
Open Inference Protocol.

    python onnxruntime_server.py --listen 127.0.0.1:8701 --name NAME --threads N MODEL

MODEL is MobileNet's file (images from 0 to 255, which become -1 to 1) or MiniLM's folder (texts, labels and a template, as
`fed-bbpt model-api` takes them). Everything that a person would do for speed without leaving the usual path is done: uvloop and
httptools, tensors without copies, work in a thread beside the event loop, padding to the longest text only, label
embeddings kept.
"""

import argparse
import json
import pathlib

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

LENGTH = "inference-header-content-length"
TEMPERATURE = 0.05


def session(path, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def strings(data):
    found, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "little")
        found.append(bytes(data[at + 4 : at + 4 + length]).decode())
        at += 4 + length
    return found


class Classifier:
    def __init__(self, path, threads):
        self.session = session(path, threads)
        self.input = self.session.get_inputs()[0].name

    def __call__(self, tensors):
        shape, data = tensors[self.input]
        pixels = np.frombuffer(data, np.uint8).reshape(shape)
        return self.session.run(None, {self.input: pixels.astype(np.float32) * np.float32(2 / 255) - np.float32(1)})[0]


class Encoder:
    def __init__(self, folder, threads):
        from tokenizers import Tokenizer

        self.session = session(folder / "model.onnx", threads)
        self.inputs = [each.name for each in self.session.get_inputs()]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        # To the longest text of a request, not to a fixed length.
        self.tokenizer.enable_padding()
        self.kept = {}

    def embed(self, texts):
        encoded = self.tokenizer.encode_batch(texts)
        mask = np.array([each.attention_mask for each in encoded], np.int64)
        ids = np.array([each.ids for each in encoded], np.int64)
        # Exports call them differently.
        feeds = {"ids": ids, "input_ids": ids, "mask": mask, "attention_mask": mask, "token_type_ids": np.zeros_like(mask)}
        found = self.session.run(None, {name: feeds[name] for name in self.inputs})[0]
        if found.ndim == 3:  # a state for each token, not yet one for the text
            found = np.einsum("bth,bt->bh", found, mask.astype(np.float32))
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def __call__(self, tensors):
        texts, labels, (template,) = (strings(tensors[name][1]) for name in ("text", "labels", "template"))
        prompts = tuple(template.replace("{}", label) for label in labels)
        if prompts not in self.kept:
            # Each alone, for an int8 model rounds by what else is in its batch; they are computed once.
            self.kept[prompts] = np.concatenate([self.embed([prompt]) for prompt in prompts])
        return self.embed(texts) @ self.kept[prompts].T / np.float32(TEMPERATURE)


def serve(model, name):
    app = FastAPI()

    @app.get("/v2/health/ready")
    async def ready():
        return {}

    @app.post(f"/v2/models/{name}/infer")
    async def infer(request: Request):
        body = memoryview(await request.body())
        at = int(request.headers[LENGTH])
        asked = json.loads(bytes(body[:at]))
        tensors = {}
        for tensor in asked["inputs"]:
            size = tensor["parameters"]["binary_data_size"]
            tensors[tensor["name"]] = (tensor["shape"], body[at : at + size])
            at += size
        scores = np.ascontiguousarray(await run_in_threadpool(model, tensors), np.float32)
        output = {"name": "logits", "datatype": "FP32", "shape": scores.shape}
        output["parameters"] = {"binary_data_size": scores.nbytes}
        head = json.dumps({"model_name": name, "outputs": [output]}).encode()
        return Response(
            head + scores.tobytes(), media_type="application/octet-stream", headers={LENGTH: str(len(head))}
        )

    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--threads", type=int, required=True)
    given = parser.parse_args()
    kind = Encoder if given.model.is_dir() else Classifier
    host, port = given.listen.rsplit(":", 1)
    app = serve(kind(given.model, given.threads), given.name)
    uvicorn.run(app, host=host, port=int(port), loop="uvloop", http="httptools", log_level="warning", access_log=False)

#!/usr/bin/env python3
"""NVIDIA's Triton with the embedded model of printed digits, run by onnxruntime, as Triton serves a Python function.

    python triton_digits.py --http 8000 --model printed-digits.onnx --folder empty

Three models: `bytes` and `floats` take batches of UINT8 and of FP32, at most MOST images each; `alone` has no batch
dimension (`max_batch_size: 0`). Their output is `logits`.
"""

import argparse
import pathlib
import signal

import numpy as np
import onnxruntime
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

MOST = 16
IMAGE, LOGITS = (3, 32, 32), (10,)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--http", type=int, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="for whatever Triton writes")
    given = parser.parse_args()
    session = onnxruntime.InferenceSession(given.model, providers=["CPUExecutionProvider"])

    def logits(images):
        return session.run(["logits"], {"image": images})[0]

    def of_bytes(requests):
        return [{"logits": logits(request["image"].astype(np.float32) / np.float32(255))} for request in requests]

    def of_floats(requests):
        return [{"logits": logits(request["image"])} for request in requests]

    def of_one(requests):
        return [{"logits": logits(request["image"][None])[0]} for request in requests]

    batches, single = ModelConfig(max_batch_size=MOST), ModelConfig(batching=False)
    config = TritonConfig(http_address="127.0.0.1", http_port=given.http, allow_grpc=False, allow_metrics=False)
    # Asked to end, it ends by way of the `with` block, which stops Triton's own process, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Triton(config=config, workspace=given.folder) as triton:
        for name, function, kind, settings in (
            ("bytes", of_bytes, np.uint8, batches),
            ("floats", of_floats, np.float32, batches),
            ("alone", of_one, np.float32, single),
        ):
            inputs = [Tensor(name="image", dtype=kind, shape=IMAGE)]
            outputs = [Tensor(name="logits", dtype=np.float32, shape=LOGITS)]
            triton.bind(name, function, inputs, outputs, config=settings, strict=True)
        triton.serve()


if __name__ == "__main__":
    main()

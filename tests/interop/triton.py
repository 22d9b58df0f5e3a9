#!/usr/bin/env python3
# requirements: pytriton
# drives: fed-bbpt
"""`fed-bbpt simulate` drives NVIDIA's Triton, as `nvidia-pytriton` brings it, with the embedded model of printed digits
run by onnxruntime.

Ends with `N passed, M failed` and the exit code 0 only if nothing failed.
"""

import ctypes
import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import urllib.request

import numpy as np
import onnxruntime
import pytriton
import sklearn.datasets
from PIL import Image

from lib.checks import check, report
from lib.third_party import Client, Server, arguments, ask, free_port, learning, opened, preflight
from lib.triton_digits import IMAGE, MOST

ROOT = pathlib.Path(__file__).parents[2]
VECTORS = ROOT / "shared/vectors/open_inference_servers.json"
DIGITS = ROOT / "server/model-api/models/printed-digits/printed-digits.onnx"
PAGE = "https://fed.example.org"
# Headers of a page that sends tensors.
SENT = "content-type,inference-header-content-length"
# Paler, and lit unevenly.
SHIFT = "contrast=0.5,field=0.7,seed=3"
# A prompt is learnt from the first, and the last are the test.
TRAINED, TESTED = 400, 1400


class Api:
    def __init__(self, server, client, session, images, labels, data):
        self.server, self.client, self.session, self.data = server, client, session, data
        self.images, self.labels = images, labels
        self.recorded = json.loads(VECTORS.read_text())

    def vectors(self, part):
        """What was recorded of this Triton, not of its documentation."""
        version = f"Triton {ask(self.server.url + '/v2')[1]['version']}"
        found = [each for each in self.recorded[part] if each["source"].startswith(version)]
        assert found, f"nothing is recorded of {version}"
        return found

    def logits(self, images):
        """onnxruntime's own answer to bytes."""
        return self.session.run(["logits"], {"image": floats(images)})[0]

    def task(self, model="bytes", more="", calls="", rounds=1, steps=1, url=None):
        datatype = "UINT8" if model == "bytes" else "FP32"
        return f"""
format = 1
name = "Digits, at Triton"
[model]
dialect = "open-inference"
url = "{url or self.server.url}"
name = "{model}"
input = {{ name = "image", datatype = "{datatype}", layout = "nchw", height = 32, width = 32{more} }}
output = {{ name = "logits", kind = "logits", classes = 10 }}
{calls}
[data]
labels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
inner = [24, 24]
background = 0
invert = true
{learning(rounds, steps)}"""

    def refusal(self, task):
        """What our client says where it ends in an error."""
        return self.client.refusal("refused", task, *self.data, "--clients", "2")


def floats(images):
    return images.astype(np.float32) / np.float32(255)


def infer(base, model, images, tensor="image", output="logits", headers=(), path=None):
    """Status, headers, and the output's numbers (or the error's JSON) of an inference with binary tensors."""
    raw = images.tobytes()
    datatype = "UINT8" if images.dtype == np.uint8 else "FP32"
    sent = {"name": tensor, "shape": list(images.shape), "datatype": datatype}
    sent["parameters"] = {"binary_data_size": len(raw)}
    wanted = {"name": output, "parameters": {"binary_data": True}}
    header = json.dumps({"inputs": [sent], "outputs": [wanted], "parameters": {"binary_data_output": True}}).encode()
    said = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(header))}
    said |= dict(headers)
    request = urllib.request.Request(base + (path or f"/v2/models/{model}/infer"), header + raw, said)
    answer = opened(request)
    if answer.status != 200:
        return answer.status, answer.headers, json.loads(answer.read())
    body, length = answer.read(), int(answer.headers["inference-header-content-length"])
    (described,) = json.loads(body[:length])["outputs"]
    return answer.status, answer.headers, np.frombuffer(body[length:], "<f4").reshape(described["shape"])


@check
def it_answers_what_onnxruntime_answers(api):
    images = np.random.default_rng(1).integers(0, 256, (MOST, *IMAGE), dtype=np.uint8)
    expected = api.logits(images)
    for model, sent in (("bytes", images), ("floats", floats(images))):
        status, _, found = infer(api.server.url, model, sent)
        assert status == 200 and np.allclose(found, expected, atol=1e-4), model
    alone = infer(api.server.url, "alone", floats(images[0]))[2]
    assert alone.shape == (10,) and np.allclose(alone, expected[0], atol=1e-4)


@check
def it_still_says_what_our_vectors_record(api):
    for each in api.vectors("metadata"):
        assert ask(f"{api.server.url}/v2/models/{each['body']['name']}") == (200, each["body"])
    images = np.stack([np.zeros(IMAGE, np.float32), np.ones(IMAGE, np.float32)])
    for each in api.vectors("answers"):
        name = each["header"]["model_name"]
        found = infer(api.server.url, name, images if name == "floats" else images[0])[2]
        assert np.allclose(found.ravel(), each["scores"], atol=1e-4), each
    # Only its configuration says how large a batch may be.
    for model, most in (("bytes", MOST), ("floats", MOST), ("alone", 0)):
        status, said = ask(f"{api.server.url}/v2/models/{model}/config")
        assert (status, said["max_batch_size"]) == (200, most), said
    assert ask(api.server.url + "/v2/models/nope/config")[0] == 404


@check
def it_still_refuses_as_our_vectors_record(api):
    base, many = api.server.url, np.zeros((MOST + 1, *IMAGE), np.float32)
    one = many[:1]
    refused = {
        "to a model that is not there": infer(base, "nope", one),
        "to a version that is not there": infer(base, "floats", one, path="/v2/models/floats/versions/7/infer"),
        "to a path that is not there": infer(base, "floats", one, path="/v1/v2/models/floats/infer"),
        f"to {MOST + 1} images where max_batch_size is {MOST}": infer(base, "floats", many),
        "to images one pixel too narrow": infer(base, "floats", one[..., :-1]),
        "to an input of another name": infer(base, "floats", one, tensor="nope"),
        "to an output of another name": infer(base, "floats", one, output="nope"),
        "to bytes instead of floats": infer(base, "floats", one.astype(np.uint8)),
        "to a batch for a model without one": infer(base, "alone", one),
    }
    recorded = {each["source"].split(", ", 1)[1]: (each["status"], each["body"]) for each in api.vectors("refusals")}
    assert {what: (status, said) for what, (status, _, said) in refused.items()} == recorded


@check
def our_client_scores_as_onnxruntime_does(api):
    expected = np.mean(api.logits(api.images).argmax(1) == api.labels)
    calls = f"[model.calls]\nbatch = {MOST}"
    for model, more in (("bytes", ""), ("floats", ""), ("alone", ", unbatched = true")):
        found = api.client.simulate(model, api.task(model, more, calls), *api.data, "--clients", "2")
        # An image or two may lie so close between two classes that the way of enlarging it decides.
        assert abs(found["zero_shot"] - expected) < 3 / len(api.labels), (model, found["zero_shot"], expected)


@check
def a_prompt_is_learnt_for_shifted_images(api):
    """And without being told the largest batch: the client finds out."""
    task = api.task(rounds=12, steps=5)
    found = api.client.simulate("shifted", task, *api.data, "--clients", "4", "--shift", SHIFT)
    before, after = found["zero_shot"], found["outcomes"][0]["test_accuracy"]
    print(f"        {before:.1%} without a prompt, {after:.1%} with it")
    assert after > before + 0.05, (before, after)


@check
def what_is_wrong_is_said(api):
    unbatched = api.refusal(api.task("alone"))
    assert "input.unbatched = true" in unbatched, unbatched
    unknown = api.refusal(api.task("bytes").replace('name = "bytes"', 'name = "nope"'))
    assert "does not know the model `nope`" in unknown, unknown
    path = api.refusal(api.task("bytes", url=api.server.url + "/v1"))
    assert "check the model API's address" in path, path
    datatype = api.refusal(api.task("bytes").replace("UINT8", "FP32"))
    assert "as FP32, the model takes UINT8" in datatype, datatype
    renamed = api.refusal(api.task("bytes").replace('name = "image"', 'name = "picture"'))
    assert "the model has `image`" in renamed, renamed


@check
def pages_need_the_relay(api):
    url, one = api.server.url, np.zeros((1, *IMAGE), np.uint8)
    status, headers = preflight(url + "/v2/models/bytes/infer", PAGE, SENT)
    assert status == 405 and "access-control-allow-origin" not in headers, (status, headers)
    status, headers, expected = infer(url, "bytes", one, headers={"Origin": PAGE})
    assert status == 200 and "access-control-allow-origin" not in headers, headers
    program = [api.client.fed_bbpt, "relay", "--upstream", url, "--no-key", "--allow-origin", PAGE]
    program += ["--listen", "127.0.0.1:0"]
    log = open(api.client.scratch / "relay.log", "wb")
    with log, subprocess.Popen(program, stdout=subprocess.PIPE, stderr=log, text=True) as relay:
        try:
            said = [relay.stdout.readline() for _ in range(2)]
            base = said[1].rsplit(": ", 1)[1].strip()
            status, headers = preflight(base + "/v2/models/bytes/infer", PAGE, SENT)
            assert status == 204 and headers["access-control-allow-origin"] == PAGE, (status, headers)
            status, headers, found = infer(base, "bytes", one, headers={"Origin": PAGE})
            assert status == 200 and headers["access-control-allow-origin"] == PAGE, (status, headers)
            assert "inference-header-content-length" in headers["access-control-expose-headers"], headers
            assert (found == expected).all()
        finally:
            relay.terminate()


def prepared(image):
    """A digit as the task says: enlarged, amid black, and then dark on light."""
    small = Image.fromarray(np.rint(image.reshape(8, 8) * 255 / 16).astype(np.uint8))
    grey = np.zeros(IMAGE[1:], np.uint8)
    grey[4:28, 4:28] = np.asarray(small.resize((24, 24), Image.BILINEAR))
    return np.repeat(255 - grey[None], IMAGE[0], axis=0)


def libraries():
    """Where the loader finds this Python's library: Triton runs functions by a program of its own, one a version."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    programs = pathlib.Path(pytriton.__file__).parent / "tritonserver/python_backend_stubs"
    if not (programs / version).is_dir():
        there = sorted((each.name for each in programs.iterdir()), key=lambda name: [int(n) for n in name.split(".")])
        sys.exit(f"Triton runs Python {', '.join(there)}, and python3 is {version}: put one of these first in PATH")
    name, folder = f"libpython{version}.so.1.0", pathlib.Path(sysconfig.get_config_var("LIBDIR"))
    if (folder / name).exists():
        return {"LD_LIBRARY_PATH": str(folder)}
    try:
        ctypes.CDLL(name)
    except OSError:
        sys.exit(f"Triton needs {name}: `apt-get install libpython{version}`, or a Python built with --enable-shared")
    return {}


def main():
    given = arguments(__doc__)
    folder = given.scratch / "triton"
    shutil.rmtree(folder, ignore_errors=True)
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    # In the form of scikit-learn's own file: for a prompt to be learnt from, and for the test.
    rows = np.column_stack([images, labels]).astype(int)
    flags = ["--only", "federated"]
    for flag, part in {"--data": rows[:TRAINED], "--test": rows[TESTED:]}.items():
        path = given.scratch / f"digits{flag}.csv"
        path.write_text("".join(",".join(map(str, row)) + "\n" for row in part))
        flags += [flag, path]
    port = str(free_port())
    program = pathlib.Path(__file__).parent / "lib/triton_digits.py"
    command = [sys.executable, program, "--http", port, "--model", DIGITS, "--folder", folder]
    # The last of its models: it is ready as a server before it has any.
    ready, log = "/v2/models/alone/ready", given.scratch / "triton.log"
    with Server(command, f"http://127.0.0.1:{port}", ready, log, env={**os.environ, **libraries()}) as server:
        tested = np.stack([prepared(image) for image in images[TESTED:]])
        session = onnxruntime.InferenceSession(DIGITS, providers=["CPUExecutionProvider"])
        client = Client(given.fed_bbpt, given.scratch)
        report(Api(server, client, session, tested, labels[TESTED:], flags))


if __name__ == "__main__":
    main()

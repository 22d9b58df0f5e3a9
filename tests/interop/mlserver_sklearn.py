#!/usr/bin/env python3
# requirements: mlserver
# drives: fed-bbpt
"""`fed-bbpt simulate` drives MLServer with a scikit-learn classifier of handwritten digits, trained on the spot.

Ends with `N passed, M failed` and the exit code 0 only if nothing failed.
"""

import json
import pathlib
import shutil
import sys

import joblib
import numpy as np
import sklearn.datasets
from sklearn.linear_model import LogisticRegression

from lib.checks import check, report
from lib.third_party import Client, Server, arguments, ask, free_port, learning

VECTORS = pathlib.Path(__file__).parents[2] / "shared/vectors/open_inference_servers.json"
# The model is trained on the first, a prompt on those up to here, and the others are the test.
TRAINED, TESTED = 1000, 1400
# Paler, and lit unevenly.
SHIFT = "contrast=0.5,field=0.7,seed=3"


class Api:
    def __init__(self, server, client, model, images, labels, data):
        self.server, self.client, self.model, self.data = server, client, model, data
        self.images, self.labels = images, labels
        self.infer = server.url + "/v2/models/digits/infer"

    def task(self, rounds=1, steps=1, name="digits"):
        # An image of 16 grey levels becomes bytes, and on its way numbers from 0 to 16 again.
        return f"""
format = 1
name = "Digits, at MLServer"
[model]
dialect = "open-inference"
url = "{self.server.url}"
name = "{name}"
output = {{ name = "predict_proba", kind = "probabilities", classes = 10 }}
[model.input]
name = "image"
datatype = "FP32"
height = 8
width = 8
low = 0
high = 16
colour = "grey"
flat = true
json = true
[data]
labels = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]
{learning(rounds, steps)}"""


def tensor(images, **more):
    return {"name": "image", "shape": list(images.shape), "datatype": "FP32", "data": images.ravel().tolist(), **more}


@check
def it_still_says_what_our_vectors_record(api):
    recorded = json.loads(VECTORS.read_text())
    stated = [each["body"] for each in recorded["metadata"] if each["server"] == "mlserver"]
    for name, expected in zip(("silent", "digits"), stated):
        status, said = ask(f"{api.server.url}/v2/models/{name}")
        assert status == 200 and {**said, "name": "digits"} == expected, said
    assert ask(api.server.url + "/v2")[1]["extensions"] == []
    asked = {"inputs": [tensor(api.images[:2])], "outputs": [{"name": "predict_proba"}]}
    status, answered = ask(api.infer, asked)
    form = next(each["header"] for each in recorded["answers"] if each["server"] == "mlserver")
    assert status == 200 and answered.keys() == form.keys(), answered
    (output,), (expected,) = answered["outputs"], form["outputs"]
    assert {**output, "data": 0} == {**expected, "data": 0}, output
    assert np.allclose(np.reshape(output["data"], (2, 10)), api.model.predict_proba(api.images[:2]))


@check
def it_still_refuses_as_our_vectors_record(api):
    nowhere, unknown, output, broken = (
        each for each in json.loads(VECTORS.read_text())["refusals"] if each["server"] == "mlserver"
    )
    assert ask(api.server.url + "/v1/v2/models/digits") == (nowhere["status"], nowhere["body"])
    assert ask(api.server.url + "/v2/models/nope") == (unknown["status"], unknown["body"])
    asked = {"inputs": [tensor(api.images[:2])], "outputs": [{"name": "logits"}]}
    assert ask(api.infer, asked) == (output["status"], output["body"])
    for wrong in (api.images[:2].reshape(2, 1, 8, 8), api.images[:2, :63]):
        asked = {"inputs": [tensor(wrong)], "outputs": [{"name": "predict_proba"}]}
        assert ask(api.infer, asked) == (broken["status"], broken["text"])
    header = json.dumps(
        {
            "inputs": [{**tensor(api.images[:1]), "data": None, "parameters": {"binary_data_size": 256}}],
            "outputs": [{"name": "predict_proba", "parameters": {"binary_data": True}}],
        }
    ).encode()
    body = header + api.images[:1].astype("<f4").tobytes()
    assert ask(api.infer, body, [("inference-header-content-length", str(len(header)))])[0] >= 400


@check
def our_client_scores_as_scikit_learn_does(api):
    expected = api.model.score(api.images, api.labels)
    for name in ("digits", "silent"):
        found = api.client.simulate(name, api.task(name=name), *api.data, "--clients", "2")
        # An image or two may lie so close between two classes that the way through bytes decides.
        assert abs(found["zero_shot"] - expected) < 3 / len(api.labels), (found["zero_shot"], expected)


@check
def a_prompt_is_learnt_for_shifted_images(api):
    task = api.task(rounds=12, steps=5)
    found = api.client.simulate("shifted", task, *api.data, "--clients", "4", "--shift", SHIFT)
    before, after = found["zero_shot"], found["outcomes"][0]["test_accuracy"]
    print(f"        {before:.1%} without a prompt, {after:.1%} with it")
    assert after > before + 0.05, (before, after)


@check
def what_it_does_not_take_is_said(api):
    binary = api.task().replace("json = true", "json = false")
    ended = api.client.try_simulate("binary", binary, *api.data, "--clients", "2")
    assert ended.returncode == 1 and "Traceback" not in ended.stderr, ended
    missing = api.client.try_simulate("missing", api.task(name="nope"), *api.data, "--clients", "2")
    assert missing.returncode == 1 and "nope" in missing.stderr, missing


def main():
    given = arguments(__doc__)
    folder = given.scratch / "models"
    shutil.rmtree(folder, ignore_errors=True)
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    model = LogisticRegression(C=0.01, max_iter=1000).fit(images[:TRAINED], labels[:TRAINED])
    declared = {
        "platform": "sklearn",
        "versions": ["v1"],
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 64]}],
        "outputs": [{"name": "predict_proba", "datatype": "FP64", "shape": [-1, 10]}],
    }
    for name, more in (("digits", declared), ("silent", {})):
        (folder / name).mkdir(parents=True)
        joblib.dump(model, folder / name / "model.joblib")
        settings = {
            "name": name,
            "implementation": "mlserver_sklearn.SKLearnModel",
            "parameters": {"uri": "./model.joblib", "version": "v1"},
            **more,
        }
        (folder / name / "model-settings.json").write_text(json.dumps(settings))
    ports = [free_port() for _ in range(3)]
    settings = dict(zip(("http_port", "grpc_port", "metrics_port"), ports))
    settings |= {"host": "127.0.0.1", "parallel_workers": 0, "debug": False}
    (folder / "settings.json").write_text(json.dumps(settings))
    # What it was not trained on, in the form of scikit-learn's own file: for a prompt to be learnt from, and for the test.
    rows = np.column_stack([images, labels]).astype(int)
    files = {"--data": rows[TRAINED:TESTED], "--test": rows[TESTED:]}
    flags = ["--only", "federated"]
    for flag, part in files.items():
        path = given.scratch / f"digits{flag}.csv"
        path.write_text("".join(",".join(map(str, row)) + "\n" for row in part))
        flags += [flag, path]
    program = pathlib.Path(sys.executable).parent / "mlserver"
    url = f"http://127.0.0.1:{ports[0]}"
    with Server([program, "start", folder], url, "/v2/health/ready", given.scratch / "mlserver.log") as server:
        report(Api(server, Client(given.fed_bbpt, given.scratch), model, images[TESTED:], labels[TESTED:], flags))


if __name__ == "__main__":
    main()

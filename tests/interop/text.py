#!/usr/bin/env python3
# requirements: triton
# model-api: --model-folder server/model-api/tests/text/encoder --name words
"""The unmodified `tritonclient[http]` drives a running `fed-bbpt model-api` that serves texts.

    python text.py --url http://127.0.0.1:8701

Ends with `N passed, M failed` and the exit code 0 only if nothing failed.
"""

import json
import urllib.parse
from pathlib import Path

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from lib.checks import check, run

EXPECTED = Path(__file__).parents[2] / "server/model-api/tests/text/expected.json"

class Api:
    def __init__(self, url, model):
        parts = urllib.parse.urlsplit(url if "//" in url else f"http://{url}")
        self.client = triton.InferenceServerClient(parts.netloc + parts.path.rstrip("/"))
        self.model = model
        self.expected = json.loads(EXPECTED.read_text())["encoder"]

    def scores(self, texts, labels, template=None, binary=True, binary_out=True):
        named = [("text", texts), ("labels", labels)]
        if template is not None:
            named.append(("template", template))
        inputs = []
        for name, values in named:
            array = np.array(values, dtype=np.object_)
            tensor = triton.InferInput(name, list(array.shape), "BYTES")
            tensor.set_data_from_numpy(array, binary_data=binary)
            inputs.append(tensor)
        outputs = [triton.InferRequestedOutput("logits", binary_data=binary_out)]
        return self.client.infer(self.model, inputs, outputs=outputs).as_numpy("logits")


@check
def the_metadata_describe_texts(api):
    metadata = api.client.get_model_metadata(api.model)
    inputs = {each["name"]: (each["datatype"], each["shape"]) for each in metadata["inputs"]}
    texts = {name: inputs[name] for name in ("text", "labels", "template")}
    assert texts == dict.fromkeys(texts, ("BYTES", [-1])), inputs
    # Soft prompts, which no request needs.
    assert inputs.keys() - texts.keys() == {"prompt_embeddings", "text_prompt", "template_prompt"}, inputs
    assert metadata["outputs"][0]["shape"] == [-1, -1]


@check
def scores_are_those_of_onnxruntime_in_every_form(api):
    expected = api.expected
    for template, cosines in zip(expected["templates"], expected["cosines"]):
        for binary in (True, False):
            for binary_out in (True, False):
                for templates in ([template], [template] * len(expected["texts"])):
                    scores = api.scores(expected["texts"], expected["labels"], templates, binary, binary_out)
                    assert scores.dtype == np.float32 and scores.shape == (4, 3), scores
                    assert np.allclose(scores, np.array(cosines) / 0.05, atol=1e-3), scores


@check
def texts_beyond_ascii_and_columns_pass(api):
    texts = [["Café 東京 🙂"], [""]]
    binary = api.scores(texts, ["a", "b"])
    assert (binary == api.scores(texts, ["a", "b"], binary=False)).all()


@check
def wrong_requests_are_refused(api):
    for action, text in [
        (lambda: api.scores(["a"], ["one"]), "at least 2"),
        (lambda: api.scores(["a"], ["one", "two"], ["nothing"]), "{}"),
        (lambda: api.scores([b"\xff"], ["one", "two"]), "UTF-8"),
    ]:
        try:
            action()
        except InferenceServerException as error:
            assert "400" in str(error.status()) and text in error.message(), error
        else:
            raise AssertionError(f"it was not refused: {text}")
    api.scores(["a"], ["one", "two"])


if __name__ == "__main__":
    run(__doc__, Api, "words")

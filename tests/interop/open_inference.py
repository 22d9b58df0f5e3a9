#!/usr/bin/env python3
# requirements: triton
# model-api:
"""The unmodified `tritonclient[http]` drives a running `fed-bbpt model-api`.

    python open_inference.py --url http://127.0.0.1:8701

Ends with `N passed, M failed` and the exit code 0 only if nothing failed.
"""

import urllib.parse

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from lib.checks import check, run


class Api:
    """A client, and what the server says about its model."""

    def __init__(self, url, model):
        parts = urllib.parse.urlsplit(url if "//" in url else f"http://{url}")
        self.client = triton.InferenceServerClient(
            parts.netloc + parts.path.rstrip("/"), ssl=parts.scheme == "https", concurrency=8
        )
        self.model = model
        metadata = self.client.get_model_metadata(model)
        self.metadata = metadata
        self.input = metadata["inputs"][0]["name"]
        self.output = metadata["outputs"][0]["name"]
        self.image = metadata["inputs"][0]["shape"][1:]
        self.classes = metadata["outputs"][0]["shape"][1]

    def images(self, count, seed=1):
        return np.random.default_rng(seed).integers(0, 256, (count, *self.image), dtype=np.uint8)

    def infer(self, images, binary=True, binary_out=True, outputs=True, **options):
        datatype = "UINT8" if images.dtype == np.uint8 else "FP32"
        tensor = triton.InferInput(self.input, list(images.shape), datatype)
        tensor.set_data_from_numpy(images, binary_data=binary)
        wanted = [triton.InferRequestedOutput(self.output, binary_data=binary_out)]
        return self.client.infer(self.model, [tensor], outputs=wanted if outputs else None, **options)

    def scores(self, images, **options):
        scores = self.infer(images, **options).as_numpy(self.output)
        assert scores.dtype == np.float32, scores.dtype
        assert scores.shape == (len(images), self.classes), scores.shape
        assert np.isfinite(scores).all()
        return scores


def refused(action, status, text):
    try:
        action()
    except InferenceServerException as error:
        assert status in str(error.status()), f"status {error.status()}, not {status}"
        assert text in error.message(), f"{text!r} is not in {error.message()!r}"
    else:
        raise AssertionError("it was not refused")


@check
def live_and_ready(api):
    assert api.client.is_server_live()
    assert api.client.is_server_ready()
    assert api.client.is_model_ready(api.model)
    assert api.client.is_model_ready(api.model, "1")
    assert not api.client.is_model_ready("no-such-model")
    assert not api.client.is_model_ready(api.model, "2")


@check
def metadata(api):
    assert "binary_tensor_data" in api.client.get_server_metadata()["extensions"]
    assert api.metadata["name"] == api.model
    assert api.metadata == api.client.get_model_metadata(api.model, "1")
    assert api.metadata["inputs"][0]["shape"][0] == -1
    refused(lambda: api.client.get_model_metadata("no-such-model"), "404", "unknown model")


@check
def bytes_in_every_form_give_the_same_scores(api):
    images = api.images(3)
    expected = api.scores(images)
    for binary in (True, False):
        for binary_out in (True, False):
            same = api.scores(images, binary=binary, binary_out=binary_out)
            assert (same == expected).all(), (binary, binary_out)
    # Without stated outputs the client asks for binary data by the request's own parameter.
    assert (api.scores(images, outputs=False) == expected).all()


@check
def floats_are_bytes_over_255(api):
    images = api.images(2)
    floats = images.astype(np.float32) / np.float32(255)
    expected = api.scores(images)
    for binary in (True, False):
        assert np.allclose(api.scores(floats, binary=binary), expected, atol=1e-5), binary


@check
def the_identifier_and_the_version_come_back(api):
    answer = api.infer(api.images(1), request_id="seventeen", model_version="1").get_response()
    assert answer["id"] == "seventeen", answer
    assert answer["model_name"] == api.model and answer["model_version"] == "1", answer


@check
def different_images_have_different_scores(api):
    scores = api.scores(api.images(4))
    assert len(np.unique(scores, axis=0)) == 4
    alone = np.concatenate([api.scores(image[None]) for image in api.images(4)])
    assert np.allclose(scores, alone, atol=1e-4)


@check
def many_requests_at_once(api):
    batches = [api.images(1 + i % 5, seed=i) for i in range(24)]
    expected = [api.scores(images) for images in batches]
    pending = []
    for images in batches:
        tensor = triton.InferInput(api.input, list(images.shape), "UINT8")
        tensor.set_data_from_numpy(images)
        pending.append(api.client.async_infer(api.model, [tensor]))
    for request, scores in zip(pending, expected):
        assert np.allclose(request.get_result().as_numpy(api.output), scores, atol=1e-4)


@check
def wrong_requests_are_refused(api):
    images = api.images(1)
    refused(lambda: api.infer(images[:, :, :-1]), "400", "shape")
    refused(lambda: api.infer(images[0]), "400", "shape")
    refused(lambda: api.infer(np.full((1, *api.image), np.nan, np.float32)), "400", "NaN")
    refused(lambda: api.infer(np.full((1, *api.image), 255, np.float32)), "400", "from 0 (black) to 1")
    wrong = triton.InferInput("no-such-input", list(images.shape), "UINT8")
    wrong.set_data_from_numpy(images)
    refused(lambda: api.client.infer(api.model, [wrong]), "400", "no-such-input")
    wide = triton.InferInput(api.input, list(images.shape), "INT64")
    wide.set_data_from_numpy(images.astype(np.int64))
    refused(lambda: api.client.infer(api.model, [wide]), "400", "INT64")
    tensor = triton.InferInput(api.input, list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images)
    outputs = [triton.InferRequestedOutput("no-such-output")]
    refused(lambda: api.client.infer(api.model, [tensor], outputs=outputs), "400", "no-such-output")
    refused(lambda: api.client.infer("no-such-model", [tensor]), "404", "unknown model")
    # And it still works.
    api.scores(images)


if __name__ == "__main__":
    run(__doc__, Api, "printed-digits")

#!/usr/bin/env python3
# requirements: huggingface
# model-api:
# model-api: --model-folder server/model-api/tests/text/encoder --name words
# model-api: --model-folder server/model-api/tests/text/encoder --name labelled --labels tests/interop/labels.txt
# model-api: --model-folder server/model-api/tests/text/masked --name masked
# model-api: --model-folder server/model-api/tests/text/clip --name pair --labels tests/interop/labels.txt
"""The unmodified `huggingface_hub.InferenceClient` drives running `fed-bbpt model-api`.

    python huggingface_client.py --url http://127.0.0.1:8701 --url …

Ends with `N passed, M failed` and the exit code 0 only if nothing failed.
"""

import argparse
import json
import math
import pathlib

import numpy as np
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from lib.checks import check, report
from lib.pictures import data_url, picture, pixels
from lib.truth import close, infer, log_softmax

EXPECTED = json.loads((pathlib.Path(__file__).parents[2] / "server/model-api/tests/text/expected.json").read_text())
NAMES = ["printed-digits", "words", "labelled", "masked", "pair"]


class Api:
    def __init__(self, urls):
        self.urls = dict(zip(NAMES, urls, strict=True))

    def client(self, name):
        return InferenceClient(model=f"{self.urls[name]}/models/{name}", token="none", timeout=60)


def probabilities(row):
    return [math.exp(value) for value in log_softmax(row)]


def refused(action, text):
    try:
        action()
    except HfHubHTTPError as error:
        assert text in error.response.text, error.response.text
    else:
        raise AssertionError("it was not refused")


@check
def images_are_classified(api):
    client, url = api.client("printed-digits"), api.urls["printed-digits"]
    for kind in ("PNG", "JPEG", "WebP"):
        file = picture(3, kind=kind)
        found = client.image_classification(file, top_k=10)
        (scores,) = infer(url, "printed-digits", ("image", "UINT8", [1, 3, 32, 32], pixels(file)))
        expected = dict(zip(map(str, range(10)), probabilities(scores)))
        assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
        # JPEG's decoders differ by a level here and there.
        error = 0.05 if kind == "JPEG" else 1e-4
        assert len(found) == 10 and all(abs(each.score - expected[each.label]) < error for each in found), (kind, found)
    assert len(client.image_classification(picture(3), top_k=2)) == 2


@check
def images_are_classified_by_labels_of_the_callers(api):
    file = picture(2, side=8)
    found = api.client("pair").zero_shot_image_classification(file, candidate_labels=["a cat", "a dog", "a film"])
    assert sorted(each.label for each in found) == ["a cat", "a dog", "a film"], found
    assert close([sum(each.score for each in found)], [1.0]), found
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


@check
def texts_are_classified_by_labels_of_the_callers(api):
    text, labels = EXPECTED["encoder"]["texts"][0], ["great", "terrible", "money"]
    found = api.client("words").zero_shot_classification(
        text, candidate_labels=labels, hypothesis_template="this is {}."
    )
    (scores,) = infer(
        api.urls["words"], "words", ("text", "BYTES", [1], [text]), ("labels", "BYTES", [3], labels),
        ("template", "BYTES", [1], ["this is {}."]),
    )
    expected = dict(zip(labels, probabilities(scores)))
    assert {each.label for each in found} == set(labels), found
    assert all(abs(each.score - expected[each.label]) < 1e-4 for each in found), (found, expected)


@check
def texts_are_classified_by_the_servers_labels(api):
    found = api.client("labelled").text_classification("a great film")
    assert sorted(each.label for each in found) == ["great", "terrible"], found
    assert close([sum(each.score for each in found)], [1.0]), found


@check
def masks_are_filled(api):
    client, expected = api.client("masked"), EXPECTED["masked"]
    text = expected["texts"][0]
    free = client.fill_mask(text, top_k=3)
    assert len(free) == 3 and all(each.sequence and each.token_str for each in free), free
    # A word inside a sentence is a token with its blank.
    targets = client.fill_mask(text, targets=[" great", " terrible"])
    found = {each.token_str.strip(): each.score for each in targets}
    assert sorted(found) == ["great", "terrible"], found
    # Both are probabilities among the whole vocabulary: their ratio is that of the logits.
    great, terrible, _ = expected["logits"][0]
    assert close([math.log(found["great"] / found["terrible"])], [great - terrible], 1e-3), found


@check
def texts_are_embedded(api):
    client, texts = api.client("words"), EXPECTED["encoder"]["texts"]
    alone = np.asarray(client.feature_extraction(texts[0])).reshape(-1)
    assert abs(np.linalg.norm(alone) - 1) < 1e-3, alone
    similar = client.sentence_similarity(texts[0], other_sentences=[texts[0], texts[2]])
    assert abs(similar[0] - 1) < 1e-3 and similar[1] < 0.999, similar


@check
def chats_are_answered(api):
    message = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": data_url(picture(1))}}]}]
    answer = api.client("printed-digits").chat_completion(message, logprobs=True, top_logprobs=5)
    (place,) = answer.choices[0].logprobs.content
    assert len(place.top_logprobs) == 5 and answer.choices[0].message.content == place.token, answer


@check
def what_cannot_be_done_is_refused(api):
    refused(lambda: api.client("printed-digits").image_classification(b"not a picture"), "image")
    refused(lambda: api.client("masked").fill_mask("it was <mask>.", targets=["greatest"]), "greatest")
    refused(lambda: api.client("masked").fill_mask("no mask at all"), "mask")
    gone = InferenceClient(model=f"{api.urls['words']}/models/another", token="none")
    refused(lambda: gone.text_classification("a film"), "unknown model")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", action="append", required=True)
    report(Api(parser.parse_args().url))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# requirements: openai
# model-api:
# model-api: --model-folder server/model-api/tests/text/encoder --name words --labels tests/interop/labels.txt
# model-api: --model-folder server/model-api/tests/text/masked --name masked
"""The unmodified `openai` package drives running `fed-bbpt model-api`: a classifier, a sentence encoder and a masked model.

    python openai_client.py --url http://127.0.0.1:8701 --url http://127.0.0.1:8702 --url http://127.0.0.1:8703

Ends with `N passed, M failed` and the exit code 0 only if nothing failed.
"""

import argparse
import base64
import json
import math
import pathlib
import struct

import openai

from lib.checks import check, report
from lib.pictures import data_url, picture, pixels
from lib.truth import close, infer, log_softmax

EXPECTED = json.loads((pathlib.Path(__file__).parents[2] / "server/model-api/tests/text/expected.json").read_text())
DIGITS = [str(digit) for digit in range(10)]


class Api:
    def __init__(self, urls):
        self.urls = urls
        # Whatever the key: without --keys everybody may call.
        make = lambda url: openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
        self.digits, self.words, self.masked = map(make, urls)

    def see(self, file, kind="png", **more):
        parts = [
            {"type": "text", "text": "Which digit is this?"},
            {"type": "image_url", "image_url": {"url": data_url(file, kind)}},
        ]
        return self.digits.chat.completions.create(
            model="printed-digits", messages=[{"role": "user", "content": parts}], **more
        )


def refused(action, kind, text):
    try:
        action()
    except kind as error:
        assert text in str(error), error
    else:
        raise AssertionError("it was not refused")


@check
def models_are_listed(api):
    for client, name in ((api.digits, "printed-digits"), (api.words, "words"), (api.masked, "masked")):
        listed = client.models.list().data
        assert [model.id for model in listed] == [name] and listed[0].object == "model", listed
        assert client.models.retrieve(name).id == name
    refused(lambda: api.digits.models.retrieve("another"), openai.NotFoundError, "unknown model")


@check
def a_classifier_answers_a_chat_with_the_log_probabilities_of_its_classes(api):
    for seed in range(4):
        file = picture(seed)
        answer = api.see(file, logprobs=True, top_logprobs=10, max_tokens=1, temperature=0)
        (choice,) = answer.choices
        (place,) = choice.logprobs.content
        (scores,) = infer(api.urls[0], "printed-digits", ("image", "UINT8", [1, 3, 32, 32], pixels(file)))
        expected = log_softmax(scores)
        found = {each.token: each.logprob for each in place.top_logprobs}
        assert sorted(found) == DIGITS, found
        assert close([found[digit] for digit in DIGITS], expected), (found, expected)
        best = DIGITS[expected.index(max(expected))]
        assert choice.message.content == place.token == best, choice
        assert choice.message.role == "assistant" and choice.finish_reason in ("stop", "length"), choice
        assert [each.logprob for each in place.top_logprobs] == sorted(found.values(), reverse=True)
        assert answer.usage.completion_tokens == 1 and answer.object == "chat.completion", answer
    assert api.see(picture(0)).choices[0].logprobs is None


@check
def images_come_in_every_kind(api):
    for kind in ("PNG", "JPEG", "WebP"):
        answer = api.see(picture(1, kind=kind), kind.lower(), logprobs=True, top_logprobs=3)
        assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 3


@check
def an_encoder_embeds(api):
    texts = EXPECTED["encoder"]["texts"][:1] + ["money, the world"]
    answer = api.words.embeddings.create(model="words", input=texts, encoding_format="float")
    assert [each.index for each in answer.data] == [0, 1]
    lengths = [math.sqrt(sum(value**2 for value in each.embedding)) for each in answer.data]
    assert close(lengths, [1.0, 1.0], 1e-3), lengths
    # By itself the client asks for bytes in base64, and reads them.
    alone = api.words.embeddings.create(model="words", input=texts[0]).data[0].embedding
    assert close(alone, answer.data[0].embedding, 1e-5)
    raw = api.words.embeddings.create(model="words", input=texts[0], encoding_format="base64").data[0].embedding
    bytes = base64.b64decode(raw)
    assert close(struct.unpack(f"<{len(bytes) // 4}f", bytes), alone, 1e-6)
    assert answer.usage.prompt_tokens > 0


@check
def an_encoder_answers_with_a_label(api):
    text = "a great film"
    (scores,) = infer(
        api.urls[1], "words", ("text", "BYTES", [1], [text]), ("labels", "BYTES", [2], ["great", "terrible"])
    )
    expected = log_softmax(scores)
    answer = api.words.chat.completions.create(
        model="words", messages=[{"role": "user", "content": text}], logprobs=True, top_logprobs=2
    )
    found = {each.token: each.logprob for each in answer.choices[0].logprobs.content[0].top_logprobs}
    assert close([found["great"], found["terrible"]], expected), (found, expected)


@check
def a_masked_model_completes(api):
    texts = EXPECTED["masked"]["texts"][:2]
    answer = api.masked.completions.create(model="masked", prompt=texts, logprobs=5, max_tokens=1)
    assert [choice.index for choice in answer.choices] == [0, 1], answer
    for choice in answer.choices:
        (top,) = choice.logprobs.top_logprobs
        assert 1 < len(top) <= 5 and max(top, key=top.get) == choice.text, choice


@check
def what_cannot_be_done_is_refused_in_openais_form(api):
    message = [{"role": "user", "content": "no picture"}]
    bad = openai.BadRequestError
    refused(lambda: api.digits.chat.completions.create(model="printed-digits", messages=message), bad, "image")
    refused(lambda: api.see(b"not a picture"), bad, "image")
    refused(lambda: api.see(picture(0), top_logprobs=3), bad, "logprobs")
    refused(lambda: api.see(picture(0), n=2), bad, "n")
    refused(lambda: api.digits.embeddings.create(model="printed-digits", input="x"), bad, "embeddings")
    other = openai.NotFoundError
    refused(lambda: api.digits.chat.completions.create(model="another", messages=message), other, "unknown model")
    # And it still works.
    api.see(picture(0))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", action="append", required=True)
    report(Api(parser.parse_args().url))


if __name__ == "__main__":
    main()

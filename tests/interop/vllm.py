#!/usr/bin/env python3
# requirements: vllm
# drives: fed-bbpt
"""`fed-bbpt simulate` drives vLLM's own server, on the CPU, with a tiny llama that is written here; what it scores is
compared with what `transformers` computes from the same file.

Ends with `N passed, M failed` and the exit code 0 only if nothing failed.
"""

import concurrent.futures
import json
import math
import pathlib
import random
import urllib.request

from lib import tiny_llama
from lib.checks import check, report
from lib.third_party import Client, arguments, ask, opened, preflight
from lib.vllm_server import AT_ONCE, start

KEY = "a-key-of-the-tests"
AUTHORIZED = [("authorization", f"Bearer {KEY}")]
PAGE = "https://fed.example.org"
# Headers of a page that sends a prompt with a key.
SENT = "authorization,content-type"
# Words of its vocabulary: each is one token, with and without a blank before it.
LABELS = ["great", "terrible"]
# Nearly the whole vocabulary (vLLM 0.32 ends where more is asked for than there is), and what it lists by itself.
ALL, DEFAULT = 300, 20
FLOOR = -15.0
INSTRUCTION = "Was it great or terrible"
VECTORS = pathlib.Path(__file__).parents[2] / "shared/vectors/openai_servers.json"


class Api:
    """`server` lists all tokens, wants a key and lets a page in; `plain` is as vLLM is by itself."""

    def __init__(self, server, plain, client, model, texts, data):
        self.server, self.plain, self.client, self.texts, self.data = server, plain, client, texts, data
        self.reference = tiny_llama.Reference(model)
        self.tokenizer = self.reference.tokenizer
        version = f"vLLM {ask(server.url + '/version')[1]['version']}"
        recorded = json.loads(VECTORS.read_text())
        self.recorded = [each for each in recorded if each["source"].startswith(f"{version},")]
        assert self.recorded, f"nothing is recorded of {version}"

    def post(self, path, server=None, /, **body):
        sent = {"model": "tiny", "temperature": 0, "max_tokens": 1, **body}
        return ask(f"{(server or self.server).url}/v1/{path}", sent, AUTHORIZED)

    def task(self, own, server=None):
        return f"""
format = 1
name = "Films, at vLLM"
[model]
dialect = "openai"
url = "{(server or self.server).url}/v1"
name = "tiny"
input = {{ kind = "text" }}
[model.openai]
{own}
[model.calls]
batch = 8
[text]
input = "{{text}} is"
words = {json.dumps(LABELS)}
[data]
labels = ["good", "bad"]
[generator]
kind = "discrete"
positions = 1
candidates = ["", "film"]
[federation]
rounds = 1
local_steps = 1
batch = 4
"""

    def listed(self, text, most):
        """The likeliest next tokens and their logarithms, as transformers computes them."""
        logs = self.reference.logs(input_ids=self.tokenizer(text, return_tensors="pt").input_ids)
        best = logs.topk(min(most, len(logs)))
        return [(self.tokenizer.decode([token]), log.item()) for log, token in zip(best.values, best.indices)]

    def chat(self, messages):
        return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def compare(self, name, task, prompts, most, *more, words=LABELS):
        """Accuracy and mean loss of the label words over these prompts, ours and what transformers computes."""
        right = loss = 0
        for prompt, (_, label) in zip(prompts, self.texts, strict=True):
            found = scores(self.listed(prompt, most), words)
            # Of equal scores the first is the answer; nothing may depend on nearly equal ones.
            assert found[0] == found[1] or abs(found[0] - found[1]) > 1e-3, (prompt, found)
            right += found.index(max(found)) == label
            loss += math.log(sum(map(math.exp, found))) - found[label]
        accuracy, loss = right / len(prompts), loss / len(prompts)
        ours = self.client.simulate(name, task, *self.data, *more)
        after = ours["outcomes"][0]["test_loss"]
        print(f"        accuracy {ours['zero_shot']:.3f} ({accuracy:.3f}), loss {after:.6f} ({loss:.6f})")
        # After its one round the likelier of the two prompts is still the first, which is none.
        assert abs(ours["zero_shot"] - accuracy) < 1e-9 and abs(after - loss) < 1e-4, (ours["zero_shot"], after)

    def refusal(self, name, task, *more):
        """What our client says where it ends in an error."""
        return self.client.refusal(name, task, *self.data, *(more or ("--model-key", KEY)))


def scores(listed, words=LABELS):
    """As docs/task-file.md says of `[model.openai]`."""
    found = []
    for word in words:
        chances = [math.exp(log) for token, log in listed if token.strip() and word.startswith(token.strip().lower())]
        found.append(math.log(sum(chances)) if chances else min(FLOOR, listed[-1][1]))
    return found


@check
def completions_are_what_transformers_computes(api):
    texts = [f"{text} is" for text, _ in api.texts[:8]]
    status, answer = api.post("completions", prompt=texts, logprobs=ALL)
    assert status == 200 and [each["index"] for each in answer["choices"]] == list(range(8)), answer
    worst = 0
    for text, choice in zip(texts, answer["choices"]):
        (place,) = choice["logprobs"]["top_logprobs"]
        expected = api.listed(text, ALL)
        compared = [(place[token], log) for token, log in expected if token.strip() and "\ufffd" not in token]
        assert len(compared) > 150, len(compared)
        worst = max(worst, *(abs(a - b) for a, b in compared))
    print(f"        {worst:.1e} apart at most")
    assert worst < 1e-4, worst


@check
def chats_are_what_transformers_computes(api):
    messages = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": "it was great"}]
    status, answer = api.post("chat/completions", messages=messages, logprobs=True, top_logprobs=DEFAULT)
    (place,) = answer["choices"][0]["logprobs"]["content"]
    found = [(each["token"], each["logprob"]) for each in place["top_logprobs"]]
    expected = api.listed(api.chat(messages), DEFAULT)
    assert status == 200 and len(found) == DEFAULT, answer
    assert all(abs(a - b) < 1e-4 for (_, a), (_, b) in zip(found, expected)), (found, expected)
    # Part of a letter is no text yet.
    assert [token for token, _ in found] == [token.replace("\ufffd", "") for token, _ in expected], (found, expected)


@check
def our_client_scores_over_completions_as_transformers_does(api):
    own = f'api = "completions"\ntop_logprobs = {ALL}'
    api.compare("completions", api.task(own), [f"{text} is" for text, _ in api.texts], ALL, "--model-key", KEY)


@check
def our_client_scores_over_chats_as_transformers_does(api):
    own = f'api = "chat"\ntop_logprobs = {ALL}\ninstruction = "{INSTRUCTION}"'
    system = {"role": "system", "content": INSTRUCTION}
    prompts = [api.chat([system, {"role": "user", "content": f"{text} is"}]) for text, _ in api.texts]
    api.compare("chat", api.task(own), prompts, ALL, "--model-key", KEY)


@check
def what_is_not_listed_gets_the_floor(api):
    """With vLLM's own limit, and without a key."""
    # These are among the likeliest of some texts, and not of others.
    words = ["the", "is"]
    own = f'api = "completions"\ntop_logprobs = {DEFAULT}'
    task = api.task(own, api.plain).replace(json.dumps(LABELS), json.dumps(words))
    prompts = [f"{text} is" for text, _ in api.texts]
    found = [scores(api.listed(prompt, DEFAULT), words) for prompt in prompts]
    assert any(FLOOR in each for each in found) and not all(FLOOR in each for each in found), found
    api.compare("floor", task, prompts, DEFAULT, words=words)


@check
def it_still_says_what_our_vectors_record(api):
    """Of answers the fields and the numbers, of refusals everything."""
    for each in api.recorded:
        path, sent = each["asked"]["path"], each["asked"].get("body")
        server = api.plain if each["asked"].get("plain") else api.server
        headers = [("authorization", f"Bearer {each['asked'].get('key', KEY)}")]
        status, said = ask(server.url + path, sent, headers)
        assert status == each["status"], (each["source"], status, said)
        assert alike(said, each["body"]), (each["source"], said)


@check
def what_is_wrong_is_said(api):
    own = 'api = "completions"'
    wrong = api.refusal("wrong-key", api.task(own), "--model-key", "another")
    assert "refuses the key" in wrong, wrong
    other = api.refusal("other-model", api.task(own).replace('name = "tiny"', 'name = "nope"'))
    assert "no model `nope`, but `tiny`" in other, other


@check
def what_it_does_not_do_is_told_apart(api):
    own = 'api = "completions"'
    many = api.refusal("too-many", api.task(f"{own}\ntop_logprobs = {DEFAULT + 1}", api.plain))
    assert "max allowed: 20" in many and "model.openai.top_logprobs lower" in many, many
    path = api.refusal("path", api.task(own).replace("/v1", ""))
    assert "check the model API's address" in path, path


@check
def more_than_it_computes_at_once_waits(api):
    """There is no 429 and no 503: what comes is queued."""
    def one(at):
        return api.post("completions", api.plain, prompt=f"it was {at}", logprobs=5)[0]

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE * 8) as several:
        assert set(several.map(one, range(AT_ONCE * 16))) == {200}


@check
def pages_are_let_in_where_it_is_told_so(api):
    status, headers = preflight(api.plain.url + "/v1/completions", PAGE, SENT)
    assert status == 400 and "access-control-allow-origin" not in headers, (status, headers)
    status, headers = preflight(api.server.url + "/v1/completions", PAGE, SENT)
    assert status == 200 and headers["access-control-allow-origin"] == PAGE, (status, headers)
    assert headers["access-control-allow-headers"] == "authorization,content-type", headers
    url = api.server.url + "/v1/models"
    status, headers = seen(url, KEY)
    assert status == 200 and headers["access-control-allow-origin"] == PAGE, (status, headers)
    # So a browser takes a wrong key for a page that is not let in, and our dialog must speak of the key.
    status, headers = seen(url, "another")
    assert status == 401 and "access-control-allow-origin" not in headers, (status, headers)


def seen(url, key):
    answer = opened(urllib.request.Request(url, headers={"Origin": PAGE, "Authorization": f"Bearer {key}"}), timeout=10)
    return answer.status, answer.headers


# Names and times, and a hash of how the server was started.
CHANGING = ("id", "created", "root", "permission", "system_fingerprint")


def alike(said, recorded):
    """The same but for what changes with each run, and the last digits."""
    if isinstance(recorded, dict):
        return said.keys() == recorded.keys() and all(
            key in CHANGING or alike(said[key], value) for key, value in recorded.items()
        )
    if isinstance(recorded, list):
        return len(said) == len(recorded) and all(map(alike, said, recorded))
    if isinstance(recorded, float):
        return abs(said - recorded) < 1e-4
    return said == recorded


def main():
    given = arguments(__doc__)
    model = given.scratch / "tiny-llama"
    tiny_llama.write(model)
    drawn = random.Random(1)
    texts = [(" ".join(drawn.choices(tiny_llama.WORDS, k=4)), at % 2) for at in range(24)]
    files = {}
    for name, part in (("train", texts[:8]), ("test", texts)):
        files[name] = given.scratch / f"{name}.csv"
        rows = [f"{text},{('good', 'bad')[label]}\n" for text, label in part]
        files[name].write_text("text,label\n" + "".join(rows))
    flags = ["--data", files["train"], "--test", files["test"], "--clients", "2", "--partition", "iid"]
    flags += ["--only", "federated"]
    more = ["--api-key", KEY, "--allowed-origins", json.dumps([PAGE]), "--max-logprobs", str(ALL)]
    with start(model, given.scratch / "vllm.log", more) as server:
        with start(model, given.scratch / "vllm-plain.log", []) as plain:
            report(Api(server, plain, Client(given.fed_bbpt, given.scratch), model, texts, flags))


if __name__ == "__main__":
    main()

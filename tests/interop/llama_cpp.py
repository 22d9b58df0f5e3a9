#!/usr/bin/env python3
# requirements: llama
# drives: fed-bbpt
"""`fed-bbpt simulate` and `fed-bbpt candidates --propose` drive llama-cpp-python's server with a tiny llama that is written here.

Ends with `N passed, M failed` and the exit code 0 only if nothing failed.
"""

import math
import os
import re
import subprocess
import sys

from lib import tiny_gguf
from lib.checks import check, report
from lib.third_party import Client, Server, arguments, ask, free_port

KEY = "a-key-of-the-tests"
AUTHORIZED = [("authorization", f"Bearer {KEY}")]
# Words of its vocabulary: each is one token.
LABELS = ["great", "terrible"]


class Api:
    def __init__(self, server, client, data):
        self.server, self.client, self.data = server, client, data

    def post(self, path, **body):
        return ask(f"{self.server.url}/v1/{path}", {"model": "tiny", "temperature": 0, "max_tokens": 1, **body}, AUTHORIZED)

    def task(self, own):
        return f"""
format = 1
name = "Films, at llama.cpp"
[model]
dialect = "openai"
url = "{self.server.url}/v1"
name = "tiny"
input = {{ kind = "text" }}
[model.openai]
{own}
[text]
input = "{{text}} is"
words = {LABELS!r}
[data]
labels = ["good", "bad"]
[generator]
kind = "discrete"
positions = 1
candidates = ["", "film", "the", "was", "Review"]
[federation]
rounds = 1
local_steps = 1
batch = 4
""".replace("'", '"')


@check
def completions_answer_as_our_dialect_expects(api):
    status, answer = api.post("completions", prompt="it was great", logprobs=50)
    (choice,) = answer["choices"]
    places = choice["logprobs"]["top_logprobs"]
    assert status == 200 and len(places) == 1, answer
    assert 1 < len(places[0]) <= 51 and all(value < 0 for value in places[0].values()), places
    assert sum(map(math.exp, places[0].values())) < 1
    assert answer["usage"] == {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5}, answer["usage"]


@check
def chats_answer_as_our_dialect_expects(api):
    status, answer = api.post(
        "chat/completions", messages=[{"role": "user", "content": "it was great"}], logprobs=True, top_logprobs=20
    )
    (choice,) = answer["choices"]
    (place,) = choice["logprobs"]["content"]
    assert status == 200 and choice["message"]["role"] == "assistant", answer
    listed = [each["logprob"] for each in place["top_logprobs"]]
    assert 1 < len(listed) <= 21 and all(value < 0 for value in listed), place


@check
def the_key_is_asked_for(api):
    assert ask(api.server.url + "/v1/models")[0] == 401
    status, models = ask(api.server.url + "/v1/models", headers=AUTHORIZED)
    assert status == 200 and [each["id"] for each in models["data"]] == ["tiny"], models


@check
def our_client_scores_label_words_over_completions(api):
    # Enough for every token of the vocabulary, so that both words are among them.
    found = simulate(api, "completions", 'api = "completions"\ntop_logprobs = 600')
    right = 0
    for word in LABELS:
        _, answer = api.post("completions", prompt=f"it was {word} is", logprobs=600)
        (listed,) = answer["choices"][0]["logprobs"]["top_logprobs"]
        right += best(listed) == word
    assert found["zero_shot"] == right / len(LABELS), (found["zero_shot"], right)


@check
def our_client_scores_label_words_over_chats(api):
    found = simulate(api, "chat", 'api = "chat"\ntop_logprobs = 20\ninstruction = "Was it great or terrible"')
    assert 0 <= found["zero_shot"] <= 1


@check
def what_fails_is_said(api):
    task = api.task('api = "completions"')
    wrong = api.client.try_simulate("wrong-key", task, *api.data, "--model-key", "another")
    assert wrong.returncode == 1 and "key" in wrong.stderr, wrong
    other = task.replace('name = "tiny"', 'name = "another"')
    ended = api.client.try_simulate("other-model", other, *api.data, "--model-key", KEY)
    assert ended.returncode == 1 and "another" in ended.stderr and "tiny" in ended.stderr, ended


@check
def instructions_are_asked_for(api):
    # A llama of random weights proposes nothing sensible: its answers must be read as what they are.
    ended = propose(api, KEY)
    counted = re.search(r"(\d+) requests, (\d+) tokens sent, (\d+) answered: (\d+) proposals", ended.stderr)
    assert counted, ended
    requests, sent, answered, found = map(int, counted.groups())
    assert 1 <= requests <= 3 and sent > 200 * requests and answered > 0, ended
    assert ended.returncode == (0 if found == 2 else 1), ended
    wrong = propose(api, "another")
    assert wrong.returncode == 1 and "refuses the key" in wrong.stderr, wrong


def propose(api, key):
    path = api.client.scratch / "propose.toml"
    path.write_text(api.task('api = "completions"'))
    command = [api.client.fed_bbpt, "candidates", "--propose", "2", "--task", path, "--llm-url", f"{api.server.url}/v1"]
    command += ["--llm-model", "tiny"]
    variables = {**os.environ, "FED_BBPT_LLM_KEY": key}
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, env=variables)


def best(listed):
    """The label word that the listed tokens make likeliest: tokens that are it or only its beginning count for it."""
    chances = dict.fromkeys(LABELS, 0.0)
    for token, log in listed.items():
        token = token.strip().lower()
        for word in LABELS:
            if token and word.startswith(token):
                chances[word] += math.exp(log)
    return max(chances, key=chances.get)


def simulate(api, name, own):
    return api.client.simulate(name, api.task(own), *api.data, "--model-key", KEY)


def main():
    given = arguments(__doc__)
    model = given.scratch / "tiny.gguf"
    tiny_gguf.write(model)
    files = {}
    for name, copies in (("train", 4), ("test", 1)):
        files[name] = given.scratch / f"{name}.csv"
        rows = ["it was great,good\n", "it was terrible,bad\n"] * copies
        files[name].write_text("text,label\n" + "".join(rows))
    flags = ["--data", files["train"], "--test", files["test"], "--clients", "2", "--partition", "iid"]
    flags += ["--only", "federated"]
    port = free_port()
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--model_alias", "tiny"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--n_ctx", "4096", "--n_threads", "1"]
    command += ["--api_key", KEY]
    # Its documentation's page is the route that wants no key.
    with Server(command, f"http://127.0.0.1:{port}", "/docs", given.scratch / "llama.log") as server:
        report(Api(server, Client(given.fed_bbpt, given.scratch), flags))


if __name__ == "__main__":
    main()

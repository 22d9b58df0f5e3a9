#!/usr/bin/env python3
# requirements: vllm
# drives: fed-bbpt
"""Soft prompts at vLLM's own server, on the CPU, with a tiny llama that is written here: what our client sends as
`prompt_embeds` is read with torch, and what vLLM answers is compared with what `transformers` computes from it.

Ends with `N passed, M failed` and the exit code 0 only if nothing failed.
"""

import base64
import functools
import http.server
import io
import json
import os
import pathlib
import random
import subprocess
import threading

import safetensors.torch
import torch

from lib import tiny_llama
from lib.checks import check, report
from lib.third_party import Client, Server, arguments, ask, free_port
from lib.truth import close
from lib.vllm_server import start

# Words of its vocabulary: each is one token, with and without a blank before it.
LABELS = ["great", "terrible"]
# Nearly the whole vocabulary (vLLM 0.32 ends where more is asked for than there is).
ALL = 300
TOKENS, HIDDEN = 3, tiny_llama.WIDTH
TABLE = "model.embed_tokens.weight"


class Heard(http.server.BaseHTTPRequestHandler):
    """Passes everything on to `upstream`, and keeps what was asked for completions, and answered."""

    upstream, exchanges = "", []

    def do_GET(self):
        self.passed(None)

    def do_POST(self):
        self.passed(self.rfile.read(int(self.headers["content-length"])))

    def passed(self, body):
        status, answer = ask(Heard.upstream + self.path, body)
        if body is not None:
            Heard.exchanges.append((json.loads(body), status, answer))
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def served(handler):
    """The address of a server in this process."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


class Api:
    """`server` takes embeddings, `plain` does not; `heard` is `server`, overheard."""

    def __init__(self, server, plain, client, models, files, texts, data):
        self.server, self.plain, self.client, self.texts, self.data = server, plain, client, texts, data
        self.models, self.files = models, files
        Heard.upstream, self.heard = server.url, served(Heard)
        folder = functools.partial(Files, directory=client.scratch)
        self.fetched_from = served(folder)
        self.reference = tiny_llama.Reference(models["tiny"])
        self.tokenizer = self.reference.tokenizer
        self.table = self.reference.model.get_input_embeddings().weight.detach()

    def embeddings(self, name, *more):
        """What `fed-bbpt embeddings` says of a model: the lines for the task file. The files go to `files/NAME`."""
        command = [self.client.fed_bbpt, "embeddings", "--model", self.models[name], "--output", self.files / name, *more]
        ended = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=60)
        assert ended.returncode == 0, ended
        return ended.stdout.replace("https://HOST/models", f"{self.fetched_from}/{self.files.name}")

    def task(self, lines, url=None, rounds=2, hidden=HIDDEN):
        """`lines`: those of `fed-bbpt embeddings`."""
        own, generator = lines.replace(f"hidden = {HIDDEN}", f"hidden = {hidden}").split("[generator]")
        own = own.replace('api = "completions"', f'api = "completions"\ntop_logprobs = {ALL}')
        return f"""
name = "Films, at vLLM"
[model]
dialect = "openai"
url = "{url or self.server.url}/v1"
name = "tiny"
input = {{ kind = "text" }}
{own}
[model.calls]
batch = 8
[text]
input = "{{text}} is"
words = {json.dumps(LABELS)}
[data]
labels = ["good", "bad"]
holdout = 0
[generator]
{generator}
tokens = {TOKENS}
dimensions = 16
alpha = 3
[optimizer]
kind = "cma-es"
population = 6
[federation]
rule = "scalars"
secure_sum = false
rounds = {rounds}
local_steps = 1
batch = 8
open = {{ count_min = 1, time_min_ms = 0 }}
upload = {{ count_min = 1, time_min_ms = 0 }}
"""

    def refusal(self, name, task):
        """What our client says where it ends in an error."""
        return self.client.refusal(name, task, *self.data)

    def listed(self, rows):
        """Logarithms of all next tokens' probabilities after these embeddings, as transformers computes them."""
        return self.reference.logs(inputs_embeds=rows[None])

    def known(self, logs):
        """Those of tokens that are text by themselves."""
        pairs = ((self.tokenizer.decode([token]), log.item()) for token, log in enumerate(logs))
        return {token: log for token, log in pairs if token.strip() and "\ufffd" not in token}

    def rows_of(self, text):
        return self.table[self.tokenizer(text).input_ids]


def tensor(text):
    """As vLLM reads it."""
    return torch.load(io.BytesIO(base64.b64decode(text, validate=True)), weights_only=True, map_location="cpu")


def prompts(key, exchanges):
    """Each prompt that was sent under `key` with the probabilities that were answered."""
    found = []
    for asked, status, answer in exchanges:
        sent = asked.get(key)
        if sent is not None and status == 200:
            sent = sent if isinstance(sent, list) else [sent]
            choices = sorted(answer["choices"], key=lambda choice: choice["index"])
            found += zip(sent, (choice["logprobs"]["top_logprobs"][0] for choice in choices), strict=True)
    return found


@check
def the_table_and_the_tokenizer_are_cut_out(api):
    lines = api.embeddings("tiny")
    kept = safetensors.torch.load_file(api.files / "tiny/embeddings.safetensors")
    assert list(kept) == [TABLE] and kept[TABLE].dtype == torch.bfloat16, kept
    assert torch.equal(kept[TABLE].float(), api.table)
    written = (api.files / "tiny/tokenizer.json").read_bytes()
    assert written == (api.models["tiny"] / "tokenizer.json").read_bytes()
    deviation = float(lines.split("deviation = ")[1].split()[0])
    expected = api.table.double().std(correction=0).item()
    assert f"hidden = {HIDDEN}" in lines and abs(deviation / expected - 1) < 1e-3, (lines, expected)


@check
def a_search_sends_what_torch_loads_and_transformers_computes(api):
    Heard.exchanges.clear()
    ours = api.client.simulate("search", api.task(api.embeddings("tiny"), api.heard), *api.data)
    opening = api.tokenizer("").input_ids
    assert len(opening) == 1, opening
    texts = {f"{text} is": api.rows_of(f"{text} is") for text, _ in api.texts}
    sent, worst, soft = prompts("prompt_embeds", Heard.exchanges), 0, set()
    for prompt, answered in sent:
        rows = tensor(prompt)
        assert rows.dtype == torch.bfloat16 and rows.shape[1] == HIDDEN, (rows.dtype, rows.shape)
        rows = rows.float()
        # The first of them is the trial with a harmless text, without a soft prompt.
        own = torch.cat([rows[:1], rows[1 + TOKENS :]])
        if any(torch.equal(own, text) for text in texts.values()):
            soft.add(tuple(rows[1 : 1 + TOKENS].flatten().tolist()))
        else:
            assert torch.equal(rows, api.rows_of("A text. A text. is")), rows
        expected = api.known(api.listed(rows))
        compared = [abs(answered[token] - log) for token, log in expected.items() if token in answered]
        assert len(compared) > 150, len(compared)
        worst = max(worst, *compared)
    print(f"        {len(sent)} prompts with {len(soft)} soft prompts, {worst:.1e} apart at most")
    assert worst < 1e-4 and len(soft) >= 12, (worst, len(soft))
    plain = prompts("prompt", Heard.exchanges)
    assert {text for text, _ in plain} == {*texts, "A text. A text. is"}, plain
    after = ours["outcomes"][0]
    print(f"        accuracy {ours['zero_shot']:.3f} to {after['test_accuracy']:.3f}, loss {after['test_loss']:.4f}")


@check
def a_soft_prompt_changes_what_is_answered(api):
    by_text = {}
    for prompt, answered in prompts("prompt_embeds", Heard.exchanges):
        rows = tensor(prompt).float()
        by_text.setdefault(tuple(rows[1 + TOKENS :].flatten().tolist()), []).append(answered)
    by_text = [found for found in by_text.values() if len(found) > 6]
    assert len(by_text) == len(api.texts), len(by_text)
    for found in by_text:
        best = max(found[0], key=found[0].get)
        logs = [answered.get(best, -99) for answered in found]
        assert max(logs) - min(logs) > 0.1, logs


@check
def texts_as_embeddings_are_answered_as_texts(api):
    """The same scores, and so the same accuracy and loss."""
    plain = {text: answered for text, answered in prompts("prompt", Heard.exchanges)}
    for text, answered in plain.items():
        saved = io.BytesIO()
        torch.save(api.rows_of(text), saved)
        body = {"model": "tiny", "temperature": 0, "max_tokens": 1, "logprobs": ALL}
        body["prompt_embeds"] = base64.b64encode(saved.getvalue()).decode()
        status, answer = ask(f"{api.server.url}/v1/completions", body)
        assert status == 200, answer
        found = answer["choices"][0]["logprobs"]["top_logprobs"][0]
        known = [token for token in api.known(api.listed(api.rows_of(text))) if token in found and token in answered]
        assert len(known) > 150 and close([found[t] for t in known], [answered[t] for t in known])


@check
def another_models_table_is_refused(api):
    lines, other = api.embeddings("tiny"), api.embeddings("other")
    said = api.refusal("other-table", api.task(other))
    assert "the embeddings are not this model's" in said and "[model.openai.prompt_embeds]" in said, said
    # The table is right, but the tokenizer puts nothing before a text.
    mixed = api.files / "mixed"
    mixed.mkdir(exist_ok=True)
    for name, source in (("tokenizer.json", "bare"), ("embeddings.safetensors", "tiny")):
        api.embeddings("bare")
        (mixed / name).write_bytes((api.files / source / name).read_bytes())
    hash_of = lambda text: text.split('tokenizer_sha256 = "')[1].split('"')[0]
    mixed_lines = lines.replace("/tiny", "/mixed").replace(hash_of(lines), hash_of(api.embeddings("bare")))
    said = api.refusal("other-tokenizer", api.task(mixed_lines))
    assert "tokens to the model, and" in said, said


@check
def what_is_not_the_tasks_is_told(api):
    lines = api.embeddings("tiny")
    size = api.refusal("size", api.task(lines, hidden=32))
    assert f"have {HIDDEN} numbers each, but generator.hidden is 32" in size, size
    moved = lines.replace('table_sha256 = "', 'table_sha256 = "0', 1)
    moved = moved.replace(moved.split('table_sha256 = "')[1][:65], "0" * 64)
    other = api.refusal("hash", api.task(moved))
    assert "another file than the task names" in other, other
    gone = api.refusal("gone", api.task(lines.replace("/tiny", "/nowhere")))
    assert "nowhere/tokenizer.json cannot be fetched" in gone and "[model.openai.prompt_embeds]" in gone, gone


@check
def a_server_without_the_flag_is_told_so(api):
    said = api.refusal("no-flag", api.task(api.embeddings("tiny"), api.plain.url))
    assert "start vLLM with --enable-prompt-embeds" in said and "You must set" in said, said
    # Its words are those that our tests have.
    rows = io.BytesIO()
    torch.save(api.table[:2], rows)
    body = {"model": "tiny", "max_tokens": 1, "prompt_embeds": base64.b64encode(rows.getvalue()).decode()}
    status, answer = ask(f"{api.plain.url}/v1/completions", body)
    recorded = {"message": "You must set `--enable-prompt-embeds` to input `prompt_embeds`. (parameter=prompt_embeds)"}
    assert status == 400 and answer["error"]["message"] == recorded["message"], answer
    assert answer["error"]["param"] == "prompt_embeds", answer


@check
def a_federation_is_joined(api):
    """`serve`, `create`, and one who joins; the files are kept for the next time."""
    port, database = free_port(), api.client.scratch / "joined.sqlite"
    database.unlink(missing_ok=True)
    url, environment = f"http://127.0.0.1:{port}", {**os.environ, "FED_BBPT_ADMIN_TOKEN": "a-token-of-the-tests-0123456789"}
    command = [api.client.fed_bbpt, "serve", "--listen", f"127.0.0.1:{port}", "--database", database]
    task = api.client.scratch / "joined.toml"
    task.write_text(api.task(api.embeddings("tiny"), api.heard))

    def run(*words):
        words = [str(word) for word in (api.client.fed_bbpt, *words)]
        return subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment)

    with Server([str(word) for word in command], url, "/healthz", api.client.scratch / "serve.log", env=environment):
        created = run("federation", "--server", url, "--json", "create", task)
        assert created.returncode == 0, created
        invite = json.loads(created.stdout)
        link = f"{url}/f/{invite['federation']}/#invite={invite['invite']}"
        state = api.client.scratch / "participant.json"
        for old in (state, state.with_suffix(".identity")):
            old.unlink(missing_ok=True)
        Heard.exchanges.clear()
        joined = run("join", link, "--data", api.data[1], "--state", state)
        assert joined.returncode == 0 and "all rounds are done" in joined.stdout, joined
        assert "as embeddings, which can be read like texts" in joined.stdout, joined.stdout
        assert "[3 soft tokens] {text} is" in joined.stdout, joined.stdout
    kept = [path.name for path in (api.client.scratch / "fed-bbpt-models").iterdir()]
    assert len(kept) >= 2, kept
    assert len(prompts("prompt_embeds", Heard.exchanges)) > 40


def main():
    given = arguments(__doc__)
    models = {name: given.scratch / f"{name}-llama" for name in ("tiny", "other", "bare")}
    tiny_llama.write(models["tiny"], seed=11, begins=True, kind="bfloat16")
    tiny_llama.write(models["other"], seed=12, begins=True, kind="bfloat16")
    tiny_llama.write(models["bare"], seed=11, kind="bfloat16")
    drawn = random.Random(1)
    texts = [(" ".join(drawn.choices(tiny_llama.WORDS, k=4)), at % 2) for at in range(16)]
    files = given.scratch / "files"
    files.mkdir(exist_ok=True)
    written = "text,label\n" + "".join(f"{text},{('good', 'bad')[label]}\n" for text, label in texts)
    data, test = given.scratch / "texts.csv", given.scratch / "test.csv"
    data.write_text(written)
    test.write_text(written)
    flags = ["--data", data, "--test", test, "--clients", "2", "--partition", "iid", "--only", "federated"]
    more = ["--max-logprobs", str(ALL)]
    with start(models["tiny"], given.scratch / "vllm.log", [*more, "--enable-prompt-embeds"]) as server:
        with start(models["tiny"], given.scratch / "vllm-plain.log", more) as plain:
            report(Api(server, plain, Client(given.fed_bbpt, given.scratch), models, files, texts, flags))


if __name__ == "__main__":
    main()

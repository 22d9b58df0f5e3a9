"""Somebody else's server, started here, and our client that asks it."""

import argparse
import json
import pathlib
import socket
import subprocess
import time
import urllib.error
import urllib.request

READY_WITHIN = 120


def arguments(description):
    """What `cargo xtask interop` gives a script that drives our client."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--fed-bbpt", type=pathlib.Path, required=True, help="our binary")
    parser.add_argument("--scratch", type=pathlib.Path, required=True, help="a folder for whatever is written")
    return parser.parse_args()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A running server; ended with the `with` block."""

    def __init__(self, command, url, ready, log, **more):
        self.url, self.log = url, pathlib.Path(log)
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, **more)
        deadline = time.monotonic() + READY_WITHIN
        while not self._answers(ready):
            # Another program's start gives no event to wait for.
            time.sleep(0.1)
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.end()
                raise RuntimeError(f"{command[0]} did not come up:\n{self.log.read_text()[-2000:]}")

    def _answers(self, path):
        try:
            return urllib.request.urlopen(self.url + path, timeout=2).status == 200
        except OSError:
            return False

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def opened(request, timeout=60):
    """The answer, also where it is an error."""
    try:
        return urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        return error


def preflight(url, page, headers):
    """Status and headers of the answer to what a browser asks before a page may send these `headers`."""
    asked = {"Origin": page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers}
    answer = opened(urllib.request.Request(url, headers=asked, method="OPTIONS"), timeout=10)
    return answer.status, answer.headers


def learning(rounds, steps):
    """The end of a task file of images: how a prompt is learnt."""
    return f"""[generator]
kind = "statistic"
grid = 4
[optimizer]
kind = "zo-sgd"
directions = 7
differences = "forward"
learning_rate = 0.05
[federation]
rounds = {rounds}
local_steps = {steps}
batch = 8
"""


def ask(url, body=None, headers=()):
    """Status and body (as JSON where it is) of a GET, or of a POST of `body`."""
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **dict(headers)})
    answer = opened(request)
    text = answer.read()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, text.decode(errors="replace")


class Client:
    """Our own client, as a process."""

    def __init__(self, fed_bbpt, scratch):
        self.fed_bbpt, self.scratch = fed_bbpt, scratch

    def simulate(self, name, task, *more):
        """The report of `fed-bbpt simulate` with a task file of that text. It must succeed."""
        ended = self.try_simulate(name, task, *more)
        if ended.returncode != 0:
            raise AssertionError(f"fed-bbpt simulate ended with {ended.returncode}: {ended.stderr}")
        return json.loads(ended.stdout)

    def refusal(self, name, task, *more):
        """What it says where it ends in an error."""
        ended = self.try_simulate(name, task, *more)
        assert ended.returncode == 1 and "panicked" not in ended.stderr, ended
        return ended.stderr

    def try_simulate(self, name, task, *more):
        path = self.scratch / f"{name}.toml"
        path.write_text(task)
        command = [self.fed_bbpt, "simulate", "--task", path, "--json", *more]
        return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600)

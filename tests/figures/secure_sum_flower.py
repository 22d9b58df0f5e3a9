"""Flower's SecAgg+ (`flwr` from PyPI) on the same cohort as `shared/federation/benches/cohort`: N clients who each add one
vector of D numbers; every tenth drops out after dealing its shares. One process, no network: its workflow (the
server) hands each message to its client mod. Prints one line of JSON: bytes of the messages' protobuf for one
client, milliseconds of one client (the median over the survivors) and of the server.

python3 secure_sum_flower.py N D
"""

import json
import logging
import os
import statistics
import sys
import time

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")

import numpy as np  # noqa: E402
from flwr.app import (  # noqa: E402
    ArrayRecord,
    ConfigRecord,
    Context,
    Message,
    RecordDict,
)
from flwr.client.mod import secaggplus_mod  # noqa: E402
from flwr.common import (  # noqa: E402
    Code,
    FitIns,
    FitRes,
    Parameters,
    Status,
    ndarrays_to_parameters,
    parameters_to_ndarrays,
)
from flwr.common.secure_aggregation.secaggplus_constants import (  # noqa: E402
    RECORD_KEY_CONFIGS,
    Key,
    Stage,
)
from flwr.common.serde import recorddict_to_proto  # noqa: E402
from flwr.compat.common import recorddict_compat as compat  # noqa: E402
from flwr.server import LegacyContext  # noqa: E402
from flwr.server.workflow import SecAggPlusWorkflow  # noqa: E402
from flwr.server.workflow.constant import (  # noqa: E402
    MAIN_CONFIGS_RECORD,
    MAIN_PARAMS_RECORD,
)
from flwr.supercore.task_identity import TaskIdentity  # noqa: E402

logging.getLogger("flwr").setLevel(logging.ERROR)

# Messages name the program that made them; outside Flower's own start-up nobody has set it.
TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = 1, 0, 0
# Neighbours, and what part of the shares opens a secret: the policy of the same cohort over here.
DEGREE = 100
THRESHOLD = 2 / 3


class Client:
    """What the workflow wants of a client's proxy."""

    def __init__(self, node_id):
        self.node_id = node_id
        self.cid = str(node_id)


class Strategy:
    """Takes everybody, and keeps the mean."""

    def __init__(self, clients):
        self.clients = clients
        self.mean = None

    def configure_fit(self, _round, _parameters, _manager):
        # θ's way down is not part of a sum.
        nothing = FitIns(Parameters([], ""), {})
        return [(client, nothing) for client in self.clients]

    def aggregate_fit(self, _round, results, failures):
        if failures:
            raise RuntimeError(failures)
        self.mean = parameters_to_ndarrays(results[0][1].parameters)[0]
        return None, {}


class Manager:
    def __init__(self, clients):
        self.clients = clients

    def num_available(self):
        return len(self.clients)


def size(record):
    return recorddict_to_proto(record).ByteSize()


class Grid:
    """Hands messages to the clients, one after the other, and counts."""

    def __init__(self, vectors, dropped):
        self.vectors = vectors
        self.dropped = dropped
        self.contexts = {node: context(node) for node in vectors}
        self.up = dict.fromkeys(vectors, 0)
        self.down = dict.fromkeys(vectors, 0)
        self.seconds = dict.fromkeys(vectors, 0.0)

    def train(self, message, _context):
        vector = self.vectors[message.metadata.dst_node_id]
        result = FitRes(Status(Code.OK, ""), ndarrays_to_parameters([vector]), 1, {})
        return Message(compat.fitres_to_recorddict(result, False), reply_to=message)

    def send_and_receive(self, messages, *, timeout=None):
        replies = []
        for message in messages:
            node = message.metadata.dst_node_id
            stage = message.content.config_records[RECORD_KEY_CONFIGS][Key.STAGE]
            if node in self.dropped and stage in (Stage.COLLECT_MASKED_VECTORS, Stage.UNMASK):
                continue
            self.down[node] += size(message.content)
            # Over a network each client would get a copy of its own.
            content = RecordDict(
                {name: type(record)(dict(record)) for name, record in message.content.items()}
            )
            received = Message(
                content, dst_node_id=node, message_type=message.metadata.message_type, group_id="1"
            )
            before = time.perf_counter()
            reply = secaggplus_mod(received, self.contexts[node], self.train)
            self.seconds[node] += time.perf_counter() - before
            self.up[node] += size(reply.content)
            replies.append(reply)
        return replies


def context(node):
    arguments = {"run_id": 1, "node_id": node, "node_config": {}, "state": RecordDict(), "run_config": {}}
    try:
        return Context(**arguments)
    except TypeError:  # Newer releases want a series, too.
        return Context(**arguments, series_id=1)


def main(n, d):
    rng = np.random.default_rng(1)
    nodes = list(range(1, n + 1))
    vectors = {node: rng.uniform(-1, 1, d).astype(np.float32) for node in nodes}
    dropped = {node for node in nodes if (node - 1) % 10 == 9}
    clients = [Client(node) for node in nodes]
    strategy = Strategy(clients)
    grid = Grid(vectors, dropped)
    legacy = LegacyContext(context(0), strategy=strategy, client_manager=Manager(clients))
    legacy.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({"current_round": 1})
    legacy.state.array_records[MAIN_PARAMS_RECORD] = ArrayRecord()
    shares = n if n <= DEGREE + 1 else DEGREE + 1
    workflow = SecAggPlusWorkflow(shares, int(shares * THRESHOLD) + 1, max_weight=1.0)
    before = time.perf_counter()
    workflow(grid, legacy)
    whole = time.perf_counter() - before
    expected = np.mean([vectors[node] for node in nodes if node not in dropped], axis=0)
    if strategy.mean is None or np.abs(strategy.mean - expected).max() > 1e-3:
        raise RuntimeError("Flower's sum is not the survivors'")
    alive = [node for node in nodes if node not in dropped]
    of = lambda values: statistics.median(values[node] for node in alive)  # noqa: E731
    print(
        json.dumps(
            {
                "bytes_up": int(of(grid.up)),
                "bytes_down": int(of(grid.down)),
                "client_ms": 1e3 * of(grid.seconds),
                "server_ms": 1e3 * (whole - sum(grid.seconds.values())),
            }
        )
    )


main(int(sys.argv[1]), int(sys.argv[2]))

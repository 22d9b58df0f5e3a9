"""vLLM's own server, on the CPU."""

import os
import sys

from lib.third_party import Server, free_port

# Sequences that a server computes at the same time.
AT_ONCE = 4


def start(model, log, more):
    """It serves the folder `model` under the name `tiny`."""
    port = free_port()
    # Its `vllm serve` does not start from this package: it asks for the version of one called vllm.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", "tiny", "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--enforce-eager", "--max-num-seqs", str(AT_ONCE), *more]
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    return Server(command, f"http://127.0.0.1:{port}", "/health", log, env={**os.environ, **quiet})

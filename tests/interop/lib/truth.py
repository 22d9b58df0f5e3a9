"""What a model scores, asked in the plainest way: JSON over the Open Inference Protocol, with Python's own HTTP."""

import json
import math
import urllib.request


def infer(url, model, *inputs):
    """The scores, row by row. `inputs`: name, datatype, shape, values."""
    tensors = [dict(zip(("name", "datatype", "shape", "data"), each)) for each in inputs]
    request = urllib.request.Request(
        f"{url}/v2/models/{model}/infer", json.dumps({"inputs": tensors}).encode(), {"content-type": "application/json"}
    )
    (output,) = json.load(urllib.request.urlopen(request))["outputs"]
    width = output["shape"][1]
    return [output["data"][at : at + width] for at in range(0, len(output["data"]), width)]


def log_softmax(row):
    most = max(row)
    total = most + math.log(sum(math.exp(value - most) for value in row))
    return [value - total for value in row]


def close(found, expected, error=1e-4):
    return len(found) == len(expected) and all(abs(a - b) < error for a, b in zip(found, expected))

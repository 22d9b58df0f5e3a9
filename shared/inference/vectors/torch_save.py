"""Writes torch_save.json: tensors as zip files that torch loads with `weights_only=True`, as vLLM loads embeddings.

    python3 -m venv /tmp/torch && /tmp/torch/bin/pip install torch==2.13.0
    /tmp/torch/bin/python shared/inference/vectors/torch_save.py > shared/inference/vectors/torch_save.json

"bytes" are the tensor's own, "file" is the zip file, made here with Python's `zipfile` and a pickle written by hand: a second
implementation of `shared/inference/src/torch_save.rs`. It is written down only if torch makes the same tensor of it.
"""

import io
import json
import struct
import zipfile

import torch


def whole(number):
    return b"J" + struct.pack("<i", number)


def text(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def pickled(storage, rows, hidden):
    kept = text("storage") + b"ctorch\n" + storage + b"\n" + text("0") + text("cpu") + whole(rows * hidden)
    shape = whole(rows) + whole(hidden) + b"\x86" + whole(hidden) + whole(1) + b"\x86"
    rest = b"tQ" + whole(0) + shape + b"\x89ccollections\nOrderedDict\n)RtR."
    return b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((" + kept + rest


def saved(tensor, storage):
    rows, hidden = tensor.shape
    raw = tensor.contiguous().view(torch.uint8).numpy().tobytes()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in (
            ("data.pkl", pickled(storage, rows, hidden)), ("byteorder", b"little"), ("data/0", raw), ("version", b"3\n")
        ):
            entry = zipfile.ZipInfo(f"prompt/{name}")
            entry.create_system = 0
            archive.writestr(entry, content)
            # `writestr` makes up attributes where there are none; the list of files is written at the end.
            entry.external_attr = 0
    loaded = torch.load(io.BytesIO(file.getvalue()), weights_only=True, map_location="cpu")
    assert loaded.dtype == tensor.dtype and torch.equal(loaded, tensor), (loaded, tensor)
    return {"dtype": str(tensor.dtype).removeprefix("torch."), "hidden": hidden, "bytes": raw.hex(), "file": file.getvalue().hex()}


def main():
    numbers = torch.tensor([[0.0, 1.0, -2.5, 3e4], [1e-3, 0.1, -0.7, 12.0], [5.0, 6.0, -7.0, 8.5]])
    kinds = {torch.float32: b"FloatStorage", torch.float16: b"HalfStorage", torch.bfloat16: b"BFloat16Storage"}
    found = [json.dumps(saved(numbers.to(kind), storage)) for kind, storage in kinds.items()]
    print("[\n  " + ",\n  ".join(found) + "\n]")


if __name__ == "__main__":
    main()

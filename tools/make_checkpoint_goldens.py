"""Write tests/goldens/checkpoint-format-N.ckpt, a checkpoint of each format, and what must be read from them.

    python tools/make_checkpoint_goldens.py

Formats are never written anew once they have been in use: run this for a new one, which it adds. Prints its versions.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from pathlib import Path

import torch

from fewepochs.train import checkpoint

GOLDENS = Path(__file__).parents[1] / "tests" / "goldens"


def snapshot() -> checkpoint.Snapshot:
    """Return a state with a tensor of each type, shapes of no, one and more dimensions, and one of no size."""
    tensors = {
        name: (torch.arange(6) * 37 % 11 - 3).to(dtype).reshape(2, 3) for name, dtype in checkpoint.DTYPES.items()
    }
    tensors |= {"count": torch.tensor(-(2**40)), "nothing": torch.zeros(0, 4), "third": torch.tensor([1 / 3, math.inf])}
    return checkpoint.Snapshot(
        tensors,
        checkpoint.Facts(
            recipe={"name": "golden", "seed": 3},
            data="d" * 64,
            steps=1234,
            epochs=5,
            epoch_steps=34,
            plateau=checkpoint.Plateau(best=None, wait=1, cooldown=0, scale=0.1),
            spent=checkpoint.Spent(setup_seconds=0.5, train_seconds=12.25, joules=None),
        ),
    )


def format_1(snapshot: checkpoint.Snapshot) -> bytes:
    """Return `snapshot` as format 1 had it: facts in the first line, then torch's pickle."""
    buffer = io.BytesIO()
    torch.save(dict(snapshot.tensors), buffer)
    body = buffer.getvalue()
    facts = snapshot.facts.model_dump(mode="json")
    facts["plateau"]["best"] = math.inf  # as it stood there without a plateau
    facts["spent"] = {name: facts["spent"][name] for name in ("setup_seconds", "train_seconds", "joules")}
    header = {"format": 1, "sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body), **facts}
    return json.dumps(header, sort_keys=True).encode() + b"\n" + body


def main() -> None:
    """Write what is missing."""
    made = snapshot()
    contents = {1: format_1(made), checkpoint.FORMAT: checkpoint.packed(made)}
    for form, content in contents.items():
        path = GOLDENS / f"checkpoint-format-{form}.ckpt"
        if not path.exists():
            path.write_bytes(content)
            print(f"{path}: {len(content):,} bytes, torch {torch.__version__}")
    told = {"digest": checkpoint.digest(made.tensors), "facts": made.facts.model_dump(mode="json")}
    (GOLDENS / "checkpoint.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()

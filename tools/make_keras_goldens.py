"""Write tests/goldens/keras_parameter_counts.json: trainable parameters of the ResNets that the real Keras builds.

usage: python tools/make_keras_goldens.py        (takes about a minute; needs the dev extra)
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import keras  # noqa: E402

from oracles import keras_resnet  # noqa: E402

DEPTHS = {"resnet-v1": (20, 32, 44, 56, 110), "resnet-v2": (20, 29, 56, 110, 164)}


def main() -> None:
    """Build each network, count, write."""
    counts: dict[str, dict[str, int]] = {}
    for kind, depths in DEPTHS.items():
        build = keras_resnet.build_v1 if kind == "resnet-v1" else keras_resnet.build_v2
        counts[kind] = {}
        for depth in depths:
            model = build(depth)
            counts[kind][str(depth)] = sum(int(w.value.numel()) for w in model.trainable_variables)
            keras.backend.clear_session()
    golden = {"made_by": "tools/make_keras_goldens.py", "keras": keras.__version__, "trainable_parameters": counts}
    path = ROOT / "tests" / "goldens" / "keras_parameter_counts.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(golden, indent=2) + "\n")
    print(path)


if __name__ == "__main__":
    main()

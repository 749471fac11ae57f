"""Write tests/goldens/foreign/: what the real Keras writes about tiny trainings, and what it remembers of them itself.

CSVLogger writes the CSV files. The TensorBoard callback needs TensorFlow for its summaries; a stand-in for
`tensorflow.summary` hands them to tensorboard's own writer, in the form in which TensorFlow 2 writes them: folders,
tags and steps are the callback's. `history.json` has Keras's History of each training, and the versions.

usage: python tools/make_foreign_goldens.py        (takes half a minute; needs the dev extra)
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"
ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "goldens" / "foreign"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorboard  # noqa: E402
from sklearn import datasets  # noqa: E402
from tensorboard.compat.proto import event_pb2  # noqa: E402
from tensorboard.plugins.scalar import summary_v2  # noqa: E402
from tensorboard.summary.writer import event_file_writer  # noqa: E402

VALIDATED = 250
"""Images that val_accuracy counts: each accuracy is a whole number of them."""


class Writer:
    """One folder's event file."""

    def __init__(self, folder: str) -> None:
        self.events = event_file_writer.EventFileWriter(folder)

    @contextmanager
    def as_default(self) -> Iterator[None]:
        """Let `Summary.scalar` write here."""
        Summary.current = self.events
        yield
        Summary.current = None

    def close(self) -> None:
        """End the file."""
        self.events.close()


class Summary:
    """As much of `tensorflow.summary` as the callback asks for."""

    current: Any = None

    @staticmethod
    def create_file_writer(folder: str) -> Writer:
        """Return a writer for a folder."""
        return Writer(folder)

    @staticmethod
    def scalar(name: str, value: float, *, step: int) -> None:
        """Write a number as TensorFlow 2 does: a 32-bit tensor; where no writer is the default, nothing."""
        if Summary.current is None:
            return
        summary = summary_v2.scalar_pb(name, np.float32(value))
        Summary.current.add_event(event_pb2.Event(wall_time=0.0, step=int(step), summary=summary))


def train(
    *callbacks: keras.callbacks.Callback, epochs: int = 6, lr: float = 0.01, first: int = 0, **options: Any
) -> dict[str, list[float | None]]:
    """Train a small net on digits; return its History, None for what is not finite."""
    images, labels = datasets.load_digits(return_X_y=True)
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.layers.Input((64,)), keras.layers.Dense(10)])
    optimizer = keras.optimizers.Adam(lr) if lr < 1 else keras.optimizers.SGD(lr)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    held = images[-VALIDATED:] / 16, labels[-VALIDATED:]
    options = {"validation_data": held, **options}
    found = model.fit(
        images[:500] / 16,
        labels[:500],
        epochs=epochs,
        initial_epoch=first,
        verbose=0,
        callbacks=list(callbacks),
        **options,
    )
    history = {name: [float(value) for value in values] for name, values in found.history.items()}
    return {name: [value if math.isfinite(value) else None for value in values] for name, values in history.items()}


def log(name: str, **options: Any) -> keras.callbacks.CSVLogger:
    """Return the callback that writes the CSV file `name`."""
    return keras.callbacks.CSVLogger(str(FOLDER / f"{name}.csv"), **options)


def main() -> None:
    """Train, write, remember."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    step = keras.callbacks.LearningRateScheduler(lambda epoch: 0.01 if epoch < 3 else 0.001)
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", min_delta=10.0, patience=2, factor=0.1)
    board = keras.callbacks.TensorBoard(str(FOLDER / "board"), write_graph=False)
    board._summary_module = Summary
    history = {
        "step": train(step, log("step")),
        "plateau": train(plateau, log("plateau", separator=";")),
        "plain": train(log("plain")),
        "unvalidated": train(log("unvalidated"), validation_data=None),
        "every-second": train(log("every-second"), validation_freq=2),
        "diverged": train(log("diverged"), lr=1e38),
        "board": train(step, board),
    }
    train(log("again", append=True), epochs=3)
    train(log("again", append=True), epochs=3)
    train(log("continued", append=True), epochs=3)
    train(log("continued", append=True), epochs=6, first=3)
    train(log("later"), epochs=6, first=3)
    for number, file in enumerate(sorted((FOLDER / "board").glob("*/events.out.tfevents.*"))):
        file.rename(file.with_name(f"events.out.tfevents.{number}.golden"))  # not by clock and host
    versions = {"keras": keras.__version__, "tensorboard": tensorboard.version.VERSION}
    golden = {"made_by": "tools/make_foreign_goldens.py", **versions, "validated": VALIDATED, "history": history}
    (FOLDER / "history.json").write_text(json.dumps(golden, indent=1) + "\n")
    print(FOLDER)


if __name__ == "__main__":
    main()

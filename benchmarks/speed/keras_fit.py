"""Keras's `fit` as the published study ran it: Adam, L2, categorical cross-entropy, with ImageDataGenerator or without.

The network is the one that the tests hold ours against. A round is one `fit` of one epoch over a part of the training
set; its clock runs from the epoch's begin to its end, the value of the loss in hand, so that what `fit` does once a
call is left out. The backend is chosen when Keras is imported: a process for each.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed import images, turns

TESTS = Path(__file__).parents[2] / "tests"
PACKAGES = {"tensorflow": "tensorflow-cpu", "jax": "jax", "torch": "torch"}
SHIFT = 0.1


class KerasFit:
    """The compiled model and the images as [N, H, W, C]."""

    def __init__(self, peer: turns.Peer, *, data: Path) -> None:
        _choose(peer.backend, threads=len(peer.cores))
        import keras

        if str(TESTS) not in sys.path:
            sys.path.append(str(TESTS))
        from oracles import keras_resnet

        self._keras, self._backend, self._batch = keras, peer.backend, peer.batch
        self._images, labels = images.read(data)
        self._labels = np.eye(10, dtype=np.float32)[labels]
        self._parts = images.Parts(len(labels))
        self.model = keras_resnet.build_v2(peer.depth)
        # jit_compile stays "auto", as the study had it; the facts say what that came to.
        adam = keras.optimizers.Adam(1e-3)
        self.model.compile(loss="categorical_crossentropy", optimizer=adam, metrics=["accuracy"])

    def first_step(self) -> None:
        """Do one training step."""
        self.round(steps=1, augmented=True)

    def facts(self) -> dict[str, Any]:
        """Return parameters, versions, and whether the step is compiled by XLA."""
        return {
            "trainable_parameters": sum(int(np.prod(w.shape)) for w in self.model.trainable_variables),
            "jit_compile": bool(self.model.jit_compile),
            "versions": {"keras": self._keras.__version__, self._backend: _version(self._backend)},
        }

    def round(self, *, steps: int, augmented: bool) -> dict[str, float]:
        """Fit a part of the training set once: seconds."""
        part = self._parts.take(steps * self._batch)
        x, y = self._images[part], self._labels[part]
        times: list[float] = []

        def mark(_epoch: int, logs: Mapping[str, Any] | None) -> None:
            if logs:
                float(logs["loss"])  # JAX may answer before it has computed
            times.append(time.perf_counter())

        clock = self._keras.callbacks.LambdaCallback(on_epoch_begin=mark, on_epoch_end=mark)
        if augmented:
            from keras.src.legacy.preprocessing.image import ImageDataGenerator

            generator = ImageDataGenerator(width_shift_range=SHIFT, height_shift_range=SHIFT, horizontal_flip=True)
            self.model.fit(generator.flow(x, y, batch_size=self._batch), verbose=0, callbacks=[clock])
        else:
            self.model.fit(x, y, batch_size=self._batch, verbose=0, callbacks=[clock])
        begin, end = times
        return {"seconds": end - begin}


def _choose(backend: str, *, threads: int) -> None:
    """Let Keras take `backend`, and that so many threads. JAX takes as many as there are cores that it may use."""
    os.environ["KERAS_BACKEND"] = backend
    if backend == "tensorflow":
        import tensorflow

        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(threads)
    elif backend == "torch":
        import torch

        torch.set_num_threads(threads)


def _version(backend: str) -> str | None:
    for name in (PACKAGES[backend], backend):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None

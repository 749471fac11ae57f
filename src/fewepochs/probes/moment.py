"""A moment: a run as it stood after one of its epochs, ready to be looked at.

    for moment in moments(run, bench=bench):
        moment.score(bench.data.validation)         # as the run's own evaluation
        with moment.at(weights=elsewhere):
            moment.score(bench.data.validation)     # the same somewhere else

Moments come in rising order out of the states that the run's folder keeps: snapshots, the newest, the best. Each has a
network of its own; the folder is read and never written. A state in mid-epoch is none: no record stands beside it.

A moment holds the weights as training left them. Where a recipe averages weights, the run's own val_loss is that of the
average, and differs from the moment's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from fewepochs import recipe as recipes
from fewepochs import seeds, store
from fewepochs.data import loader
from fewepochs.errors import CheckpointError
from fewepochs.nets import layers
from fewepochs.probes import bench as benches
from fewepochs.probes.scores import Score
from fewepochs.records import EpochRecord
from fewepochs.train import checkpoint, loop
from fewepochs.train import step as programs

ADVICE = "a run keeps states for probes with --snapshots every:5, or --snapshots 1,5,10, given when it is trained"


@dataclass(frozen=True)
class Moment:
    """`run` after `epoch` epochs (1-based, full passes done) and `steps` steps, as the file `path` keeps it.

    `program` is the run's device program with this state: network, weights [P], moving statistics [2, C], optimizer.
    What is done to it stays in it; `at` undoes what it did.
    """

    run: store.StoredRun
    path: Path
    epoch: int
    steps: int
    program: programs.TrainingStep
    data: loader.DeviceData

    @property
    def recipe(self) -> recipes.Recipe:
        """The recipe that the run was trained by."""
        return store.trained(self.run)

    @property
    def network(self) -> nn.Module:
        """The network at these weights; its mode (training, evaluation) is that of whoever used it last."""
        return self.program.network

    @property
    def weights(self) -> Tensor:
        """All weights [P], live: the network's parameters are views of it, or copies in a narrower type."""
        return self.program.weights.master

    @property
    def statistics(self) -> Tensor:
        """BN's moving mean and variance of all channels [2, C], live."""
        return self.program.statistics.moving

    @property
    def optimizer(self) -> dict[str, Tensor]:
        """The optimizer's state by name, live."""
        return self.program.optimizer.state()

    @property
    def record(self) -> EpochRecord | None:
        """What the run logged of this epoch."""
        own = self.run.own_epochs
        return own[self.epoch - 1] if self.epoch <= len(own) else None

    @contextmanager
    def at(self, *, weights: Tensor | None = None, statistics: Tensor | None = None) -> Iterator[None]:
        """Let the moment have other weights [P] or statistics [2, C] meanwhile; both are put back, bit for bit."""
        before = self.weights.clone(), self.statistics.clone()
        try:
            self._set(
                self.weights if weights is None else weights, self.statistics if statistics is None else statistics
            )
            yield
        finally:
            self._set(*before)

    @torch.no_grad()
    def _set(self, weights: Tensor, statistics: Tensor) -> None:
        self.weights.copy_(weights)
        self.program.weights.publish()
        self.statistics.copy_(statistics)

    def score(self, part: loader.Part) -> Score:
        """Return loss and accuracy over `part`, evaluated as the run evaluates: moving statistics, no augmentation."""
        found = self.program.look(part)
        (sums,) = found.parts
        return Score(sums.loss / sums.images, found.penalty, sums.correct / sums.images, sums.images)

    def batch(self, part: loader.Part, rows: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Return images [N, C, H, W] as the network takes them, without augmentation, and labels [N]."""
        return self.program.inputs(part.pixels[rows]), part.labels[rows]

    def gradient(self, x_NCHW: Tensor, labels_N: Tensor, *, training: bool, penalty: bool) -> Tensor:
        """Return the gradient [P] of a batch's mean loss, with the penalty's where `penalty`; nothing moves.

        With `training` BN takes the batch's own statistics and dropout its mask of this step, as in training.
        """
        self.network.train(training)
        gradient = self.program.gradient(x_NCHW, labels_N)
        return gradient + self.program.penalty_gradient() if penalty else gradient

    def with_batch_statistics(self) -> None:
        """Let BN take each batch's own statistics, and nothing be dropped."""
        self.network.train()
        for module in self.network.modules():
            if isinstance(module, layers.Dropout):
                module.eval()


def some(part: loader.Part, images: int, *, seed: int, stream: str, counters: Sequence[int | str] = ()) -> Tensor:
    """Return the numbers int64 of `images` different images of `part`, drawn by a name; all of them if there are fewer.

    The same name gives the same images, in the same order, whatever was drawn before.
    """
    order = seeds.permutation(seeds.derive(seed, stream, *counters), len(part))
    return torch.from_numpy(order[:images]).to(part.labels.device)


def moments(run: store.StoredRun, *, bench: benches.Bench, epochs: Sequence[int] | None = None) -> Iterator[Moment]:
    """Yield `run` at each epoch whose state is kept, in rising order; with `epochs` at those alone.

    Raises CheckpointError where none is kept, or not all of `epochs`, or a file is damaged; DataError where the data is
    not what the run was trained on.
    """
    found = kept(run)
    for epoch, path in found.items() if epochs is None else _chosen(run, found, epochs).items():
        snapshot = checkpoint.load(path)
        recipe = store.trained(run)
        training = loop.Training(
            recipe, data=bench.data, device=bench.device, kernels=bench.kernels, allow_code=bench.allow_code
        )
        training.restore(snapshot)
        yield Moment(run, path, epoch, snapshot.steps, training.program, bench.data)


def kept(run: store.StoredRun) -> dict[int, Path]:
    """Return the epochs whose states `run` keeps, rising, each with its file. Raises CheckpointError where none is."""
    store.trained(run)  # an imported run has no states, and says so
    folder = run.path / store.CHECKPOINTS
    found = checkpoint.of_epochs(folder)
    for path in (*checkpoint.newest_first(folder), folder / checkpoint.BEST):
        if not path.exists():
            continue
        facts = checkpoint.load(path).facts
        if facts.epoch_steps == 0 and facts.epochs > 0:
            found.setdefault(facts.epochs, path)
    if not found:
        raise CheckpointError(f"{folder}: no state after a whole epoch; {ADVICE}")
    return dict(sorted(found.items()))


def _chosen(run: store.StoredRun, found: dict[int, Path], epochs: Sequence[int]) -> dict[int, Path]:
    if missing := sorted(set(epochs) - found.keys()):
        told, have = (", ".join(map(str, some)) for some in (missing, found))
        raise CheckpointError(f"{run.path}: no state is kept after epoch {told}, only after {have}; {ADVICE}")
    return {epoch: found[epoch] for epoch in sorted(set(epochs))}
